"""Sensors: what waits, on a worker or deferred."""
