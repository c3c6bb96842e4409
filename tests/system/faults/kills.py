"""The scenario ``kills``: waves of objects, each met by a fault while messages are in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.system.faults import clocks, moves, strikes
from tests.system.faults.plan import Kill, Wave
from tests.system.faults.stage import Stage

#: Airflow notices a dead worker after 300 s by default, and looks for orphans of a dead scheduler as often.
_RECOVERY_SECONDS = 1_200.0
_MOMENT_SECONDS = 300.0
#: What is done to the process of a dispatcher that works.
_TASKS = ("task", "worker", "freeze", "clock-scheduler")
#: What meets a dispatcher that waits, not one that works.
_WATCHING = ("triggerer", "stall-triggerer", "clock-triggerer")
_MOVES = "triggerer-moves"
#: The API server may still store a run that the killed worker asked for.
_UNDER_WAY = 1.0


def play(stage: Stage, waves: Sequence[Wave]) -> list[dict[str, Any]]:
    """Feed every wave and strike its kill; what was in flight at each, and how long the silence lasted."""
    struck = []
    for wave in waves:
        if wave.kill is None:
            stage.feeder.feed(wave.objects)
            continue
        if wave.kill.kind in (*_WATCHING, _MOVES):
            # While the dispatcher works, nothing depends on the triggerer.
            stage.wait("the dispatcher to defer", stage.is_watched, _MOMENT_SECONDS)
        play_one = _play_move if wave.kill.kind == _MOVES else _play_wave
        struck.append(play_one(stage, wave, wave.kill))
    return struck


def _play_wave(stage: Stage, wave: Wave, kill: Kill) -> dict[str, Any]:
    before = stage.run_count()
    feeding = threading.Thread(target=stage.feeder.feed, args=[wave.objects])
    feeding.start()
    try:
        wanted = before + (0 if kill.kind in _WATCHING else max(1, int(kill.share * len(wave.objects))))
        moment = stage.wait(
            f"the moment to kill the {kill.kind}", lambda: _moment(stage, kill, wanted), _MOMENT_SECONDS
        )
        struck = strike(stage, kill, moment)
    finally:
        feeding.join()
    _wait_for_runs(stage, struck["at"])
    return struck


def _play_move(stage: Stage, wave: Wave, kill: Kill) -> dict[str, Any]:
    """Feed when a triggerer stands still with the dispatcher's trigger: nobody hears, until it moves."""
    at = time.time()
    feeding = threading.Thread(target=stage.feeder.feed, args=[wave.objects])
    moment = {"runs": stage.run_count(), **stage.counts()}
    met = moves.move(stage, kill, feeding.start)
    feeding.join()
    _wait_for_runs(stage, at)
    back = stage.moves[-1]["resumed_at"]
    return {"kind": kill.kind, "at": at, "back": back, "met": met, "in_flight_at_kill": moment}


def _wait_for_runs(stage: Stage, at: float) -> None:
    """Until a run was stored after the fault, or nothing is owed one."""
    since = at + _UNDER_WAY
    stage.wait(
        "a run after the kill", lambda: stage.has_run_since(since) or stage.has_all(), _RECOVERY_SECONDS
    )
    stage.say(f"runs again after {time.time() - at:.0f} s")


def _moment(stage: Stage, kill: Kill, wanted: int) -> dict[str, Any] | None:
    """What is in flight, if this is a moment at which the kill hurts."""
    state, pid, tries = stage.dispatcher()
    if state != ("deferred" if kill.kind in _WATCHING else "running"):
        return None
    if kill.kind in _TASKS and pid not in stage.cluster.pids("worker"):
        return None  # it has died, and Airflow does not know yet
    runs, counts = stage.run_count(), stage.counts()
    if runs < wanted or not counts["in_flight"]:
        return None
    return {"runs": runs, **counts, "dispatcher": state, "pid": pid, "try": tries}


def strike(stage: Stage, kill: Kill, moment: dict[str, Any]) -> dict[str, Any]:
    """Strike; what was in flight at it."""
    at = time.time()
    stage.say(f"{kill.kind} for {kill.down_seconds} s; {moment}")
    met = strikes.strike(stage, kill, moment.pop("pid"))
    struck = {"kind": kill.kind, "at": at, "met": met, "in_flight_at_kill": moment}
    if kill.kind.startswith("clock-"):
        struck["jump_seconds"] = clocks.jump_of(kill, stage.jumps)
        time.sleep(clocks.SEEN_SECONDS)
        struck["cleared"] = stage.clear_far_retries()
    return struck
