"""Assets scheduled by S3 events on a real Airflow: upload to run, many at once, several assets on one queue."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from tests.system.conftest import AddDags, Eventually

#: Each run writes its events into a file of its own, named by its run id.
DAG = """
import json
from pathlib import Path

from airflow.sdk import DAG, get_current_context, task

from airflow_s3events import events_of, s3_event_asset

for name, prefix in %(watchers)r.items():
    asset = s3_event_asset(name, sqs_queue=%(queue)r, when={"prefix": prefix}, unmatched="discard")
    with DAG(dag_id=name, schedule=asset, max_active_runs=%(active)d):

        @task
        def note():
            context = get_current_context()
            events = [event.serialize() for event in events_of(context)]
            folder = Path(%(folder)r) / context["dag"].dag_id
            folder.mkdir(parents=True, exist_ok=True)
            written = folder / f"{context['ti'].id}.new"
            written.write_text(json.dumps(events))
            written.rename(written.with_suffix(".json"))

        note()
"""


class Watching:
    """One DAG for each of some assets on one queue, and what their runs were given."""

    def __init__(
        self, cluster: Cluster, add_dags: AddDags, bucket: NotifyingBucket, folder: Path, **prefixes: str
    ) -> None:
        self.folder = folder
        self.names = {f"{bucket.bucket}-{short}": prefix for short, prefix in prefixes.items()}
        values = {"watchers": self.names, "queue": bucket.queue_url, "folder": str(folder), "active": 16}
        add_dags(DAG % values + "".join(f"\n# dag_id={name!r}" for name in self.names))
        self.cluster = cluster

    def keys(self, short: str) -> Counter[str]:
        """How often the runs of a DAG were given each key."""
        (name,) = (name for name in self.names if name.endswith(f"-{short}"))
        found: Counter[str] = Counter()
        for path in (self.folder / name).glob("*.json"):
            found.update(event["key"] for event in json.loads(path.read_text()))
        return found


def put(aws: EmbeddedAws, bucket: NotifyingBucket, *keys: str) -> None:
    for key in keys:
        aws.s3.put_object(Bucket=bucket.bucket, Key=key, Body=b"1")


def test_an_object_starts_a_run_that_has_it(
    cluster: Cluster,
    aws: EmbeddedAws,
    bucket: NotifyingBucket,
    add_dags: AddDags,
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    watching = Watching(cluster, add_dags, bucket, tmp_path, a="in/")
    put(aws, bucket, "in/one.csv")
    eventually(lambda: watching.keys("a") == {"in/one.csv": 1}, 90)
    eventually(lambda: aws.counts(bucket.queue_url) == (0, 0))


def test_several_assets_on_one_queue_get_what_each_wants(
    cluster: Cluster,
    aws: EmbeddedAws,
    bucket: NotifyingBucket,
    add_dags: AddDags,
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    watching = Watching(cluster, add_dags, bucket, tmp_path, a="in/a/", b="in/b/", all="in/")
    keys = [f"in/{which}/{number:03}" for number in range(20) for which in "ab"]
    put(aws, bucket, *keys, "elsewhere")
    wanted = {
        "all": dict.fromkeys(keys, 1),
        "a": {key: 1 for key in keys if "/a/" in key},
        "b": {key: 1 for key in keys if "/b/" in key},
    }
    eventually(lambda: all(watching.keys(short) == keys for short, keys in wanted.items()), 90)
    eventually(lambda: aws.counts(bucket.queue_url) == (0, 0))
    assert aws.counts(bucket.dlq_url) == (0, 0)
