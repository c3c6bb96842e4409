"""Compares what was uploaded with what Airflow's database and the queues hold, and prints one JSON object.

It imports nothing of the package that it judges: SQL, SQS and a manifest are all it knows.

    python tests/system/faults/audit.py MANIFEST --database URL --endpoint URL --queue URL --dlq URL

The manifest is ``{"dag_id", "bucket", "objects": [{"key", "version_id", "size", ...}, ...], "malformed":
[bodies]}``. An object's runs are those with its bucket, key and version in ``conf["s3_event"]``. Exit status
0: one run for each, nothing else, nothing in the queue, and in the dead letter queue what is malformed, once
each.

More is judged of a manifest that holds more: ``"forgotten"``, versions whose runs were removed before their
messages came again (they have no run, with ``--ledger``); ``"deletes"``, what a witness saw of messages that
were deleted (none before its run had succeeded, and every run has); ``"moves"``, which triggerer had which
trigger before and after one stood still (some moved, and both triggerers have lived on). ``--ledger`` names
the database with the dispatcher's ledger: each object has one entry, with the id of its run.
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
_FAULTS = (
    "lost",
    "twice",
    "of_no_object",
    "wrong_metadata",
    "started_again",
    "not_dead_lettered",
    "wrongly_dead_lettered",
)
#: Of manifests that hold more, or with a ledger.
_MORE_FAULTS = (
    "not_in_ledger",
    "twice_in_ledger",
    "ledger_names_no_run",
    "deleted_early",
    "deleted_unseen",
    "not_succeeded",
    "moves_that_failed",
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
    gone = set(manifest.get("forgotten", ()))
    again = [key for _, key, version in found if version in gone]
    lost = [one[1] for one in wanted if one[2] not in gone and not found[one]]
    twice = [key for (_, key, _), count in found.items() if count > 1]
    return {
        "objects": len(manifest["objects"]),
        "distinct": len(wanted),
        "runs": len(events),
        "lost": len(lost),
        "twice": len(twice),
        "of_no_object": len(set(found) - set(wanted)),
        "wrong_metadata": len(wrong),
        "forgotten": len(gone),
        "started_again": len(again),
        "named": (lost + twice + wrong + again)[:_NAMED],
    }


def judge_ledger(
    manifest: Mapping[str, Any],
    entries: Iterable[Mapping[str, Any]],
    runs: Iterable[tuple[str, Mapping[str, Any]]],
) -> dict[str, int]:
    """Return how many objects the ledger does not know, knows twice, or knows without their run.

    Args:
        manifest: See above.
        entries: The ledger's, as data.
        runs: Run id and conf of each run of the target.
    """
    named = {str((conf.get("s3_event") or {}).get("version_id")): run_id for run_id, conf in runs}
    gone = set(manifest.get("forgotten", ()))
    of_version: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        if entry["dag_id"] == manifest["dag_id"]:
            of_version.setdefault(str(entry["event"]["version_id"]), []).append(entry)
    versions = [one["version_id"] for one in manifest["objects"]]
    wrong = [
        version
        for version in versions
        for entry in of_version.get(version, ())
        if not entry["run_id"] or (version not in gone and entry["run_id"] != named.get(version))
    ]
    known = [entry for found in of_version.values() for entry in found]
    return {
        "ledger_entries": len(known),
        "not_in_ledger": sum(version not in of_version for version in versions),
        "twice_in_ledger": sum(len(of_version.get(version, ())) > 1 for version in versions),
        "ledger_names_no_run": len(wrong),
        "seen_again": sum(entry["seen"] - 1 for entry in known),
    }


def judge_deletes(deletes: Mapping[str, Any], objects: int, states: Mapping[str, int]) -> dict[str, int]:
    """Return how many messages were deleted too early, or unseen, and how many runs have not succeeded."""
    return {
        "deletes_looked_at": deletes["looked"],
        "deleted_early": len(deletes["early"]),
        "deleted_unseen": max(0, objects - deletes["looked"]),
        "not_succeeded": sum(count for state, count in states.items() if state != "success"),
    }


def judge_moves(moves: Iterable[Mapping[str, Any]], beats: Mapping[int, float]) -> dict[str, int]:
    """Return how many triggers moved, and how often none did or one of the two triggerers did not live on.

    Args:
        moves: Of each: trigger to triggerer ``before`` and ``after``, and when it was over (``resumed_at``).
        beats: Job id of each triggerer to its last heartbeat, both times in seconds since the epoch.
    """
    moved, failed = 0, 0
    for move in moves:
        pairs = [
            (owner, move["after"][name])
            for name, owner in move["before"].items()
            if move["after"].get(name, owner) != owner
        ]
        lived = all(beats.get(job, 0.0) > move["resumed_at"] for pair in pairs for job in pair)
        moved += len(pairs)
        failed += not pairs or not lived
    return {"triggers_moved": moved, "moves_that_failed": failed}


def read_runs(database: str, dag_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return id, state and conf of every run of a DAG."""
    rows = _rows(database, "SELECT run_id, state, conf FROM dag_run WHERE dag_id = :dag", dag=dag_id)
    return [(run_id, state, conf_of(conf)) for run_id, state, conf in rows]


def read_entries(ledger: str) -> list[dict[str, Any]]:
    """Return every entry of a ledger."""
    rows = _rows(ledger, "SELECT body FROM s3events_ledger WHERE name LIKE 'event/%'")
    return [json.loads(body) for (body,) in rows]


def read_beats(database: str) -> dict[int, float]:
    """Return the job id of each triggerer there ever was, and its last heartbeat."""
    sql = "SELECT id, EXTRACT(EPOCH FROM latest_heartbeat) FROM job WHERE job_type = 'TriggererJob'"
    return {int(job): float(at) for job, at in _rows(database, sql)}


def _rows(database: str, sql: str, **values: Any) -> list[Any]:
    from sqlalchemy import create_engine, text

    engine = create_engine(database)
    with engine.connect() as connection:
        found = list(connection.execute(text(sql), values))
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
    faults = [result[name] for name in _FAULTS]
    faults += [result[name] for name in _MORE_FAULTS if name in result]
    left = [*result["queue"].values(), result["dlq"]["in_flight"], result["dlq"]["delayed"]]
    wanted = result["objects"] - result["forgotten"]
    return result["runs"] == wanted and not any(faults) and not any(left)


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
    parser.add_argument("--ledger")
    options = parser.parse_args()
    manifest = json.loads(options.manifest.read_text())
    runs = read_runs(options.database, manifest["dag_id"])
    result = judge(manifest, [conf for _, _, conf in runs])
    if options.ledger:
        named = [(run_id, conf) for run_id, _, conf in runs]
        result |= judge_ledger(manifest, read_entries(options.ledger), named)
    if "deletes" in manifest:
        states = Counter(state for _, state, _ in runs)
        result |= judge_deletes(manifest["deletes"], result["objects"], states)
    if manifest.get("moves"):
        result |= judge_moves(manifest["moves"], read_beats(options.database))
    result["queue"] = read_queue(options.endpoint, options.queue)
    result["dlq"] = read_queue(options.endpoint, options.dlq)
    dead = read_bodies(options.endpoint, options.dlq) if result["dlq"]["visible"] else []
    result |= judge_dead_letters(manifest.get("malformed", ()), dead)
    result["clean"] = is_clean(result)
    print(json.dumps(result, ensure_ascii=False))
    return 0 if result["clean"] else 1


if __name__ == "__main__":
    sys.exit(main())
