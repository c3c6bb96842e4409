"""The floor of the latency benchmark: Airflow resumes a deferred task, which creates one run."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from airflow_s3events._compat import (
    BaseOperator,
    BaseTrigger,
    Context,
    TriggerEvent,
    airflow_runs,
    earliest_resume_seconds,
)

_POLL_SECONDS = 0.01


class FileTrigger(BaseTrigger):
    """Fires when a file appears, as fast as a loop can look, no sooner than our own trigger may."""

    def __init__(self, *, path: str, quiet_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.path = path
        self.quiet_seconds = quiet_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.FileTrigger", {"path": self.path, "quiet_seconds": self.quiet_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(self.quiet_seconds)
        while not os.path.exists(self.path):  # noqa: ASYNC110, ASYNC240 - there is only the file to look at
            await asyncio.sleep(_POLL_SECONDS)
        yield TriggerEvent({"reason": "file"})


class FloorOperator(BaseOperator):
    """Defers; when woken creates one run of ``target`` with the conf that the file holds; defers again."""

    def __init__(self, *, path: str, target: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.target = target

    def execute(self, context: Context) -> None:  # noqa: ARG002 - Airflow passes it
        self._defer()

    def resume(self, context: Context, event: Mapping[str, Any]) -> None:  # noqa: ARG002
        conf = json.loads(Path(self.path).read_text())
        asyncio.run(airflow_runs().create(self.target, f"floor-{time.time_ns()}", conf))
        Path(self.path).unlink()
        self._defer()

    def _defer(self) -> None:
        trigger = FileTrigger(path=self.path, quiet_seconds=earliest_resume_seconds())
        self.defer(trigger=trigger, method_name="resume")
