"""Nothing is handed over under a wrong clock: Airflow gives a run its asset events by their time."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from airflow_s3events import aws_clock
from airflow_s3events.exceptions import SkewedClockError
from airflow_s3events.testing import object_created_body
from tests.adapters.watched import watched
from tests.lines import AIRFLOW

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no asset watchers"),
]


class Clock:
    """By how much the clock is wrong."""

    seconds = 0.0

    def now(self) -> float:
        return time.time() + self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(aws_clock, "AwsClock", partial(aws_clock.AwsClock, now=clock.now))
    return clock


def receives(sqs: Any, queue: str) -> int:
    """How often the one message of a queue has been received, this time not counted."""
    answer = sqs.receive_message(
        QueueUrl=queue, WaitTimeSeconds=2, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )
    (message,) = answer["Messages"]
    return int(message["Attributes"]["ApproximateReceiveCount"]) - 1


async def test_nothing_is_received_while_the_clock_is_wrong(sqs: Any, queue: str, clock: Clock) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody=object_created_body("landing", "in/a.csv"))
    clock.seconds = -420.0
    with pytest.raises(SkewedClockError, match="420 s behind"):
        async with watched(queue):
            pass
    assert receives(sqs, queue) == 0


async def test_what_was_received_when_the_clock_jumped_comes_again(
    sqs: Any, queue: str, clock: Clock
) -> None:
    async with watched(queue) as (stream, _):
        sqs.send_message(QueueUrl=queue, MessageBody=object_created_body("landing", "in/a.csv"))
        clock.seconds = 3_600.0
        with pytest.raises(SkewedClockError, match="3,600 s ahead"):
            await anext(stream.hauls())
    assert receives(sqs, queue) == 1
