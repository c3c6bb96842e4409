"""Compares what was uploaded with what Airflow's database and the queues hold, and prints one JSON object.

It imports nothing of the package that it judges: SQL, SQS and a manifest are all it knows.

    python tests/system/faults/audit.py MANIFEST --database URL --endpoint URL --queue URL --dlq URL

The manifest is ``{"dag_id", "bucket", "objects": [{"key", "version_id", "size", ...}, ...], "malformed":
[bodies]}``. An object's runs are those with its bucket, key and version in ``conf["s3_event"]``. Exit status
0: one run for each, nothing else, nothing in the queue, and in the dead letter queue what is malformed, once
each.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
#: Of the objects that went wrong, so many are named.
_NAMED = 20


def judge(manifest: Mapping[str, Any], confs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many objects have no run, several, or a run with other metadata, and runs of no object."""
    wanted = {(manifest["bucket"], one["key"], one["version_id"]): one for one in manifest["objects"]}
    events = [conf.get("s3_event") or {} for conf in confs]
    found = Counter((event.get("bucket"), event.get("key"), event.get("version_id")) for event in events)
    wrong = [
        event["key"]
        for event in events
        if (one := wanted.get((event.get("bucket"), event.get("key"), event.get("version_id")))) is not None
        and event.get("size") != one["size"]
    ]
    lost = [key for _, key, version in wanted if not found[manifest["bucket"], key, version]]
    twice = [key for (_, key, _), count in found.items() if count > 1]
    return {
        "objects": len(manifest["objects"]),
        "distinct": len(wanted),
        "runs": len(events),
        "lost": len(lost),
        "twice": len(twice),
        "of_no_object": len(set(found) - set(wanted)),
        "wrong_metadata": len(wrong),
        "named": (lost + twice + wrong)[:_NAMED],
    }


def read_confs(database: str, dag_id: str) -> list[dict[str, Any]]:
    """Return the conf of every run of a DAG."""
    from sqlalchemy import create_engine, text

    engine = create_engine(database)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT conf FROM dag_run WHERE dag_id = :dag"), {"dag": dag_id})
        found = [conf_of(row[0]) for row in rows]
    engine.dispose()
    return found


def conf_of(stored: Any) -> dict[str, Any]:
    """Return the conf that a row holds: as data, as JSON, or, on Airflow 2, pickled."""
    if isinstance(stored, str):
        stored = json.loads(stored)
    elif isinstance(stored, (bytes, memoryview)):
        stored = pickle.loads(bytes(stored))  # noqa: S301 - Airflow wrote it
    return dict(stored or {})


def read_queue(endpoint: str, queue: str) -> dict[str, int]:
    """Return the messages of a queue: visible, in flight, delayed."""
    found = _client(endpoint).get_queue_attributes(QueueUrl=queue, AttributeNames=list(_COUNTS))["Attributes"]
    visible, in_flight, delayed = (int(found.get(name, 0)) for name in _COUNTS)
    return {"visible": visible, "in_flight": in_flight, "delayed": delayed}


def read_bodies(endpoint: str, queue: str) -> list[str]:
    """Return the body of each message that is visible, and let it be visible again at once."""
    sqs, found, handles = _client(endpoint), dict[str, str](), list[str]()
    while got := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=30).get(
        "Messages"
    ):
        found |= {message["MessageId"]: message["Body"] for message in got}
        handles.extend(message["ReceiptHandle"] for message in got)
    for handle in handles:
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=0)
    return list(found.values())


def _client(endpoint: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="audit",
        aws_secret_access_key="audit",
        config=Config(proxies={}),
    )


def is_clean(result: Mapping[str, Any]) -> bool:
    """One run for each object, with its metadata, and nothing else anywhere but what is malformed."""
    faults = ("lost", "twice", "of_no_object", "wrong_metadata", "not_dead_lettered", "wrongly_dead_lettered")
    left = [*result["queue"].values(), result["dlq"]["in_flight"], result["dlq"]["delayed"]]
    return result["runs"] == result["objects"] and not any(result[name] for name in faults) and not any(left)


def judge_dead_letters(malformed: Iterable[str], dead: Iterable[str]) -> dict[str, Any]:
    """Return how many malformed bodies are not in the dead letter queue, and what else is there.

    One that is there twice was sent, and its sender was killed before it could delete it where it came from.
    """
    sent, found = set(malformed), Counter(dead)
    others = sorted(set(found) - sent)
    return {
        "malformed": len(sent),
        "not_dead_lettered": len(sent - set(found)),
        "dead_lettered_again": sum(found[body] - 1 for body in sent & set(found)),
        "wrongly_dead_lettered": len(others),
        "dead": [body[:500] for body in others[:_NAMED]],
    }


def main() -> int:
    """Audit, print, and say by the exit status whether all is well."""
    parser = argparse.ArgumentParser(description="Compares a manifest with Airflow's runs and the queues.")
    parser.add_argument("manifest", type=Path)
    for name in ("--database", "--endpoint", "--queue", "--dlq"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    manifest = json.loads(options.manifest.read_text())
    result = judge(manifest, read_confs(options.database, manifest["dag_id"]))
    result["queue"] = read_queue(options.endpoint, options.queue)
    result["dlq"] = read_queue(options.endpoint, options.dlq)
    dead = read_bodies(options.endpoint, options.dlq) if result["dlq"]["visible"] else []
    result |= judge_dead_letters(manifest.get("malformed", ()), dead)
    result["clean"] = is_clean(result)
    print(json.dumps(result, ensure_ascii=False))
    return 0 if result["clean"] else 1


if __name__ == "__main__":
    sys.exit(main())
