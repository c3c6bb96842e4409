"""What a message that can never work costs in receives, once it has failed a few times.

Run it as ``python -m tests.benchmarks.poison --minutes 60``.

Each kind of poison has a queue and a dispatcher of its own: the operator and its triggers with their
defaults, in a process that does what Airflow does, deferring and resuming, but is no Airflow. Runs are made
in memory, and each fails at once. A proxy before the embedded AWS counts how often each message is received,
by whom it may be. A failure is a release with a delay.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import re
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

from airflow_s3events import S3EventDispatchOperator
from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.settlement import RunState
from airflow_s3events.testing import object_created_body
from tests.adapters.deferral import TaskDeferred
from tests.benchmarks import report
from tests.core.dispatch_fakes import FakeRuns
from tests.system.recording_proxy import recording_proxy

_FAILURES = 5
_BAR = 1.0
_MAX_RECEIVES = 20


class FailingRuns(FakeRuns):
    """Each run has failed by the time that somebody asks."""

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        made = await super().create(dag_id, run_id, conf, note)
        self.stored[dag_id, run_id] = RunState.FAILED
        return made

    async def clear(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        await super().clear(dag_id, run_id, conf)
        self.stored[dag_id, run_id] = RunState.FAILED


#: Name of the queue to its body, whether it has a redrive policy, and arguments of its dispatcher.
KINDS: Mapping[str, tuple[str, bool, Mapping[str, Any]]] = {
    "malformed": ("no event", False, {"routes": "process"}),
    "missing-dag": (object_created_body("landing", "missing"), True, {"routes": "missing"}),
    "always-fails": (
        object_created_body("landing", "fails"),
        True,
        {"routes": "process", "acknowledge": "run_succeeded"},
    ),
}
WORDS = {
    "malformed": "a body that is no event, in a queue without a dead letter queue",
    "missing-dag": "an event for a DAG that does not exist",
    "always-fails": 'an event whose run always fails, `acknowledge="run_succeeded"`',
}


#: A line of the log of decisions: ten of a kind in a minute, and one message is released far less often.
_RELEASED = re.compile(r"^decision=released .*\bdelay_seconds=(\d+)")


class Failures(logging.Handler):
    """Writes a line for each release with a delay."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        """Note the moment and the delay."""
        found = _RELEASED.search(record.getMessage())
        if found is not None and (seconds := int(found[1])):
            with self._path.open("a") as file:
                file.write(json.dumps([record.created, seconds]) + "\n")


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--minutes", type=float, default=60.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedAws(Path(folder)) as aws:
        rows = _measure(aws, Path(folder), chosen.minutes * 60)
    text = report.table([{**row, "message": WORDS[row["message"]]} for row in rows])
    result = {"minutes": chosen.minutes, "kinds": rows}
    report.publish("poison", "Receives of a message that can never work", text, result, write=chosen.write)


def _measure(aws: EmbeddedAws, folder: Path, seconds: float) -> list[dict[str, Any]]:
    with recording_proxy(aws.endpoint_url) as recording:
        extra = {"endpoint_url": recording.url, "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": "any", "password": "any", "extra": extra}
        os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
        for name, (body, has_policy, _) in KINDS.items():
            aws.sqs.send_message(QueueUrl=_make_queue(aws, name, has_policy=has_policy), MessageBody=body)
        working = [
            multiprocessing.get_context("spawn").Process(target=_dispatch, args=(name, str(folder)))
            for name in KINDS
        ]
        for process in working:
            process.start()
        time.sleep(seconds)
        for process in working:
            process.kill()
            process.join()
        until = time.time()
        return [_row(name, folder, recording.receives, until) for name in KINDS]


def _make_queue(aws: EmbeddedAws, name: str, *, has_policy: bool) -> str:
    attributes = {}
    if has_policy:
        dlq = aws.sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
        arn = aws.sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": _MAX_RECEIVES}
        attributes = {"RedrivePolicy": json.dumps(policy)}
    url: str = aws.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def _dispatch(name: str, folder: str) -> NoReturn:
    """Do what Airflow does: run the task, run its trigger, resume the task; until killed."""
    log = logging.getLogger("airflow_s3events")
    log.setLevel(logging.INFO)
    log.addHandler(Failures(Path(folder) / name))
    runs = FailingRuns("process")
    operator = S3EventDispatchOperator(task_id="dispatch", sqs_queue=name, **KINDS[name][2])
    with (
        patch("airflow_s3events.operators.dispatching.shift.airflow_runs", lambda: runs),
        patch("airflow_s3events.triggers.s3_event_hold.trigger_runs", lambda: runs),
    ):
        triggerer = asyncio.new_event_loop()
        # What a trigger holds is kept in flight while the task works.
        threading.Thread(target=triggerer.run_forever, daemon=True).start()
        work = partial(operator.execute, {})
        while True:
            try:
                work()
                # Its life is over: the next run of the dispatcher's DAG.
                work = partial(operator.execute, {})
            except TaskDeferred as deferred:
                event = asyncio.run_coroutine_threadsafe(_fired(deferred.trigger), triggerer).result()
                work = partial(operator.resume, {}, event, **(deferred.kwargs or {}))


async def _fired(trigger: Any) -> Any:
    async with aclosing(trigger.run()) as events:
        return (await anext(events)).payload


def _row(name: str, folder: Path, receives: list[tuple[float, str]], until: float) -> dict[str, Any]:
    log = folder / name
    failures = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    mine = [at for at, body in receives if body == KINDS[name][0]]
    row: dict[str, Any] = {"message": name, "failures": len(failures), "receives": len(mine)}
    row["delays, s"] = ", ".join(f"{delay:.0f}" for _, delay in failures)
    fifth = failures[_FAILURES - 1][0] if len(failures) >= _FAILURES else until
    minutes, after = (until - fifth) / 60, sum(at > fifth for at in mine)
    row |= {"minutes after the fifth failure": round(minutes, 1), "receives after it": after}
    return row | {f"a minute (bar: {_BAR:g})": round(after / minutes, 3) if minutes else "-"}


if __name__ == "__main__":
    main()
