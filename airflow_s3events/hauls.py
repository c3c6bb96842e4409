"""``HaulStream``: from a consumer's batches to what each watcher is given, and back to settled messages.

A haul is what one batch of messages holds for the watchers of a queue. Its messages are settled when every
watcher's share is stored: one message may hold events for several watchers, and goes when all have theirs.
"""

from __future__ import annotations

import asyncio
import random as chance
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_s3events.consumer import Consumer
from airflow_s3events.consumer.waking import Wake
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ConfigurationError, OutageError
from airflow_s3events.holding import Ended
from airflow_s3events.messages import ORIGIN_ATTRIBUTE, SERVED_ATTRIBUTE, Message
from airflow_s3events.metrics import Meter
from airflow_s3events.observing import note_read
from airflow_s3events.packs import PackedEvent
from airflow_s3events.settlement import Disposition, combine, release_delay_seconds
from airflow_s3events.watchers import Wanted, Watcher, Watchers

#: Messages read, or settled, between two turns of the event loop: some milliseconds.
_AT_ONCE = 50
#: First delay of a message, by why it is given back.
_FIRST_DELAYS = {"owed": 1.0, "failed": 2.0, "error": 30.0, "unmatched": 60.0, "malformed": 60.0}
#: The longest delay of what a watcher elsewhere waits for.
_AWAITED_SECONDS = 8.0
#: How long hauls that were handed over may take to be stored, once no more may be.
_LAST_HAULS_SECONDS = 30.0

