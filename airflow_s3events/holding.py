"""Messages kept in flight until their runs have ended: ``acknowledge="run_succeeded"``.

The holder keeps nothing but what it has received: it may die at any moment. Then the visibility timeout of
what it held lapses, the messages are redelivered, their runs are found by their run ids, and the next holder
goes on waiting for them. Works in a task and in a trigger alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airflow_s3events.dead_letters import DAG_ATTRIBUTE, RUN_ATTRIBUTE
from airflow_s3events.exceptions import ConfigurationError, OutageError, RouteError
from airflow_s3events.messages import Message
from airflow_s3events.metrics import Meter
from airflow_s3events.run_states import Inquiry, Pace, inquire
from airflow_s3events.settlement import RUN_ENDED, Disposition, RunState, after_failure, combine

log = logging.getLogger(__name__)

#: DAG id and run id.
Run = tuple[str, str]


class RunCounts(Protocol):
    """What a holder asks of Airflow: a trigger has no more. OutageError when Airflow does not answer."""

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        """How many of these runs are in one of these states; RouteError for an unknown DAG."""


class HoldingInbox(Protocol):
    """What a holder asks of a consumer."""

    def holds(self, message: Message) -> bool:
        """Whether the message is still in flight for us."""
        ...

    def acknowledge(self, message: Message) -> None:
        """Delete it."""

    def release(self, message: Message, *, delay_seconds: float, reason: str, outcome: str) -> None:
        """Show it again after a delay."""

    async def dead_letter(
        self, message: Message, reason: str, about: dict[str, str], *, outcome: str
    ) -> None:
        """Send a copy with the reason to the dead letter queue, then delete it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message that is held, and the runs that it waits for."""

    message: Message
    runs: tuple[Run, ...]
    #: Why the message is a dead letter even when all runs succeed (a bad record beside good ones), or empty.
    bad: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a message that was held, in words of ``docs/reference/metrics.md``."""

    what: str
    disposition: Disposition
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Holder:
    """Settles messages when their runs have ended.

    Args:
        inbox: Keeps the messages in flight, and settles them.
        runs: Airflow's DAG runs.
        max_receive_count: Of the queue's redrive policy; None where it has none.
        retry_delay_seconds: A failed run is started again so long after, doubling to 15 minutes.
        meter: Told of what is measured.
        audit: Told of the end of each message.
    """

    inbox: HoldingInbox
    runs: RunCounts
    max_receive_count: int | None = None
    retry_delay_seconds: float = 60.0
    meter: Meter = field(default_factory=Meter)
    audit: Callable[[Waiting, Ended], None] = lambda *_: None
    #: Messages by outcome: succeeded, failed, gave_up, vanished, lapsed.
    counts: Counter[str] = field(default_factory=Counter)
    _held: dict[str, Waiting] = field(default_factory=dict)
    _pace: Pace = field(default_factory=Pace)
    _has_news: bool = False

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, waiting: Waiting) -> None:
        """Wait for the runs of a message; one that is held already stays so."""
        self._held[waiting.message.message_id] = waiting
        self._has_news = True

    async def watch(self) -> None:
        """Ask for the states of all runs, ever less often while nothing happens, until cancelled."""
        while True:
            await asyncio.sleep(self._pace.seconds)
            try:
                has_ended = await self.look()
            except OutageError as outage:
                log.warning("The states of runs cannot be asked for; their messages stay held: %s", outage)
                has_ended = False
            except Exception:
                # Nobody waits for this task: ended by a fault of ours, it would leave all messages held.
                log.exception("The states of runs could not be looked at; their messages stay held")
                has_ended = False
            self._pace.round_ended(has_ended=has_ended or self._has_news)
            self._has_news = False

    async def look(self) -> bool:
        """Ask once for the states of all runs, and settle the messages whose runs have ended.

        Returns:
            Whether any was settled.

        Raises:
            OutageError: Airflow did not answer; nothing was settled.
        """
        self._forget_lapsed()
        if not self._held:
            return False
        # What comes to be held while Airflow answers was not asked about, and waits for the next round.
        asked = list(self._held.values())
        states = await self.states(run for waiting in asked for run in waiting.runs)
        settled = [await self._settle(waiting, [states[run] for run in waiting.runs]) for waiting in asked]
        return any(settled)

    async def states(self, runs: Iterable[Run]) -> dict[Run, RunState]:
        """Return the state of each run, asked for in chunks, one call at a time.

        Raises:
            OutageError: Airflow did not answer.
        """
        by_dag: dict[str, dict[str, None]] = defaultdict(dict)
        for dag_id, run_id in runs:
            by_dag[dag_id][run_id] = None
        found: dict[Run, RunState] = {}
        for dag_id, run_ids in by_dag.items():
            for run_id, state in (await self._ask(dag_id, inquire(list(run_ids)))).items():
                found[dag_id, run_id] = state
        return found

    async def _ask(self, dag_id: str, inquiry: Inquiry) -> dict[str, RunState]:
        try:
            question = next(inquiry)
            while True:
                try:
                    count = await self.runs.count(dag_id, question.run_ids, question.states)
                except RouteError:  # the DAG was deleted, and its runs with it
                    count = 0
                question = inquiry.send(count)
        except StopIteration as end:
            answer: dict[str, RunState] = end.value
            return answer

    def _forget_lapsed(self) -> None:
        """What SQS shows to others again is theirs: its redelivery joins the run."""
        for message_id, waiting in list(self._held.items()):
            if not self.inbox.holds(waiting.message):
                del self._held[message_id]
                self.ended(waiting, Ended("lapsed", Disposition.LAPSE))

    async def _settle(self, waiting: Waiting, states: Sequence[RunState]) -> bool:
        """Settle a message if its runs have ended; return whether it did."""
        if self._held.get(waiting.message.message_id) is not waiting:
            return False
        # A run that still works keeps its message, whatever the others did: started again while one of two
        # runs works, the event would have more than it asked for.
        if RUN_ENDED[RunState.RUNNING] in {RUN_ENDED[state] for state in states}:
            return False
        del self._held[waiting.message.message_id]
        fate = combine(RUN_ENDED[state] for state in states)
        if fate is Disposition.RELEASE:
            await self._after_failure(waiting, states)
        elif waiting.bad:
            await self._dead_letter(waiting, waiting.bad, {})
        else:
            self.succeeded(waiting)
        return True

    def succeeded(self, waiting: Waiting) -> None:
        """Delete a message all of whose runs have succeeded."""
        self.ended(waiting, Ended("succeeded", Disposition.ACKNOWLEDGE))
        self.inbox.acknowledge(waiting.message)

    def ended(self, waiting: Waiting, ended: Ended) -> None:
        """Count the end of a message, and have it audited."""
        self.counts[ended.what] += 1
        self.audit(waiting, ended)

    async def give_up(self, waiting: Waiting, failed: Run | None) -> None:
        """Send a message that may not be received again to the dead letter queue.

        Args:
            waiting: The message.
            failed: Its run that has failed; where None, the reason is in ``waiting.bad``, if it is known.
        """
        times = f"the message was received {waiting.message.receive_count} times"
        if failed is None:
            await self._dead_letter(waiting, f"{waiting.bad or 'its run was not started'}; {times}", {})
            return
        dag_id, run_id = failed
        about = {DAG_ATTRIBUTE: dag_id, RUN_ATTRIBUTE: run_id}
        await self._dead_letter(waiting, f"{_failure(failed)}; {times}", about)

    async def _after_failure(self, waiting: Waiting, states: Sequence[RunState]) -> None:
        failed = [run for run, state in zip(waiting.runs, states, strict=True) if state is RunState.FAILED]
        if not failed:
            reason = "its run was deleted"
            self.ended(waiting, Ended("vanished", Disposition.RELEASE, reason))
            self.inbox.release(waiting.message, delay_seconds=0.0, reason=reason, outcome="vanished")
            return
        message = waiting.message
        delay = after_failure(message.receive_count, self.max_receive_count, self.retry_delay_seconds)
        if delay is None:
            await self.give_up(waiting, failed[0])
        else:
            reason = _failure(failed[0])
            self.ended(waiting, Ended("failed", Disposition.RELEASE, reason))
            self.inbox.release(message, delay_seconds=delay, reason=reason, outcome="run_failed")

    async def _dead_letter(self, waiting: Waiting, reason: str, about: dict[str, str]) -> None:
        self.ended(waiting, Ended("gave_up", Disposition.DEAD_LETTER, reason))
        outcome = "run_failed" if about else "malformed"
        try:
            await self.inbox.dead_letter(waiting.message, reason, about, outcome=outcome)
            self.meter.count("messages.dead_lettered", outcome)
        except ConfigurationError as error:
            # SQS moves it, without a reason, when its receives are used up.
            reason = f"{error}: {reason}"
            self.inbox.release(waiting.message, delay_seconds=900.0, reason=reason, outcome="gave_up")


def _failure(run: Run) -> str:
    return f"run {run[1]} of DAG {run[0]!r} failed"
