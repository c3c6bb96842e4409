"""DAGs scheduled by S3 events, and what their runs were given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from tests.system.conftest import AddDags

#: Each run writes its events into a file of its own.
_DAG = """
import json
import time
from pathlib import Path

from airflow.sdk import DAG, get_current_context, task

from airflow_s3events import events_of, s3_event_asset

for name, prefix in %(watchers)r.items():
    asset = %(asset)s
    with DAG(dag_id=name, schedule=asset, max_active_runs=%(active)d):

        @task
        def note():
            time.sleep(%(seconds)d)
            context = get_current_context()
            events = [event.serialize() for event in events_of(context)]
            folder = Path(%(folder)r) / context["dag"].dag_id
            folder.mkdir(parents=True, exist_ok=True)
            written = folder / f"{context['ti'].id}.new"
            written.write_text(json.dumps(events))
            written.rename(written.with_suffix(".json"))

        note()

    if %(beside)d:
        with DAG(dag_id=f"{name}-beside", schedule=asset, max_active_runs=1):

            @task
            def sleep():
                time.sleep(%(beside)d)

            sleep()
"""
_OURS = "s3_event_asset(name, sqs_queue=%r, when={'prefix': prefix}, unmatched='discard')"


class Watching:
    """One DAG for each of some assets on one queue.

    Args:
        add_dags: The fixture.
        bucket: Its queue is watched.
        folder: Where runs write what they were given.
        prefixes: By a short name, the keys that its asset wants.
        seconds: How long a run takes.
        active: Runs of a DAG at a time.
        beside_seconds: How long a run takes of another DAG on each asset, which has one at a time; 0: there
            is none.
    """

    def __init__(
        self,
        add_dags: AddDags,
        bucket: NotifyingBucket,
        folder: Path,
        prefixes: Mapping[str, str],
        *,
        seconds: int = 0,
        active: int = 16,
        beside_seconds: int = 0,
    ) -> None:
        self._folder = folder
        self._names = {f"{bucket.bucket}-{short}": prefix for short, prefix in prefixes.items()}
        values = {"watchers": self._names, "folder": str(folder), "seconds": seconds, "active": active}
        source = _DAG % {**values, "beside": beside_seconds, "asset": _OURS % bucket.queue_url}
        dag_ids = [*self._names, *(f"{name}-beside" for name in self._names if beside_seconds)]
        add_dags(source + "".join(f"\n# dag_id={dag_id!r}" for dag_id in dag_ids))

    def dag_id(self, short: str) -> str:
        """Id of the DAG of an asset."""
        return next(name for name in self._names if name.endswith(f"-{short}"))

    def runs(self, short: str) -> list[list[dict[str, Any]]]:
        """The events that each run of a DAG was given."""
        return [json.loads(path.read_text()) for path in (self._folder / self.dag_id(short)).glob("*.json")]

    def keys(self, short: str) -> Counter[str]:
        """How often the runs of a DAG were given each key."""
        return Counter(event["key"] for run in self.runs(short) for event in run)


def put(aws: EmbeddedAws, bucket: NotifyingBucket, *keys: str) -> None:
    """Upload an object of one byte to each of ``keys``."""
    for key in keys:
        aws.s3.put_object(Bucket=bucket.bucket, Key=key, Body=b"1")