Unmatched = Literal["leave", "discard", "dead-letter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HaulSettings:
    """How hauls are made and settled.

    Attributes:
        unmatched: The fate of an event that no watcher wants: ``"leave"`` (it becomes visible again, ever
            later, until the queue's redrive policy takes it), ``"discard"`` or ``"dead-letter"``.
        most_hauls: Hauls handed over and not settled, at most.
        pace_seconds: After a haul that was not full, wait so long for more: fewer, fuller asset events.
        hold_seconds: A message is deleted so long after all its shares were stored, if the watchers are still
            there. Airflow calls a share stored, too, when there was nothing left to store it for.
        max_receive_count: Of the queue's redrive policy; None where it has none.
    """

    unmatched: Unmatched = "leave"
    most_hauls: int = 256
    pace_seconds: float = 0.25
    hold_seconds: float = 1.0
    max_receive_count: int | None = None


_Fate = tuple[Disposition, str, str]


@dataclass(slots=True, eq=False)
class _Catch:
    """One message of a haul: who takes part of it, and what else is known of its fate.

    It holds as few containers of its own as can be: each pass of Python's collector over the whole process
    comes after so many new ones, and holds up everybody for a tenth of a second.
    """

    message: Message
    #: The same value for all messages with the same takers.
    takers: frozenset[Watcher] = frozenset()
    #: A watcher in another triggerer waits for it.
    is_awaited: bool = False
    fates: tuple[_Fate, ...] = ()


@dataclass(slots=True, eq=False)
class Haul:
    """What one batch of messages holds for the watchers of a queue."""

    #: What each watcher is still to be given.
    shares: dict[Watcher, list[PackedEvent]] = field(default_factory=lambda: defaultdict(list))
    #: Watchers whose share Airflow has taken, to the last of it.
    given: set[Watcher] = field(default_factory=set)
    catches: list[_Catch] = field(default_factory=list)
    #: Each set of watchers that take a message together.
    groups: dict[frozenset[Watcher], frozenset[Watcher]] = field(default_factory=dict)

    def take(self, watcher: Watcher) -> list[PackedEvent]:
        """Return the share of ``watcher``, for it to hand to Airflow; ``note_given`` when that is done.

        The haul lets go of it: what it holds while Airflow stores slows down the whole process's collector.
        """
        return self.shares.pop(watcher, [])

    def note_given(self, watcher: Watcher) -> None:
        """Note that Airflow has taken all of the share: it has asked the watcher for more.

        What it was handed is not enough: it may be cancelled with an event in hand, which it never stores,
        and says that all is well (``run_trigger`` of ``airflow/jobs/triggerer_job_runner.py``).
        """
        self.given.add(watcher)


class HaulStream:
    """Makes hauls of a consumer's batches, and settles their messages when told what became of a haul.

    What nobody here wants is settled at once. All else is settled by ``resolve``, which never waits. Between
    the two, a crash costs a repeat and nothing else: the messages are in flight, and come again.

    Args:
        consumer: An open one. It should hand over hundreds of messages at a time.
        watchers: Who wants what; may change at any time.
        settings: See there.
        random: Returns a number from 0 up to 1: jitter.
        meter: Another than one of its own.
        lines: Gets a line for each message that goes although nobody wanted it.
    """

    def __init__(
        self,
        consumer: Consumer,
        watchers: Watchers,
        settings: HaulSettings,
        *,
        random: Callable[[], float] = chance.random,
        meter: Meter | None = None,
        lines: DecisionLog | None = None,
    ) -> None:
        self._consumer = consumer
        self._watchers = watchers
        self._settings = settings
        self._random = random
        #: Told of what is measured.
        self.meter = meter or Meter()
        self._lines = lines or DecisionLog()
        #: Told what became of each message; None: nobody is.
        self.audit: Callable[[Message, Ended], None] | None = None
        #: Awaited before each batch is looked at; an OutageError that it raises ends ``hauls``.
        self.ready: Callable[[], Awaitable[None]] | None = None
        self._room = Wake()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Hauls handed over and not settled.
        self.under_way: set[Haul] = set()
        #: Events by what became of them: packed, unmatched, owed, error. Messages: malformed, failed,
        #: passed_on.
        self.counts: Counter[str] = Counter()

    async def hauls(self) -> AsyncIterator[Haul]:
        """Yield hauls as messages come, until the consumer ends.

        Raises:
            ConfigurationError: As ``Consumer.batches``.
            OutageError: Nothing can be handed over now. The messages come again.
        """
        async for batch in self._consumer.batches():
            await self._be_ready()
            haul = await self._read(batch)
            if haul.shares:
                self.under_way.add(haul)
                yield haul
                await self._pace()

    def resolve(self, haul: Haul, *, failed: int = 0, rejected: int = 0) -> None:
        """Settle the messages of ``haul``: every watcher has been given its share or will not get it.

        Args:
            haul: One that ``hauls`` gave.
            failed: How many watchers did not store theirs; the messages come again.
            rejected: How many refused theirs for good; the messages are dead-lettered.
        """
        self._later(self._conclude(haul, failed, rejected))

    async def finish(self) -> None:
        """Wait for what is being settled, dead-lettered or passed on, for as long as a haul is held."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=2 * self._settings.hold_seconds)

    async def _be_ready(self) -> None:
        """Ask ``ready``. Where it refuses, hauls under way are settled first: else they would come again."""
        try:
            if self.ready is not None:
                await self.ready()
        except OutageError:
            self._consumer.pause()
            loop = asyncio.get_running_loop()
            until = loop.time() + _LAST_HAULS_SECONDS
            while self.under_way and loop.time() < until and not self._consumer.stopping:
                await self._room.wait(loop.time() + 1.0)
            raise

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._consumer.has_full_batch:
            await asyncio.sleep(self._settings.pace_seconds)
        while len(self.under_way) >= self._settings.most_hauls and not self._consumer.stopping:
            await self._room.wait(loop.time() + 1.0)

    # --- reading --------------------------------------------------------------------------------------------

    async def _read(self, batch: list[Message]) -> Haul:
        haul = Haul()
        for number, message in enumerate(batch):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            catch = self._sort(message, haul)
            if catch.takers:
                haul.catches.append(catch)
            else:
                self._settle(catch)
        return haul

    def _sort(self, message: Message, haul: Haul) -> _Catch:
        catch = _Catch(message)
        try:
            parsed = parse_body(message.body, message_id=message.delivery_id)
        except BodyError as error:
            catch.fates = ((Disposition.DEAD_LETTER, "malformed", str(error)),)
            return catch
        for bad in parsed.bad:
            catch.fates += ((Disposition.DEAD_LETTER, "malformed", f"record {bad.index}: {bad.reason}"),)
        for event in parsed.events:
            self._share(event, catch, haul)
        if not (catch.takers or catch.fates) and served_of(message):
            reason = "the watcher that this copy was kept for has not been seen for an hour"
            catch.fates = ((_UNMATCHED[self._settings.unmatched], "unmatched", reason),)
        return catch

    def _share(self, event: ObjectEvent, catch: _Catch, haul: Haul) -> None:
        note_read(self.meter, event, catch.message)
        served = served_of(catch.message)
        wanted = self._watchers.want(event, served=served)
        if wanted.takers:
            packed = PackedEvent.of(event, catch.message)
            for watcher in wanted.takers:
                haul.shares[watcher].append(packed)
            takers = catch.takers.union(wanted.takers)
            catch.takers = haul.groups.setdefault(takers, takers)
        catch.is_awaited |= wanted.is_awaited
        catch.fates += self._fates(wanted, is_served=bool(served))

    def _fates(self, wanted: Wanted, *, is_served: bool) -> tuple[_Fate, ...]:
        self.counts["packed"] += bool(wanted.takers)
        if wanted.errors:
            return ((Disposition.RELEASE, "error", "; ".join(wanted.errors)),)
        if wanted.owed:
            return ((Disposition.RELEASE, "owed", f"watchers not here: {', '.join(wanted.owed)}"),)
        if wanted.unmatched and not is_served:
            return ((_UNMATCHED[self._settings.unmatched], "unmatched", "no watcher wants this event"),)
        return ()

    # --- settling -------------------------------------------------------------------------------------------

    async def _conclude(self, haul: Haul, failed: int, rejected: int) -> None:
        await asyncio.sleep(self._settings.hold_seconds)
        self.under_way.discard(haul)
        self._room.ring()
        wanted = {watcher for takers in haul.groups for watcher in takers}
        gone = {watcher for watcher in wanted if not self._has_stored(haul, watcher)}
        for number, catch in enumerate(haul.catches):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            if rejected:
                reason = "a watcher rejected it"
                catch.fates += ((Disposition.DEAD_LETTER, "rejected", reason),)
            elif (failed and not gone) or catch.takers & gone:
                catch.fates += ((Disposition.RELEASE, "failed", "a watcher ended before it had stored it"),)
            self._settle(catch)

    def _has_stored(self, haul: Haul, watcher: Watcher) -> bool:
        return watcher in haul.given and watcher in self._watchers.here

    def _settle(self, catch: _Catch) -> None:
        self.counts.update(what for _, what, _ in catch.fates)
        fate = combine(disposition for disposition, _, _ in catch.fates)
        reasons = [(what, reason) for disposition, what, reason in catch.fates if disposition is fate]
        what, reason = reasons[0] if reasons else ("", "")
        self._tell(catch, fate, what, reason)
        if fate is Disposition.ACKNOWLEDGE:
            if what:
                self._lines.note(what, message=catch.message, reason=reason)
            self._consumer.acknowledge(catch.message)
        elif fate is Disposition.DEAD_LETTER:
            self._later(self._dead_letter(catch.message, what, reason))
        elif {one for one, _ in reasons} == {"owed"} and (catch.takers or self._is_worn(catch)):
            self._later(self._pass_on(catch))
        elif what == "owed" and catch.is_awaited:
            self._let_others(catch.message)
        else:
            self._release(catch.message, what, reason)

    def _tell(self, catch: _Catch, fate: Disposition, what: str, reason: str) -> None:
        """Have what became of a message audited; what watchers elsewhere wait for is theirs to tell."""
        if self.audit is None or what == "owed":
            return
        names = ", ".join(sorted(watcher.name for watcher in catch.takers))
        self.audit(catch.message, Ended(what or "packed", fate, reason or f"stored for: {names}"))

    def _is_worn(self, catch: _Catch) -> bool:
        """Whether a message has missed the triggerer that it is for so often that a new one should try.

        Which triggerer SQS gives a message to is chance, and chance may not use up the receives that the
        redrive policy allows.
        """
        limit = self._settings.max_receive_count
        return catch.is_awaited and limit is not None and catch.message.receive_count * 2 >= limit

    def _let_others(self, message: Message) -> None:
        """Give back at short notice what a watcher in another triggerer waits for; too usual to be logged."""
        delay = min(_FIRST_DELAYS["owed"] * 2.0 ** min(message.receive_count - 1, 10), _AWAITED_SECONDS)
        self._consumer.release(message, delay_seconds=delay * (0.75 + self._random() / 2))

    def _release(self, message: Message, what: str, reason: str) -> None:
        limit = self._settings.max_receive_count
        delay = release_delay_seconds(message.receive_count, limit, _FIRST_DELAYS[what])
        delay *= 0.75 + self._random() / 2
        self._consumer.release(message, delay_seconds=delay, reason=reason, outcome=what)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dead_letter(self, message: Message, what: str, reason: str) -> None:
        try:
            await self._consumer.dead_letter(message, reason, outcome=what)
            self.meter.count("messages.dead_lettered", what)
        except ConfigurationError as error:
            self._release(message, what, f"{error}: {reason}")
        except OutageError:
            pass  # and we are stopping: it is given back with all else

    async def _pass_on(self, catch: _Catch) -> None:
        """Leave word for whoever has the other watchers that those here have had it."""
        names = served_of(catch.message) | {watcher.name for watcher in catch.takers}
        attributes = {**catch.message.attributes, ORIGIN_ATTRIBUTE: catch.message.delivery_id}
        if names:  # SQS takes no empty attribute
            attributes[SERVED_ATTRIBUTE] = ",".join(sorted(names))
        try:
            await self._consumer.pass_on(catch.message, attributes)
            self.counts["passed_on"] += 1
        except ConfigurationError as error:
            self._release(catch.message, "owed", f"it cannot be passed on: {error}")
        except OutageError:
            pass  # the same


_UNMATCHED = {
    "leave": Disposition.RELEASE,
    "discard": Disposition.ACKNOWLEDGE,
    "dead-letter": Disposition.DEAD_LETTER,
}


def served_of(message: Message) -> frozenset[str]:
    """Return the names of the watchers that have had this message already."""
    text = message.attributes.get(SERVED_ATTRIBUTE, "")
    return frozenset(name for name in text.split(",") if name)
