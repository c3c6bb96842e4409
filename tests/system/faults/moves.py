"""Triggers that move between two living triggerers: one stands still until the other has them."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.system.faults.ground import Ground
from tests.system.faults.plan import Kill

_OWNERS = "SELECT id, triggerer_id FROM trigger WHERE triggerer_id IS NOT NULL"
_SEEN = "SELECT id, EXTRACT(EPOCH FROM latest_heartbeat) FROM job WHERE job_type = 'TriggererJob'"
#: A triggerer's heart beats every 5 s by default; the other looks as often.
_BEAT_SECONDS = 30.0
_MOVED_SECONDS = 120.0


def move(ground: Ground, kill: Kill, stopped: Callable[[], object] = bool) -> int:
    """Do it; the number of triggers that changed hands, which ``ground.moves`` names for the audit.

    Args:
        ground: A cluster with two triggerers, one of which has a trigger.
        kill: Which triggerer is tried first, and for how long it stands still with its triggers gone.
        stopped: Called once the triggerer that has triggers stands still.
    """
    names = [name for name in ground.components if name.removesuffix("-2") == "triggerer"]
    if int(kill.share * 100) % 2:
        names.reverse()
    for name in names:
        before = owners(ground)
        at = time.time()
        ground.cluster.pause(name)
        try:
            if not _is_struck(ground, set(before.values()), at):
                continue
            ground.say(f"{name} stands still; triggers by triggerer: {before}")
            stopped()
            after = _wait_for_move(ground, before)
            time.sleep(kill.down_seconds)
        finally:
            ground.cluster.resume(name)
        ground.moves.append({"before": before, "after": after, "resumed_at": time.time()})
        changed = _moved(before, after)
        ground.say(f"{name} goes on; triggers by triggerer were {before}, are {after}")
        return len(changed)
    raise RuntimeError(f"no triggerer of {names} has a trigger")


def owners(ground: Ground) -> dict[str, int]:
    """Which triggerer has which trigger, both by their ids in the database."""
    return {str(row[0]): int(row[1]) for row in ground.rows(_OWNERS)}


def _is_struck(ground: Ground, known: set[int], at: float) -> bool:
    """Whether one of those who had triggers is silent since, when the others have been heard."""
    deadline = time.time() + _BEAT_SECONDS
    while time.time() < deadline:
        seen = {int(row[0]): float(row[1]) for row in ground.rows(_SEEN)}
        silent = {owner for owner in known if seen[owner] <= at + 0.5}
        if not silent:
            return False
        if time.time() > at + _BEAT_SECONDS / 3:
            return True
        time.sleep(0.5)
    return True


def _wait_for_move(ground: Ground, before: dict[str, int]) -> dict[str, int]:
    ground.wait("its triggers at the other", lambda: _moved(before, owners(ground)), _MOVED_SECONDS)
    return owners(ground)


def _moved(before: dict[str, int], after: dict[str, int]) -> list[str]:
    return [name for name, owner in before.items() if name in after and after[name] != owner]
