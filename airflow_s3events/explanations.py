"""An explanation: what S3, the ledger and Airflow say of one object, and it all as lines to read. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from airflow_s3events.events import ObjectEvent, utc_text
from airflow_s3events.ledger.entries import Entry, Write

#: What a decision means, for who does not know the words.
MEANING: Mapping[str, str] = {
    "started": "a run was started",
    "restarted": "its run was started again",
    "duplicate": "a copy of an event that has its run",
    "joined": "its run was there, and is waited for",
    "stale": "a newer event of the same object stands for it",
    "unmatched": "no route takes it",
    "ignored": "older than ignore_before or max_age_seconds",
    "dropped": "the scorer dropped it",
    "put_off": "given back to the queue; it comes again",
    "grouped": "in a group that waits to be closed",
    "waiting": "in a group that waits to be closed",
    "not_stored": "Airflow took the run but did not have it; the event comes again",
    "gave_up": "sent to the dead letter queue",
}
#: Members of an entry that are of the decision, not of the event.
_TOLD = (
    *("dag_id", "what", "reason", "disposition", "origin", "run_id", "same_as", "seen"),
    *("first_seen", "last_seen", "decided_at", "first_message", "last_message", "late_seconds"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNow:
    """One version that S3 has now, or a delete marker.

    Attributes:
        event: The version, as the event of its creation.
        is_latest: It is the current one.
        is_delete_marker: It is a delete marker.
        write: What the ledger knows of its write; None: that it was never seen.
    """

    event: ObjectEvent
    is_latest: bool
    is_delete_marker: bool
    write: Write | None

    @property
    def fate(self) -> str:
        """What became of its event, in a word or two."""
        if self.write is None:
            return "never seen"
        return "settled" if self.write.is_decided else "seen, not settled yet"

    def serialize(self) -> dict[str, Any]:
        """Return plain data."""
        event = self.event
        return {
            "version_id": event.version_id,
            "is_latest": self.is_latest,
            "is_delete_marker": self.is_delete_marker,
            "size": event.size,
            "etag": event.etag,
            "written": None if event.event_time is None else utc_text(event.event_time),
            "event": None if self.is_delete_marker else self.fate,
        }

    def __str__(self) -> str:
        what = "delete marker" if self.is_delete_marker else f"{self.event.size} bytes"
        parts = [what]
        parts += [f"version {self.event.version_id}"] if self.event.version_id else []
        parts += [f"ETag {self.event.etag}"] if self.event.etag else []
        if self.event.event_time is not None:
            parts.append(f"written {utc_text(self.event.event_time)}")
        parts += ["current"] if self.is_latest else []
        return ", ".join(parts if self.is_delete_marker else [*parts, f"event {self.fate}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNow:
    """A run as Airflow has it now."""

    #: ``none`` where Airflow does not have it any more.
    state: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that is known of one object.

    Attributes:
        uri: Its ``s3://`` URL.
        stored: What S3 has under its key now, the newest first.
        entries: What the ledger has of it, in the order in which it was first seen.
        runs: Its runs, by DAG id and run id; empty where Airflow was not asked.
        findings: What a check of the set-up found, where it could explain that nothing came; plain data.
    """

    uri: str
    stored: Sequence[StoredNow]
    entries: Sequence[Entry]
    runs: Mapping[tuple[str, str], RunNow] = field(default_factory=dict)
    findings: Sequence[Mapping[str, Any]] = ()

    @property
    def is_seen(self) -> bool:
        """An event came: of what S3 has now, where it has something, or else of the key at all."""
        current = [one for one in self.stored if one.is_latest and not one.is_delete_marker]
        return all(one.write is not None for one in current) if current else bool(self.entries)

    def serialize(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "uri": self.uri,
            "stored": [one.serialize() for one in self.stored],
            "events": [
                {"event_id": name, **dict(entries[0].event), "decisions": list(map(self._decision, entries))}
                for name, entries in self._by_event().items()
            ],
            "is_seen": self.is_seen,
            "findings": [dict(finding) for finding in self.findings],
        }

    def lines(self) -> Iterator[str]:
        """Yield it as text. Keys are somebody else's text: every line is printable ASCII."""
        for line in self._lines():
            yield ascii(line)[1:-1]

    def _lines(self) -> Iterator[str]:
        yield self.uri
        for one in self.stored:
            yield f"in S3    {one}"
        if not self.stored:
            yield "in S3    nothing"
        for entries in self._by_event().values():
            yield from self._event_lines(entries)
        if not self.entries:
            yield "ledger   no event of this key was ever seen"
        for finding in self.findings:
            yield f"set-up   {finding['weight']} {finding['about']}: {finding['text']}"

    def _event_lines(self, entries: Sequence[Entry]) -> Iterator[str]:
        first = entries[0]
        event = first.event
        members = ("event_time", "version_id", "sequencer", "envelope")
        known = ", ".join(str(event[name]) for name in members if event.get(name))
        who = f", by {event['principal_id']}" if event.get("principal_id") else ""
        yield f"event    {event['event_type']}, {known}{who}"
        late = "" if first.late_seconds is None else f", {first.late_seconds:.1f} s after it happened"
        by = "a reconciliation" if first.origin != "notification" else f"message {first.first_message}"
        yield f"         first seen {_moment(first.first_seen)}{late}, by {by}; {first.seen} in all"
        for entry in entries:
            yield from self._decision_lines(entry)

    def _decision_lines(self, entry: Entry) -> Iterator[str]:
        about = f"DAG {entry.dag_id}" if entry.dag_id else "no DAG"
        reason = f" ({entry.reason})" if entry.reason else ""
        meaning = MEANING.get(entry.what, "")
        yield f"  {about}: {entry.what}, {_moment(entry.decided_at)}: {meaning}{reason}"
        if entry.same_as:
            yield f"    known to a reconciliation as event {entry.same_as}"
        if entry.run_id is not None:
            run = self.runs.get((entry.dag_id, entry.run_id))
            yield f"    run {entry.run_id}{'' if run is None else f': {run.state}'}"
            if run is not None and run.url is not None:
                yield f"    {run.url}"

    def _decision(self, entry: Entry) -> dict[str, Any]:
        run = self.runs.get((entry.dag_id, entry.run_id or ""))
        state, url = (None, None) if run is None else (run.state, run.url)
        return {name: getattr(entry, name) for name in _TOLD} | {"run_state": state, "run_url": url}

    def _by_event(self) -> dict[str, list[Entry]]:
        found: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            found[entry.event_id].append(entry)
        return dict(found)


def _moment(seconds: float) -> str:
    return utc_text(datetime.fromtimestamp(round(seconds, 3), timezone.utc))
