"""A trigger that fires at a given moment, and notes how late the event loop let it.

In a triggerer it stands for everybody else's triggers.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from airflow_s3events._compat import BaseOperator, BaseTrigger, Context, TriggerEvent

_TICK_SECONDS = 0.05


class PunctualTrigger(BaseTrigger):
    """Fires at ``at`` (seconds since the epoch); ``log`` gets a line of that and the moment of waking."""

    def __init__(self, *, at: float, log: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.at = at
        self.log_path = log

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.PunctualTrigger", {"at": self.at, "log": self.log_path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(max(0.0, self.at - time.time()))
        _note(self.log_path, {"at": self.at, "woke": time.time()})
        yield TriggerEvent({"at": self.at})


class TickingTrigger(BaseTrigger):
    """Never fires; ``log`` gets a line a second: the moment, and how late a timer of 50 ms was at worst."""

    def __init__(self, *, log: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log_path = log

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.TickingTrigger", {"log": self.log_path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            started, worst = time.monotonic(), 0.0
            while (now := time.monotonic()) - started < 1.0:
                await asyncio.sleep(_TICK_SECONDS)
                worst = max(worst, time.monotonic() - now - _TICK_SECONDS)
            _note(self.log_path, {"now": time.time(), "late": worst})
        yield TriggerEvent({})


class PunctualOperator(BaseOperator):
    """Defers to a ``PunctualTrigger`` for the moment ``conf["at"]``; to a ``TickingTrigger`` without one."""

    def __init__(self, *, log: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.log_path = log

    def execute(self, context: Context) -> None:
        conf: Mapping[str, Any] = context["dag_run"].conf or {}
        if "at" in conf:
            self.defer(trigger=PunctualTrigger(at=conf["at"], log=self.log_path), method_name="resume")
        self.defer(trigger=TickingTrigger(log=self.log_path), method_name="resume")

    def resume(self, context: Context, event: Mapping[str, Any]) -> None:
        """Nothing is left to do."""


def _note(path: str, line: Mapping[str, float]) -> None:
    with Path(path).open("a") as file:
        file.write(json.dumps(line) + "\n")
