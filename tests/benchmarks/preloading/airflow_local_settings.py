"""What a deployment writes whose tasks shall be forked with the AWS libraries loaded."""

from airflow_s3events.preload import preload

preload()
