"""A whole Airflow and an embedded AWS on loopback ports, for ``s3events demo`` and for the system tests."""
