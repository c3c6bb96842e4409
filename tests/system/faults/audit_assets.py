"""Compares what was uploaded with the asset events and runs that came of it, and prints one JSON object.

It imports nothing of the package that it judges: SQL, SQS, a manifest and the notes of the runs are all.

    python -m tests.system.faults.audit_assets MANIFEST --database URL --endpoint URL --queue URL --dlq URL

The manifest is ``{"notes": folder, "assets": {name: part of the key}, "keys": [key, ...]}``: an asset wants
each key that has its part in it, and its DAG has its name. A run has written the keys that it was given into
a file ``notes/<DAG>/<task instance>.json``. Exit status 0: each key is in an asset event of each asset that
wants it, and in exactly one run of it; no asset event is in no run, but those that were stored once more,
which say so; both queues are empty. ``"moves"`` of the manifest are judged as ``audit`` does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.system.faults.audit import judge_moves, read_beats

#: Of the keys that went wrong, so many are named.
_NAMED = 20
#: Says of an asset event that runs had passed it by, and that there is another one in its place.
_STORED_AGAIN = "s3_events_stored_again"
_EVENTS = """
    SELECT a.name, e.id, e.extra,
        (SELECT count(*) FROM dagrun_asset_event d WHERE d.event_id = e.id)
    FROM asset_event e JOIN asset a ON a.id = e.asset_id
"""


def judge(
    manifest: Mapping[str, Any],
    stored: Iterable[tuple[str, list[str], int]],
    noted: Iterable[tuple[str, list[str]]],
) -> dict[str, Any]:
    """Return what is missing, what is there twice, and how much was repeated on the way.

    Args:
        manifest: See above.
        stored: Of each asset event: its asset, the keys that it holds, and in how many runs it is, or how
            many asset events are in its place.
        noted: Of each run: its DAG, and the keys that it was given.
    """
    wanted = {
        (asset, key) for asset, part in manifest["assets"].items() for key in manifest["keys"] if part in key
    }
    stored, noted = list(stored), list(noted)
    held = Counter((asset, key) for asset, keys, _ in stored for key in keys)
    given = Counter((dag, key) for dag, keys in noted for key in keys)
    lost = [pair for pair in wanted if not held[pair]]
    missing = [pair for pair in wanted if not given[pair]]
    twice = [pair for pair, count in given.items() if count > 1]
    return {
        "objects": len(manifest["keys"]),
        "wanted": len(wanted),
        "asset_events": len(stored),
        "runs": len(noted),
        "runs_without_events": sum(not keys for _, keys in noted),
        "in_no_asset_event": len(lost),
        "in_no_run": len(missing),
        "in_two_runs": len(twice),
        "not_wanted": len(set(given) - wanted),
        "stranded": sum(not runs for _, _, runs in stored),
        "repeats": held.total() - len(held),
        "named": [f"{asset}: {key}" for asset, key in (lost + missing + twice)[:_NAMED]],
    }


def read_stored(database: str) -> list[tuple[str, list[str], int]]:
    """Return asset, keys and number of runs of each asset event; another in its place counts as a run."""
    from sqlalchemy import create_engine, text

    engine = create_engine(database)
    with engine.connect() as connection:
        rows = list(connection.execute(text(_EVENTS)))
    engine.dispose()
    found = []
    for name, _, extra, runs in rows:
        data = json.loads(extra) if isinstance(extra, str) else extra
        keys = [event["key"] for event in data["payload"]["s3_events"]]
        found.append((name, keys, runs + bool(data.get(_STORED_AGAIN))))
    return found


def read_notes(folder: Path) -> list[tuple[str, list[str]]]:
    """Return DAG and keys of each run."""
    return [(path.parent.name, json.loads(path.read_text())) for path in folder.glob("*/*.json")]


def read_queue(endpoint: str, queue: str) -> int:
    """Return all messages of a queue, whatever their state."""
    import boto3
    from botocore.config import Config

    names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
    sqs = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="audit",
        aws_secret_access_key="audit",
        config=Config(proxies={}),
    )
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(found.get(name, 0)) for name in names)


def is_clean(result: Mapping[str, Any]) -> bool:
    """Whether all that was uploaded is where it belongs, once, and nothing is anywhere else."""
    faults = ("in_no_asset_event", "in_no_run", "in_two_runs", "not_wanted", "stranded", "queue", "dlq")
    return not any(result[name] for name in faults) and not result.get("moves_that_failed")


def main() -> int:
    """Audit, print, and say by the exit status whether all is well."""
    parser = argparse.ArgumentParser(description="Compares a manifest with Airflow's asset events and runs.")
    parser.add_argument("manifest", type=Path)
    for name in ("--database", "--endpoint", "--queue", "--dlq"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    manifest = json.loads(options.manifest.read_text())
    result = judge(manifest, read_stored(options.database), read_notes(Path(manifest["notes"])))
    if manifest.get("moves"):
        result |= judge_moves(manifest["moves"], read_beats(options.database))
    result["queue"] = read_queue(options.endpoint, options.queue)
    result["dlq"] = read_queue(options.endpoint, options.dlq)
    result["clean"] = is_clean(result)
    print(json.dumps(result, ensure_ascii=False))
    return 0 if result["clean"] else 1


if __name__ == "__main__":
    sys.exit(main())
