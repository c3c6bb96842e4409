"""The roll of a queue's watchers, which all triggerers keep together in one Airflow variable.

A message comes to one triggerer, but a watcher that wants part of it may run in another, or may not have come
back from a restart yet. Whoever receives the message has to know of it: else the message would be deleted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from airflow_s3events._compat.asset_events import read_variable, write_variable
from airflow_s3events.consumer.waking import Wake
from airflow_s3events.exceptions import OutageError
from airflow_s3events.watchers import Watchers, call_roll, roll_key

log = logging.getLogger(__name__)

#: Seconds between two looks at the roll.
_LOOK_SECONDS = 5.0
_MEETINGS = 3
#: Seconds until another look after the roll was written.
_AGAIN_SECONDS = 1.0
#: Seconds after which a watcher that runs is written down again.
_RENEW_SECONDS = 60.0
#: A watcher that nobody has seen for so long is forgotten: what it wanted is nobody's.
ABSENT_SECONDS = 3_600.0
#: Nobody is forgotten so soon after a start: after a long outage the others need time to come back, too.
_PATIENT_SECONDS = 600.0


class Roll:
    """Keeps the roll of one queue up to date, and tells the watchers of this process of all others.

    While the variable cannot be read or written, what was known of it stands.

    Args:
        sqs_queue: The queue, as its watchers name it.
        watchers: Those of this process.
        now: Seconds since the epoch, by a clock that all triggerers agree on.
        elapsed: Seconds that nobody sets.
    """

    def __init__(
        self,
        sqs_queue: str,
        watchers: Watchers,
        *,
        now: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = roll_key(sqs_queue)
        self._sqs_queue = sqs_queue
        self._watchers = watchers
        self._now = now
        self._elapsed = elapsed
        self._since = elapsed()
        self._joined = Wake()

    async def run(self) -> None:
        """Look again and again, and at once when a watcher has begun here, until cancelled.

        Soon after a change it looks once more: another triggerer may have written at the same moment.
        """
        loop = asyncio.get_running_loop()
        self._watchers.on_join = self._joined.ring
        is_changed = True
        while True:
            await self._joined.wait(loop.time() + (_AGAIN_SECONDS if is_changed else _LOOK_SECONDS))
            is_changed = await self.look()

    async def meet(self) -> None:
        """Look some times within two seconds: triggerers that start together overwrite each other.

        Raises:
            OutageError: Airflow does not say who else there is: nothing may be received then.
        """
        for _ in range(_MEETINGS):
            try:
                await self._look()
            except Exception as error:
                raise OutageError(f"the roll of watchers cannot be read or written: {error}") from error
            await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311 - so that they do not go on in step

    async def look(self) -> bool:
        """Read the roll, tell the watchers here of it, write it if it is out of date; whether it was."""
        try:
            return await self._look()
        except Exception as error:
            # Airflow may be away, or an administrator's backend may refuse: nothing of that is ours to mend.
            log.warning("The roll of watchers of queue %s cannot be kept: %s", self._sqs_queue, error)
            return False

    async def _look(self) -> bool:
        entries = _parsed(await read_variable(self.key))
        is_new = self._elapsed() - self._since < _PATIENT_SECONDS
        roll, is_changed = call_roll(
            entries,
            self._watchers,
            self._now(),
            absent_seconds=float("inf") if is_new else ABSENT_SECONDS,
            renew_seconds=_RENEW_SECONDS,
        )
        if is_changed:
            text = json.dumps(roll, sort_keys=True)
            await write_variable(self.key, text, f"Watchers of {self._sqs_queue} (s3events)")
        return is_changed


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None
