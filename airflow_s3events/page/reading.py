"""What the page reads, by the functions that the commands use: queues, entries, dead letters, one object.

AWS's libraries are imported by what asks AWS, so that the first paint, which does not, is not later for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_s3events.aws_errors import translated
from airflow_s3events.dead_letters import Criteria
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.explanations import RunNow
from airflow_s3events.hooks.airflow_state import SEEN_SECONDS, AirflowState
from airflow_s3events.hooks.ledger import open_ledger
from airflow_s3events.ledger import Entry, LedgerSettings
from airflow_s3events.looks import Location
from airflow_s3events.page.chart import Chart, Range, chart_of, since_of
from airflow_s3events.page.settings import PageSettings, WatchedQueue
from airflow_s3events.page.view import (
    EventRow,
    Found,
    LetterRow,
    QueueReading,
    event_rows,
    found_view,
    letter_rows,
    seen_rows,
)
from airflow_s3events.page.visitors import Visitor, may_redrive, may_see, readable
from airflow_s3events.signs import sign_of
from airflow_s3events.watchdog import AirflowFacts, QueueFacts, alarms
from airflow_s3events.watchers import raised_in, roll_key

if TYPE_CHECKING:
    from airflow_s3events.redrive import Report

log = logging.getLogger(__name__)

#: Rows of the last events, and entries that are looked through for those that a visitor may see.
MOST_ROWS = 50
_MOST_ENTRIES = 500
#: Dead letters that are shown, and redriven, at a time.
MOST_LETTERS = 100

NO_LEDGER = "There is no ledger here: set page_ledger in section [s3events] of Airflow's configuration."


class Past(NamedTuple):
    """What the ledger tells of the past; ``problem`` where it does not."""

    chart: Chart | None
    rows: Sequence[EventRow]
    problem: str = ""


async def read_past(settings: PageSettings, visitor: Visitor, range_: Range, *, with_states: bool) -> Past:
    """Return the chart and the last events; ``with_states`` asks Airflow for their runs, too."""
    if settings.ledger is None:
        return Past(None, await _from_airflow(settings, visitor) if with_states else (), NO_LEDGER)
    try:
        return await _from_ledger(settings, visitor, range_, with_states=with_states)
    except (ConfigurationError, OutageError) as error:
        return Past(None, await _from_airflow(settings, visitor) if with_states else (), str(error))


async def _from_ledger(settings: PageSettings, visitor: Visitor, range_: Range, *, with_states: bool) -> Past:
    now = time.time()
    since = since_of(range_, int(now))
    async with open_ledger(str(settings.ledger), LedgerSettings(), aws=settings.aws) as ledger:
        counts = await ledger.counts(since, int(now) + 1, range_.step_seconds)
        latest = await ledger.latest(_MOST_ENTRIES)
    may_show = readable(visitor)
    entries = [entry for entry in latest if may_show(entry.dag_id)][:MOST_ROWS]
    runs = await _runs(entries, visitor) if with_states else {}
    rows = event_rows(entries, now, visitor.major, runs)
    return Past(chart_of(counts, range_, int(now)), rows)


async def _runs(entries: Sequence[Entry], visitor: Visitor) -> Mapping[tuple[str, str], RunNow]:
    from airflow_s3events.hooks.explanation import runs_now

    return await runs_now(entries, visitor.runs, None)


async def _from_airflow(settings: PageSettings, visitor: Visitor) -> list[EventRow]:
    """Return the last runs that events started, as ``s3events tail`` has them."""
    if visitor.api is None:
        return []
    state = AirflowState(visitor.api)
    dag_ids = {dag_id for watched in settings.queues for dag_id in watched.targets}
    wanted = sorted(dag_id for dag_id in dag_ids if visitor.may_read(dag_id))
    try:
        found = [await asyncio.to_thread(state.seen, dag_id, most=MOST_ROWS) for dag_id in wanted]
    except (ConfigurationError, OutageError):
        return []
    return seen_rows([row for rows in found for row in rows], visitor.major)[:MOST_ROWS]


async def read_queues(settings: PageSettings, visitor: Visitor) -> list[QueueReading]:
    """Return what there is to know of the queues that a visitor may see, all asked for at once."""
    latest = await _latest(settings)
    wanted = [watched for watched in settings.queues if may_see(visitor, watched)]
    return list(await asyncio.gather(*(_queue(settings, watched, visitor, latest) for watched in wanted)))


async def _queue(
    settings: PageSettings, watched: WatchedQueue, visitor: Visitor, latest: Sequence[Entry]
) -> QueueReading:
    now, notes = time.time(), []
    airflow, last, problem = await asyncio.to_thread(_airflow, watched, visitor)
    notes += [problem] * bool(problem)
    entries = [entry for entry in latest if entry.dag_id in watched.targets]
    if entries:
        last = event_rows(entries[:1], now, visitor.major)[0]
    facts = await _facts(watched)
    return QueueReading(
        watched=watched,
        facts=facts,
        airflow=airflow,
        findings=alarms(facts, airflow, now),
        last=last,
        notes=notes,
        no_redrive=why_not_redrive(settings, watched, visitor),
    )


async def _facts(watched: WatchedQueue) -> QueueFacts:
    """Ask AWS; where it does not answer, or there is no right to ask it, say so in the facts."""
    from airflow_s3events.hooks.queue_state import queue_facts

    try:
        async with translated(f"queue {watched.queue}", {}, otherwise="aws_conn_id: AWS refuses it"):
            return await queue_facts(
                watched.queue, aws=watched.aws, late_seconds=watched.late_seconds, with_reasons=False
            )
    except (ConfigurationError, OutageError) as error:
        trouble = sign_of(error, "queue_unreadable")
        return QueueFacts(
            name=watched.queue, error=str(error), trouble=trouble, late_seconds=watched.late_seconds
        )


def _airflow(watched: WatchedQueue, visitor: Visitor) -> tuple[AirflowFacts | None, EventRow | None, str]:
    """Return Airflow's side, asked in the visitor's name, or why it is not told."""
    if visitor.api is None or not watched.dag_ids:
        return None, None, ""
    state = AirflowState(visitor.api)
    try:
        facts = state.facts(
            watched.dispatcher,
            watched.targets,
            max_queued_runs=watched.max_queued_runs,
        )
        last = None if facts.is_away else state.last_event(watched.targets)
    except (ConfigurationError, OutageError) as error:
        return None, None, f"Airflow's side is not shown: {error}"
    if watched.dispatcher is None and not facts.is_away:
        facts = replace(facts, raising=_raising(watched.queue))
    return facts, None if last is None else seen_rows([last], visitor.major)[0], ""


def _raising(queue: str) -> dict[str, str]:
    """Return which watchers of a queue raise: of what he may see, a visitor need not read the variable."""
    from airflow_s3events._compat.asset_events import stored_variable

    try:
        return raised_in(stored_variable(roll_key(queue)), time.time(), SEEN_SECONDS)
    except Exception as error:
        log.warning("The roll of watchers of queue %s cannot be read: %s", queue, error)
        return {}


async def _latest(settings: PageSettings) -> Sequence[Entry]:
    if settings.ledger is None:
        return ()
    try:
        async with open_ledger(settings.ledger, LedgerSettings(), aws=settings.aws) as ledger:
            return await ledger.latest(_MOST_ENTRIES)
    except (ConfigurationError, OutageError):
        return ()


def why_not_redrive(settings: PageSettings, watched: WatchedQueue, visitor: Visitor) -> str:
    """Return why a visitor may not redrive here; empty where he may."""
    if not settings.redrive:
        return "This page is read-only: page_redrive is off."
    if not may_redrive(visitor, watched):
        return "You may look. To redrive takes the right to start runs of the DAGs of this queue."
    return ""


async def read_letters(watched: WatchedQueue, visitor: Visitor) -> list[LetterRow]:
    """Return dead letters; each look costs a letter one receive, and it is given back at once.

    Raises:
        ConfigurationError: There is no dead letter queue, it must not be looked into, or AWS refuses it.
        OutageError: SQS is away.
    """
    from airflow_s3events.hooks.s3_events import hook_for
    from airflow_s3events.redrive import DeadLetterQueue

    hook = hook_for(watched.queue, **watched.aws)
    async with hook.open_client() as client:
        queue = await hook.queue(client, await _dead_letter_arn(hook, client, watched))
        letters, _ = await DeadLetterQueue(queue=queue).look(most=MOST_LETTERS)
    may_show = readable(visitor)
    shown = [letter.serialize() for letter in letters if may_show(letter.dag_id or "")]
    return letter_rows(shown, visitor.major)


async def redrive(watched: WatchedQueue, message_ids: Sequence[str]) -> Report:
    """Send these letters back to the queue that they came from. Errors as ``read_letters``."""
    from airflow_s3events.hooks.s3_events import hook_for
    from airflow_s3events.redrive import DeadLetterQueue

    hook = hook_for(watched.queue, **watched.aws)
    async with hook.open_client() as client:
        letters = await hook.queue(client, await _dead_letter_arn(hook, client, watched))
        source = await hook.queue(client, watched.queue)
        criteria = Criteria(message_ids=tuple(message_ids))
        return await DeadLetterQueue(queue=letters).replay(source, criteria, most=len(message_ids))


async def _dead_letter_arn(hook: Any, client: Any, watched: WatchedQueue) -> str:
    arn = (await (await hook.queue(client, watched.queue)).describe()).dead_letter_arn
    if arn is None:
        raise ConfigurationError("this queue has no dead letter queue")
    if (await (await hook.queue(client, arn)).describe()).dead_letter_arn is not None:
        raise ConfigurationError(
            "the dead letter queue has a redrive policy of its own, and each look would count as a receive;"
            " use s3events dead-letters"
        )
    return str(arn)


async def search(settings: PageSettings, visitor: Visitor, text: str) -> Found:
    """Return what ``s3events explain`` says of an object, without what a visitor may not see.

    Raises:
        ConfigurationError: It is no object, there is no ledger, or AWS or Airflow refuses it.
        OutageError: AWS, Airflow or the ledger is away.
    """
    from airflow_s3events.hooks.explanation import explain_object

    location = Location.parse(text)
    if settings.ledger is None:
        raise ConfigurationError(NO_LEDGER)
    asks_s3 = settings.may_ask(location.bucket)
    async with open_ledger(settings.ledger, LedgerSettings(), aws=settings.aws) as ledger:
        found = await explain_object(
            location, ledger, aws=settings.aws, runs=visitor.runs, api=None, asks_s3=asks_s3
        )
    may_show = readable(visitor)
    found = replace(found, entries=[entry for entry in found.entries if may_show(entry.dag_id)])
    not_asked = "" if asks_s3 else "S3 was not asked: page_buckets does not name this bucket."
    return found_view(found, time.time(), visitor.major, not_asked)
