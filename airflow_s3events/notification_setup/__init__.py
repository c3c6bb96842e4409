"""Sets up, checks and takes down the way from a bucket to its queue: I/O over calls that hooks make.

Everything is read and planned before the first change, so that bad input changes nothing, and each change is
one that a second run finds done.
"""
