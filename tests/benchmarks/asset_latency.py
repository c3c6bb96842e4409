"""From upload to asset run, on an idle Airflow: ours, stock with its defaults, and stock as fast as it gets.

Time counts from before the upload until Airflow's database has the run. The sides take turns; ours waits a
while between two objects, so that every one of them finds everything idle.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged

_IDLE_SECONDS = 4.0
_numbers = itertools.count()


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--objects", type=int, default=20)
    options.add_argument("--stock", type=int, default=4, help="objects for each of the stock sides")
    chosen = options.parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    with staged("assets", prepare=_prepare) as stage:
        counts = {"ours": chosen.objects, "tuned": chosen.stock, "stock": chosen.stock}
        for name in counts:
            stage.cluster.wait_for_dag(name)
        # The watchers start, and S3's test event has to go.
        time.sleep(3 * _IDLE_SECONDS)
        seconds = {name: report.summary(_samples(stage, name, count)) for name, count in counts.items()}
    result = {"load_before": load, "load_after": os.getloadavg()[0], "seconds": seconds}
    report.publish("asset_latency", "Upload to asset run", _text(result), result, write=chosen.write)


def _prepare(aws: EmbeddedAws) -> Mapping[str, str]:
    return {
        f"BENCHMARK_{name.upper()}": aws.notifying_bucket(name).queue_url
        for name in ("ours", "stock", "tuned")
    }


def _samples(stage: Stage, name: str, count: int) -> list[float]:
    found = []
    for number in range(count):
        # Stock looks once a minute: at odd moments.
        time.sleep(_IDLE_SECONDS if name != "stock" else (37 * number) % 61)
        before = stage.run_count(name)
        at = time.time()
        stage.aws.s3.put_object(Bucket=name, Key=f"incoming/{next(_numbers):06}.csv", Body=b"1,2\n")
        stage.wait(f"a run of {name}", partial(_has_more, stage, name, before), 180)
        found.append(stage.created_at(name)[-1] - at)
    return found


def _has_more(stage: Stage, name: str, than: int) -> bool:
    return stage.run_count(name) > than


def _text(result: Mapping[str, Any]) -> str:
    named = {
        "ours": "ours",
        "tuned": "stock, greatest batches, shortest delays",
        "stock": "stock with its defaults",
    }
    rows = [{"seconds": text, **result["seconds"][name]} for name, text in named.items()]
    return (
        f"{report.table(rows)}\n\n"
        f"Median of ours: **{result['seconds']['ours']['p50']} s** (bar: 2.5 s). "
        f"Load average before {result['load_before']:.2f}, at the end {result['load_after']:.2f}."
    )


if __name__ == "__main__":
    main()
