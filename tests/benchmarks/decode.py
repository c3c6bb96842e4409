"""Bodies to events, against Powertools' models and against ``json.loads`` alone.

The three take turns on the same bodies, those of ``tests/payloads``; the best of five rounds counts.
Powertools has one model for each envelope, so it is told which, and it leaves keys encoded.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.parser.models import (
    S3EventNotificationEventBridgeModel,
    S3Model,
    SnsNotificationModel,
)

from airflow_s3events.envelopes import parse_body

PAYLOADS = Path(__file__).parents[1] / "payloads"
ROUNDS = 5
Read = Callable[[str], Any]


def _through_sns(body: str) -> Any:
    return S3Model.model_validate_json(str(SnsNotificationModel.model_validate_json(body).Message))


#: What takes part: the form, a body of it, and how Powertools reads it.
CASES: list[tuple[str, str, Read]] = [
    ("S3", "put", S3Model.model_validate_json),
    ("S3, encoded key", "put-hive-key", S3Model.model_validate_json),
    ("S3, delete", "delete", S3Model.model_validate_json),
    ("S3, delete marker", "delete-marker", S3Model.model_validate_json),
    ("SNS", "sns-put", _through_sns),
    ("EventBridge", "eventbridge-created", S3EventNotificationEventBridgeModel.model_validate_json),
]


def _ours(body: str) -> Any:
    return parse_body(body, message_id="0a1b2c3d-0000-4000-8000-000000000000")


def _seconds(read: Read, body: str, times: int) -> float:
    """Processor time for one body."""
    start = time.process_time()
    for _ in range(times):
        read(body)
    return (time.process_time() - start) / times


def measure(body: str, theirs: Read, times: int) -> tuple[float, float, float]:
    """Best seconds for one body: ours, Powertools, ``json.loads``."""
    readers = (_ours, theirs, json.loads)
    rounds = [[_seconds(read, body, times) for read in readers] for _ in range(ROUNDS)]
    ours, powertools, loads = (min(each) for each in zip(*rounds, strict=True))
    return ours, powertools, loads


def run(times: int) -> list[dict[str, Any]]:
    """A row for each case, and one for all of them together."""
    gc.collect()
    measured = [
        (name, measure((PAYLOADS / f"{body}.json").read_text(), theirs, times))
        for name, body, theirs in CASES
    ]
    ours, powertools, loads = (sum(column) for column in zip(*(each for _, each in measured), strict=True))
    measured.append(("all", (ours, powertools, loads)))
    return [
        {
            "bodies": name,
            "ours_microseconds": round(ours * 1e6, 1),
            "powertools_microseconds": round(theirs * 1e6, 1),
            "json_microseconds": round(loads * 1e6, 1),
            "times_powertools": round(theirs / ours, 2),
            "times_json": round(ours / loads, 2),
        }
        for name, (ours, theirs, loads) in measured
    ]


def main() -> None:
    """Print a table or, with ``--json``, one line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=20_000, help="readings of each body in a round")
    options.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    args = options.parse_args()
    rows = run(args.times)
    if args.json:
        print(json.dumps({"times": args.times, "rows": rows}))
        return
    print(f"{'bodies':20} {'ours':>9} {'Powertools':>12} {'json':>9}   Powertools/ours   ours/json")
    for row in rows:
        name, ours, theirs, loads, of_theirs, of_json = row.values()
        print(
            f"{name:20} {ours:6.1f} µs {theirs:9.1f} µs {loads:6.1f} µs   {of_theirs:15.2f}   {of_json:9.2f}"
        )


if __name__ == "__main__":
    main()
