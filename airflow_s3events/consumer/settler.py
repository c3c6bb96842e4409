"""Settlement in tens: deletes and releases, each entry's result looked at, what fails tried again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from airflow_s3events.consumer.breaker import Breaker
from airflow_s3events.consumer.in_flight import Held, InFlight, seconds_left
from airflow_s3events.consumer.queue import Queue
from airflow_s3events.consumer.waking import Wake
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.exceptions import OutageError
from airflow_s3events.messages import Message

_T = TypeVar("_T")

#: Entries of one batch call
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html).
BATCH_ENTRIES = 10
#: Tries of an entry that SQS refuses by itself while the call goes through; then its message lapses.
_TRIES = 5
_FIRST_RETRY_SECONDS = 0.2
#: Batch calls under way at the same time.
_CALLS = 4


@dataclass(slots=True, eq=False)
class _Decision:
    held: Held
    #: None deletes; a number makes visible again after so long.
    delay_seconds: int | None
    not_before: float
    tries: int = 0
    #: How often it was carried out on a delivery that was not the latest any more.
    crossings: int = 0


class Settler:
    """Carries out what was decided about held messages.

    A decision waits at most ``linger_seconds`` for nine others to share its call. An outage is waited out,
    however long; a refused entry is tried a few times, then its message is left to lapse and counted.

    Args:
        queue: Where the messages are.
        in_flight: Where they are held until the queue has confirmed.
        breaker: Opened by an outage; nothing is sent while it is open.
        visibility: Held around every change of visibility, so that no extension undoes a release.
        counts: Gets ``acknowledged``, ``released``, ``lapsed``, ``delete_calls``,
            ``delete_call_failures`` and ``delete_failures``.
        lines: Told of what SQS refuses for good.
        linger_seconds: See above.
        on_error: Told of an error that waiting does not help; the entries of its call count as refused.
        on_settled: Called after each round: there is room again.
    """

    def __init__(
        self,
        queue: Queue,
        in_flight: InFlight,
        *,
        breaker: Breaker,
        visibility: asyncio.Lock,
        counts: Counter[str],
        lines: DecisionLog,
        linger_seconds: float,
        on_error: Callable[[BaseException], None],
        on_settled: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._in_flight = in_flight
        self._breaker = breaker
        self._visibility = visibility
        self._counts = counts
        self._lines = lines
        self._linger_seconds = linger_seconds
        self._on_error = on_error
        self._on_settled = on_settled
        #: A heap: by when they may be sent, then in the order in which they came.
        self._waiting: list[tuple[float, int, _Decision]] = []
        self._numbers = count()
        self._under_way = 0
        self._flushing = 0
        self._wake = Wake()
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def pending(self) -> int:
        """Decisions not carried out yet."""
        return len(self._waiting) + self._under_way

    def delete(self, held: Held) -> None:
        """Delete this message soon."""
        held.decision = "acknowledge"
        self._decide(_Decision(held, None, self._now()))

    def release(self, held: Held, delay_seconds: int) -> None:
        """Make this message visible again after ``delay_seconds``, soon."""
        held.decision = "release"
        self._decide(_Decision(held, delay_seconds, self._now()))

    async def flush(self) -> None:
        """Return when nothing is pending; nothing lingers while somebody waits here."""
        self._flushing += 1
        self._wake.ring()
        try:
            await self._settled.wait()
        finally:
            self._flushing -= 1

    async def run(self) -> None:
        """Carry out decisions until cancelled."""
        try:
            while True:
                await self._wake.wait(self._next())
                if batch := self._take():
                    await self._carry_out(batch)
        finally:
            self._settled.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _decide(self, decision: _Decision) -> None:
        self._put(decision)
        self._settled.clear()
        self._wake.ring()

    def _put(self, decision: _Decision) -> None:
        heappush(self._waiting, (decision.not_before, next(self._numbers), decision))

    def _next(self) -> float | None:
        """When to send: as soon as a batch is full or has lingered, never while the breaker is open."""
        if not self._waiting:
            return None
        first = self._waiting[0][0]
        when = first + (0.0 if self._flushing else self._linger_seconds)
        if len(self._waiting) >= BATCH_ENTRIES:
            when = min(when, self._full_at())
        return max(when, self._breaker.opens_until)

    def _full_at(self) -> float:
        """When enough for one call may be sent: at the tenth moment of the heap, without going through it."""
        places = [(self._waiting[0], 0)]
        for _ in range(BATCH_ENTRIES - 1):
            _, place = heappop(places)
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(self._waiting):
                    heappush(places, (self._waiting[child], child))
        return places[0][0][0]

    def _take(self) -> list[_Decision]:
        """Take what is ready to be sent, if it is time: first decided first, one round of calls."""
        now = self._now()
        when = self._next()
        if when is None or when > now:
            return []
        batch: list[_Decision] = []
        while self._waiting and self._waiting[0][0] <= now and len(batch) < BATCH_ENTRIES * _CALLS:
            batch.append(heappop(self._waiting)[2])
        return batch

    async def _carry_out(self, batch: list[_Decision]) -> None:
        deletes = [decision for decision in batch if decision.delay_seconds is None]
        releases = [decision for decision in batch if decision.delay_seconds is not None]
        self._under_way = len(batch)
        calls = [self._call(self._delete, chunk) for chunk in tens(deletes)]
        calls += [self._release_in_turn(chunk) for chunk in tens(releases)]
        await asyncio.gather(*calls)
        self._under_way = 0
        if not self._waiting:
            self._settled.set()
        self._wake.ring()
        self._on_settled()

    async def _call(
        self, send: Callable[[Sequence[_Decision]], Awaitable[list[Message]]], chunk: Sequence[_Decision]
    ) -> None:
        sent = [decision.held.message for decision in chunk]
        try:
            refused = {id(message) for message in await send(chunk)}
        except OutageError as outage:
            self._breaker.failed(outage, self._now())
            for decision in chunk:
                self._put(decision)
            return
        except Exception as error:
            self._on_error(error)
            refused = set(map(id, sent))
        else:
            self._breaker.succeeded()
        for decision, message in zip(chunk, sent, strict=True):
            self._conclude(decision, message, refused=id(message) in refused)

    async def _delete(self, chunk: Sequence[_Decision]) -> list[Message]:
        self._counts["delete_calls"] += 1
        try:
            return await self._queue.delete([decision.held.message for decision in chunk])
        except Exception:
            self._counts["delete_call_failures"] += 1
            raise

    async def _release_in_turn(self, chunk: Sequence[_Decision]) -> None:
        async with self._visibility:
            await self._call(self._release, chunk)

    async def _release(self, chunk: Sequence[_Decision]) -> list[Message]:
        # Cut here, not when it was decided: an outage may lie between the two.
        now = self._now()
        return await self._queue.change_visibility(
            [
                (decision.held.message, min(decision.delay_seconds or 0, seconds_left(decision.held, now)))
                for decision in chunk
            ]
        )

    def _conclude(self, decision: _Decision, sent: Message, *, refused: bool) -> None:
        is_delete = decision.delay_seconds is None
        if refused:
            self._counts["delete_failures"] += is_delete
            self._try_again(decision)
        elif decision.held.message is not sent:
            self._settle_latest(decision)
        else:
            self._in_flight.remove(decision.held)
            self._counts["acknowledged" if is_delete else "released"] += 1

    def _settle_latest(self, decision: _Decision) -> None:
        """Carry it out on the delivery that came meanwhile.

        Only the latest receipt handle is sure to delete a message. One that was released may be here because
        it was released: nobody was handed this delivery, so let go of now it would be hidden for all of its
        visibility timeout. Receives may cross a release at once time and again, each at the cost of a
        receive, so it is asked for with a delay that grows until an answer comes before the message.
        """
        decision.crossings += 1
        if decision.delay_seconds is not None:
            decision.delay_seconds = max(decision.delay_seconds, 2**decision.crossings - 1)
        self._put(decision)

    def _try_again(self, decision: _Decision) -> None:
        decision.tries += 1
        if decision.tries < _TRIES:
            decision.not_before = self._now() + _FIRST_RETRY_SECONDS * 2.0 ** (decision.tries - 1)
            self._put(decision)
        elif self._in_flight.remove(decision.held):
            self._counts["lapsed"] += 1
            reason = (
                f"SQS refused {decision.tries} times to {decision.held.decision} it;"
                " it comes back when its visibility timeout ends"
            )
            self._lines.note("unsettled", message=decision.held.message, outcome="refused", reason=reason)


def tens(entries: Sequence[_T]) -> list[Sequence[_T]]:
    """Cut ``entries`` into batches that SQS takes."""
    return [entries[first : first + BATCH_ENTRIES] for first in range(0, len(entries), BATCH_ENTRIES)]
