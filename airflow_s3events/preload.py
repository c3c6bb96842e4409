"""Load the AWS libraries once for all tasks of a worker: ``preload()`` in ``airflow_local_settings.py``.

Airflow forks each task from a process that has no AWS library loaded, so each woken dispatcher loads them
anew: a third of a second of one core before its first receive. A process that has them loaded passes them
on when it forks. This module is never called by the package: whether every Airflow process of a deployment
should carry some 35 MiB more for that third of a second is the deployment's to say.
"""

from __future__ import annotations


def preload() -> None:
    """Import what the dispatcher needs of AWS, and make one client, since much is loaded on first use.

    Nothing is sent, and no connection, credential or setting is read.
    """
    import aiobotocore.session  # noqa: F401 - loaded for those who import it later
    import boto3

    session = boto3.session.Session(region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-")  # noqa: S106
    session.client("sqs")
