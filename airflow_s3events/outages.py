"""Trying again for as long as AWS is away."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from airflow_s3events.exceptions import OutageError

log = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_PAUSE_SECONDS = 60.0
_MOST_DOUBLINGS = 6


async def through_outages(
    attempt: Callable[[], Awaitable[T]],
    *,
    until: float,
    told: Callable[[OutageError], Awaitable[None]] | None = None,
) -> T | None:
    """Return what ``attempt`` returns, tried anew after each ``OutageError``; None when time is up.

    The pauses grow from 2 seconds to a minute, with jitter. An attempt that had gone well for longer than a
    minute before it met the outage begins them anew.

    Args:
        attempt: Opens what it needs by itself: a new client for each try.
        until: Seconds since the epoch; no try begins later.
        told: Told of each outage.
    """
    outages = 0
    while time.time() < until:
        asked_at = time.monotonic()
        try:
            return await attempt()
        except OutageError as outage:
            is_new = time.monotonic() - asked_at > _LONGEST_PAUSE_SECONDS
            outages = 1 if is_new else min(outages + 1, _MOST_DOUBLINGS)
            seconds = min(2.0**outages, _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311
            log.warning("AWS is out of reach; asking again in %.0f s: %s", seconds, outage)
            if told is not None:
                await told(outage)
            await asyncio.sleep(min(seconds, max(0.0, until - time.time())))
    return None
