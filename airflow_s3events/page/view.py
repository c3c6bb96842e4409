"""What the page says, as values that a template only has to write down. Pure.

Object keys, reasons and messages are an attacker's text. ``shown`` writes out what would not be seen or
would change what is seen around it; the templates escape everything; a link is built from names that are
nothing but names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal
from urllib.parse import quote

from airflow_s3events.explanations import MEANING, Explanation, RunNow
from airflow_s3events.ledger.entries import Entry
from airflow_s3events.page.settings import WatchedQueue
from airflow_s3events.watchdog import AirflowFacts, Alarm, QueueFacts

Tone = Literal["good", "warning", "error", "quiet"]
#: Pages of a run in Airflow's UI, by the major version of Airflow, as seen from the page.
RUN_PAGES: Mapping[int, str] = {
    2: "../dags/{dag_id}/grid?dag_run_id={run_id}",
    3: "../dags/{dag_id}/runs/{run_id}",
}
#: What a name in a link is made of; one of dots alone would lead elsewhere.
_NAME = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.~+:-]{1,250}")
_TONES: Mapping[str, Tone] = {
    **dict.fromkeys(("started", "restarted"), "good"),
    **dict.fromkeys(("put_off", "not_stored"), "warning"),
    "gave_up": "error",
}
_STATE_TONES: Mapping[str, Tone] = {"success": "good", "failed": "error", "running": "warning"}
_WEIGHTS: Mapping[str, Tone] = {"error": "error", "warning": "warning"}
#: What a run is called that Airflow does not have any more.
_GONE = "none"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_FEW = 2


def shown(text: object) -> str:
    """Return ``text`` with control characters, marks of direction and the like written out."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in str(text)
    )


def run_link(dag_id: str, run_id: str | None, major: int) -> str | None:
    """Return where a run's page is, relative to the page; None where a name is none."""
    if run_id is None or not _NAME.fullmatch(dag_id) or not _NAME.fullmatch(run_id):
        return None
    return RUN_PAGES[major].format(dag_id=quote(dag_id, safe=""), run_id=quote(run_id, safe=""))


