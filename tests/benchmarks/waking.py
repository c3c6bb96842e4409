"""Operators that defer again each time they are woken, and do nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow_s3events._compat import BaseOperator, BaseTrigger, Context, TriggerEvent, earliest_resume_seconds
from airflow_s3events.triggers.s3_event import S3EventTrigger


class SleepTrigger(BaseTrigger):
    """Fires after some seconds."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.SleepTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(self.seconds)
        yield TriggerEvent({"reason": "slept"})


class SleepingOperator(BaseOperator):
    """Defers so often to a trigger that fires after so many seconds."""

    def __init__(self, *, seconds: float, times: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds
        self.times = times

    def execute(self, context: Context) -> None:
        self.resume(context, {}, self.times)

    def resume(self, context: Context, event: Mapping[str, Any], left: int) -> None:  # noqa: ARG002
        if left:
            trigger = SleepTrigger(seconds=self.seconds)
            self.defer(trigger=trigger, method_name="resume", kwargs={"left": left - 1})


class WokenOperator(BaseOperator):
    """Defers to our trigger, and leaves the messages that wake it where they are."""

    def __init__(self, *, sqs_queue: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sqs_queue = sqs_queue

    def execute(self, context: Context) -> None:
        self.resume(context, {})

    def resume(self, context: Context, event: Mapping[str, Any]) -> None:  # noqa: ARG002
        trigger = S3EventTrigger(
            sqs_queue=self.sqs_queue, until=time.time() + 3600, quiet_seconds=earliest_resume_seconds()
        )
        self.defer(trigger=trigger, method_name="resume")
