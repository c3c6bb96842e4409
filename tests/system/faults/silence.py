"""How long nothing was started after a fault, from the times at which runs were stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def after(
    at: float,
    manifest: Mapping[str, Any],
    run_times: Sequence[tuple[float, str]],
    until: float = float("inf"),
) -> dict[str, float | int | None]:
    """Return what a fault at ``at`` (seconds since the epoch) cost.

    ``waiting``: objects uploaded before it that had no run yet. ``caught_up_seconds``: until the last of them
    had one; None if that never came. ``silence_seconds``: the longest time in between without a new run, and
    before ``until``, which is the next fault. ``run_times`` holds (seconds since the epoch, version id of the
    object) in order.
    """
    started = {version_id: when for when, version_id in reversed(run_times)}
    known = [one["version_id"] for one in manifest["objects"] if one["at"] <= at]
    waiting = [version_id for version_id in known if started.get(version_id, at + 1) > at]
    if not waiting or any(version_id not in started for version_id in waiting):
        return {"waiting": len(waiting), "caught_up_seconds": None, "silence_seconds": None}
    end = max(started[version_id] for version_id in waiting)
    last = min(end, until)
    moments = [*(when for when, _ in run_times if at < when < last), last]
    gaps = [when - before for before, when in zip([at, *moments], moments, strict=False)]
    return {
        "waiting": len(waiting),
        "caught_up_seconds": round(end - at, 1),
        "silence_seconds": round(max(gaps), 1),
    }
