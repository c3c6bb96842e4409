"""The scenarios ``api-outage`` and ``api-freeze``: no API server for minutes, while messages wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.system.faults.plan import PlannedObject
from tests.system.faults.stage import Stage

_API = "api-server"
_MOMENT_SECONDS = 120.0
#: After an outage a retry may still have its longest delay before it.
_RECOVERY_SECONDS = 1_500.0


def play(stage: Stage, objects: Sequence[PlannedObject], seconds: float, *, frozen: bool) -> dict[str, Any]:
    """Take the API server away once the first runs were created; bring it back after ``seconds``."""
    feeding = threading.Thread(target=stage.feeder.feed, args=[objects])
    feeding.start()
    stage.wait("the first runs", lambda: stage.run_count() >= 10, _MOMENT_SECONDS)
    at = time.time()
    reached = stage.cluster.pause(_API) if frozen else stage.cluster.kill(_API)
    moment = {"runs": stage.run_count(), **stage.counts(), "dispatcher": stage.dispatcher()[0]}
    stage.say(f"{'SIGSTOP' if frozen else 'kill -9'} of the API server for {seconds:.0f} s; {moment}")
    feeding.join()
    _watch(stage, at + seconds)
    away = {"runs": stage.run_count(), **stage.counts(), "dispatcher": stage.dispatcher()[0]}
    stage.say(f"the API server comes back; {away}")
    back = time.time()
    if frozen:
        stage.cluster.resume(_API)
    else:
        stage.cluster.restart(_API)
    stage.wait("a run after the outage", lambda: stage.has_run_since(back), _RECOVERY_SECONDS)
    stage.say(f"runs again after {time.time() - back:.0f} s")
    return {
        "kind": "api-freeze" if frozen else "api-outage",
        "at": at,
        "back": back,
        "processes": len(reached),
        "in_flight_at_kill": moment,
        "at_its_end": away,
    }


def _watch(stage: Stage, until: float) -> None:
    while (left := until - time.time()) > 0:
        time.sleep(min(30.0, left))
        stage.say(f"{stage.run_count()} runs; {stage.counts()}; dispatcher {stage.dispatcher()}")
