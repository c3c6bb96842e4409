"""What a trigger does for ``acknowledge="run_succeeded"``: receive, join, hold, say when a task is needed.

It creates no run and starts none again, since a trigger cannot. A message whose runs all work is held, one
whose runs have all succeeded is deleted, and for any other the message is given back and a task woken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from airflow_s3events.consumer import Consumer
from airflow_s3events.dispatch.starting import name_of
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import BodyError, OutageError
from airflow_s3events.holding import Holder, Run, Waiting
from airflow_s3events.messages import Message
from airflow_s3events.routing import Routes
from airflow_s3events.settlement import RunState, may_start_again

_T = TypeVar("_T")

#: DAG id and run id of the first run of an event.
_First = Run


class _Wanted(NamedTuple):
    """What a message asks for; no run where something about it is for the task to judge."""

    firsts: Sequence[_First] = ()
    #: Why it, or one of its records, cannot be read.
    bad: str = ""


@dataclass(slots=True, kw_only=True)
class Keeper:
    """Keeps a queue's messages in flight while their runs work.

    Args:
        consumer: Receives, keeps in flight and settles; opened by the caller.
        holder: Waits for the end of runs.
        routes: Which DAG gets which event.
    """

    consumer: Consumer
    holder: Holder
    routes: Routes
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _is_resting: bool = True

    async def run(self) -> None:
        """Receive and hold until cancelled.

        Raises:
            ConfigurationError: A call was refused for a reason that waiting does not cure.
        """
        watch = asyncio.ensure_future(self.holder.watch())
        try:
            async for batch in self.consumer.batches():
                await self.take(batch)
        finally:
            watch.cancel()

    async def work(self) -> None:
        """Receive until there is a message for a task; none is received after that until the next call."""
        self._work.clear()
        self._is_resting = False
        self.consumer.resume()
        await self._work.wait()

    def rest(self) -> None:
        """Receive no more until the next call of ``work``; hold on to what is held."""
        self._is_resting = True
        self.consumer.pause()

    async def take(self, batch: Sequence[Message]) -> None:
        """Hold, delete or give back each of these messages."""
        wanted = [self._wanted(message) for message in batch]
        firsts = [first for each in wanted for first in each.firsts]
        latest = await self._patiently(lambda: self._latest(firsts))
        for message, mine in zip(batch, wanted, strict=True):
            await self._settle(message, [latest[first] for first in mine.firsts], mine.bad)

    async def _settle(self, message: Message, found: Sequence[tuple[Run, RunState]], bad: str) -> None:
        states = {state for _, state in found}
        has_succeeded = states == {RunState.SUCCESS}
        if not states or states & {RunState.NONE, RunState.FAILED} or (has_succeeded and bad):
            await self._leave_to_task(message, found, bad)
        elif has_succeeded:
            self.holder.succeeded(Waiting(message, tuple(run for run, _ in found)))
        else:
            self.holder.hold(Waiting(message, tuple(run for run, _ in found), bad))

    async def _leave_to_task(self, message: Message, found: Sequence[tuple[Run, RunState]], bad: str) -> None:
        if may_start_again(message.receive_count, self.holder.max_receive_count):
            self.rest()
            reason = "a task is needed"
            self.consumer.release(message, delay_seconds=0.0, reason=reason, outcome="task_needed")
            self._work.set()
        else:
            # SQS would not give it to the task, but move it to the dead letter queue without a reason.
            failed = [run for run, state in found if state is RunState.FAILED]
            waiting = Waiting(message, tuple(run for run, _ in found), bad)
            await self.holder.give_up(waiting, failed[0] if failed else None)

    def _wanted(self, message: Message) -> _Wanted:
        try:
            parsed = parse_body(message.body, message_id=message.delivery_id)
        except BodyError as error:
            return _Wanted(bad=str(error))
        wanted: list[_First] = []
        for event in parsed.events:
            match = self.routes.match(event)
            if match.errors or match.unmatched:
                return _Wanted()
            wanted += [(route.dag_id, name_of(route, event, 0)) for route in match.routes]
        return _Wanted(wanted, "; ".join(f"record {bad.index}: {bad.reason}" for bad in parsed.bad))

    async def _latest(self, firsts: Sequence[_First]) -> dict[_First, tuple[Run, RunState]]:
        """Return the latest run of each first one, with its state: one that failed may have been followed."""
        states = await self.holder.states(firsts)
        latest = {first: (first, states[first]) for first in firsts}
        attempt = 0
        while failed := [first for first, (_, state) in latest.items() if state is RunState.FAILED]:
            attempt += 1
            later = {first: (first[0], f"{first[1]}_a{attempt}") for first in failed}
            states = await self.holder.states(later.values())
            found = {first: run for first, run in later.items() if states[run] is not RunState.NONE}
            if not found:
                break
            latest |= {first: (run, states[run]) for first, run in found.items()}
        return latest

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Return what ``call`` returns, however long Airflow is away."""
        while True:
            try:
                answer = await call()
            except OutageError as outage:
                await self.consumer.wait_out(outage)
            else:
                if not self._is_resting:
                    self.consumer.resume()
                return answer
