"""Amazon MWAA: what an environment must be given so that this package works there.

Pure: ``images`` knows what MWAA's images hold, ``package`` what this package asks of them, ``documents`` and
``words`` make the files, as values. ``reading`` reads a wheel, and ``command`` is ``s3events mwaa-bundle``,
which alone writes to the disk.
"""
