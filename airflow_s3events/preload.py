"""Load the AWS libraries once for all tasks of a worker: ``preload()`` in ``airflow_local_settings.py``.

Airflow forks each task from a process that has no AWS library loaded, so each woken dispatcher loads them
anew: on two cores some 0.6 s until it creates its first run, against 0.3 s where they are loaded. A process
that has them passes them on when it forks. The package never calls this by itself: whether every Airflow
process of a deployment should carry these libraries is the deployment's to say.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def preload(*, loader: Any = None) -> None:
    """Import what the dispatcher needs of AWS, and make one client, since much is loaded on first use.

    Nothing is sent, and no connection, credential or setting is read.

    Args:
        loader: The botocore loader of later clients, which remembers what it has read; None: a new one.
    """
    import aiobotocore.session  # noqa: F401 - loaded for those who import it later
    import boto3
    import botocore.session

    core = botocore.session.get_session()
    if loader is not None:
        core.register_component("data_loader", loader)
    session = boto3.session.Session("-", "-", region_name="us-east-1", botocore_session=core)
    session.client("sqs")


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector out while libraries load: it would look through all of them, again and again.

    A third of the loading time, and there is no rubbish to find. What is loaded afterwards stays for good.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