def duration(seconds: float | None) -> str:
    """Return a length of time for people: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    if seconds is None:
        return "not known"
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= _FEW * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(seconds: float) -> str:
    """Return a moment as the page writes it, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One decision about one event."""

    when: str
    ago: str
    object: str
    what: str
    meaning: str
    tone: Tone
    dag_id: str
    run_id: str | None
    link: str | None
    reason: str
    late: str
    seen: int
    state: str = ""
    state_tone: Tone = "quiet"


def event_rows(
    entries: Sequence[Entry], now: float, major: int, runs: Mapping[tuple[str, str], RunNow] | None = None
) -> list[EventRow]:
    """Return entries as rows, with the states of their runs where they were asked for."""
    return [
        _event_row(entry, now, major, (runs or {}).get((entry.dag_id, entry.run_id or "")))
        for entry in entries
    ]


def _event_row(entry: Entry, now: float, major: int, run: RunNow | None) -> EventRow:
    state = "" if run is None else run.state
    return EventRow(
        when=moment(entry.decided_at),
        ago=duration(max(0.0, now - entry.decided_at)),
        object=shown(f"s3://{entry.event['bucket']}/{entry.event['key']}"),
        what=shown(entry.what),
        meaning=MEANING.get(entry.what, ""),
        tone=_TONES.get(entry.what, "quiet"),
        dag_id=shown(entry.dag_id),
        run_id=None if entry.run_id is None else shown(entry.run_id),
        link=run_link(entry.dag_id, entry.run_id, major),
        reason=shown(entry.reason),
        late="" if entry.late_seconds is None else duration(max(0.0, entry.late_seconds)),
        seen=entry.seen,
        state="gone" if state == _GONE else shown(state),
        state_tone=_STATE_TONES.get(state, "quiet"),
    )


def seen_rows(seen: Sequence[Mapping[str, Any]], major: int) -> list[EventRow]:
    """Return runs that ``s3events tail`` shows as rows, where there is no ledger to tell more."""
    rows = sorted(seen, key=lambda row: str(row["started"]), reverse=True)
    return [
        EventRow(
            when=shown(row["started"]),
            ago="",
            object=shown(row["object"]),
            what="started",
            meaning=MEANING["started"],
            tone="good",
            dag_id=shown(row["dag_id"]),
            run_id=shown(row["run_id"]),
            link=run_link(str(row["dag_id"]), str(row["run_id"]), major),
            reason="",
            late="",
            seen=1,
            state=shown(row["state"]),
            state_tone=_STATE_TONES.get(str(row["state"]), "quiet"),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """One queue: its figures, what is wrong with it, and what a visitor may do."""

    key: str
    arn: str
    tone: Tone
    word: str
    facts: QueueFacts
    figures: Sequence[tuple[str, str, Tone]]
    findings: Sequence[Alarm]
    notes: Sequence[str]
    dispatcher: str
    last: EventRow | None
    dead_letters: int
    can_look: bool
    can_redrive: bool
    no_redrive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReading:
    """What was read of one queue."""

    watched: WatchedQueue
    facts: QueueFacts
    airflow: AirflowFacts | None
    findings: Sequence[Alarm]
    last: EventRow | None
    notes: Sequence[str] = ()
    #: Why this visitor may not redrive; empty where he may.
    no_redrive: str = ""


def queue_view(reading: QueueReading) -> QueueView:
    """Return a queue as the page shows it."""
    facts = reading.facts
    weights = {alarm.weight for alarm in reading.findings}
    tone: Tone = "error" if "error" in weights else "warning" if weights else "good"
    words = {"error": "does not work", "warning": "look at it", "good": "healthy"}
    dispatcher = None if reading.airflow is None else reading.airflow.dispatcher
    tasks = () if dispatcher is None else dispatcher.tasks
    can_look = facts.attributes is not None and not facts.dead_letters_error and bool(facts.dead_letters)
    return QueueView(
        key=reading.watched.queue,
        arn=shown(facts.name if facts.attributes is None else facts.attributes.arn),
        tone=tone,
        word=words[tone],
        facts=facts,
        figures=_figures(facts),
        findings=reading.findings,
        notes=tuple(map(shown, reading.notes)),
        dispatcher=shown(", ".join(f"{task.task_id} {task.state}" for task in tasks)),
        last=reading.last,
        dead_letters=facts.dead_letters or 0,
        can_look=can_look,
        can_redrive=can_look and not reading.no_redrive,
        no_redrive=reading.no_redrive,
    )


def _figures(facts: QueueFacts) -> list[tuple[str, str, Tone]]:
    """Return what stands large on a queue's card: name, value and how bad it is."""
    attributes = facts.attributes
    if attributes is None:
        return []
    oldest = facts.oldest_seconds
    is_late = oldest is not None and oldest > facts.late_seconds
    dead = "none" if attributes.dead_letter_arn is None else "not known"
    has_dead = bool(facts.dead_letters)
    return [
        ("waiting", f"{attributes.waiting:,}", "quiet"),
        ("in flight", f"{attributes.in_flight:,}", "quiet"),
        ("oldest message", duration(oldest), "warning" if is_late else "quiet"),
        (
            "dead letters",
            dead if facts.dead_letters is None else f"{facts.dead_letters:,}",
            "warning" if has_dead else "quiet",
        ),
    ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one look: how bad it is, and in how many words."""

    tone: Tone
    text: str


def verdict(queues: Sequence[QueueView]) -> Verdict:
    """Return what all queues together come to."""
    findings = [alarm for queue in queues for alarm in queue.findings]
    errors = sum(alarm.weight == "error" for alarm in findings)
    warnings = len(findings) - errors
    if not findings:
        return Verdict("good", "All is well: nothing is late, nothing failed")
    broken = f"{errors} {'thing does' if errors == 1 else 'things do'} not work"
    odd = f"{warnings} {'thing' if warnings == 1 else 'things'} to look at"
    parts = [broken] * bool(errors) + [odd] * bool(warnings)
    return Verdict("error" if errors else "warning", ", ".join(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterRow:
    """One dead letter, without body and receipt handle."""

    message_id: str
    sent: str
    objects: Sequence[str]
    reason: str
    dag_id: str
    run_id: str | None
    link: str | None
    attempt: int


def letter_rows(letters: Sequence[Mapping[str, Any]], major: int) -> list[LetterRow]:
    """Return dead letters, as ``DeadLetter.serialize`` has them, as rows."""
    return [_letter_row(letter, major) for letter in letters]


def _letter_row(letter: Mapping[str, Any], major: int) -> LetterRow:
    objects = [shown(f"s3://{event['bucket']}/{event['key']}") for event in letter["events"]]
    dag_id, run_id = letter["dag_id"] or "", letter["run_id"]
    return LetterRow(
        message_id=shown(letter["message_id"]),
        sent=shown(letter["sent_at"] or "not known"),
        objects=objects or [shown(letter["problem"] or "no object event")],
        reason=shown(letter["reason"]),
        dag_id=shown(dag_id),
        run_id=None if run_id is None else shown(run_id),
        link=run_link(dag_id, run_id, major),
        attempt=letter["attempt"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of one object, and whether S3 was asked."""

    explanation: Explanation
    uri: str
    stored: Sequence[str]
    rows: Sequence[EventRow]
    findings: Sequence[tuple[Tone, str]]
    not_asked: str


def found_view(found: Explanation, now: float, major: int, not_asked: str) -> Found:
    """Return an explanation as the page shows it."""
    return Found(
        explanation=found,
        uri=shown(found.uri),
        stored=[shown(one) for one in found.stored],
        rows=event_rows(found.entries, now, major, found.runs),
        findings=list(_findings(found)),
        not_asked=not_asked,
    )


def _findings(found: Explanation) -> Iterator[tuple[Tone, str]]:
    for finding in found.findings:
        tone = _WEIGHTS.get(finding["weight"], "quiet")
        yield tone, shown(f"{finding['about']}: {finding['text']}")
