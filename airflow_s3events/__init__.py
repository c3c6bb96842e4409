"""One S3 object event, one Airflow DAG run."""

from __future__ import annotations

__version__ = "0.1.0"
