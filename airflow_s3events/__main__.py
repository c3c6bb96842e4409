"""``python -m airflow_s3events``: the same as ``s3events``."""

from __future__ import annotations

import sys

from airflow_s3events.cli import main

sys.exit(main())
