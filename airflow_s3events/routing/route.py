"""``Route``: one DAG, and the events that start its runs."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from airflow_s3events.events import BATCH_MEMBER, EVENT_MEMBER, EVENTS_MEMBER, ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.facts import PARTS, Part
from airflow_s3events.filters import EventFilter, everything
from airflow_s3events.routing.batch import Batch
from airflow_s3events.routing.members import members_of, one_of
from airflow_s3events.routing.templates import check_capture, check_template, fill

# Airflow's rule for ids (validate_key in airflow/utils/helpers.py, which refuses ".." from 3.3 on).
_DAG_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9_.-]{1,250}")
#: Characters: column ``dag_run_note.content`` of all of Airflow's lines.
_LONGEST_NOTE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One DAG, and the events that start its runs.

    Args:
        dag_id: The DAG that gets a run.
        when: The events it gets: a filter, or what ``EventFilter.deserialize`` reads; None means every event.
        name: Tells routes apart in logs and counts; the ``dag_id`` if empty.
        extra: More members for the conf of each run, JSON types only. ``s3_event`` is taken by the event.
        max_queued_runs: While so many runs of the DAG are queued, its messages wait in SQS.
        run_id: ``"readable"`` run ids show part of the object key, ``"opaque"`` ones do not (keys can be
            personal data).
        priority: In a batch of messages, those of a route with a higher one are done first. Default 0.
        max_active_runs: While so many runs of the DAG are queued or running, its messages wait in SQS. None:
            any number.
        max_runs_per_minute: So many runs of the DAG at most are started in a minute by each dispatcher; the
            rest waits in SQS. None: any number.
        capture: A regular expression whose named groups in the key may be used in templates and ``label``:
            ``"orders/(?P<day>[0-9-]+)/"``.
        templates: More members for the conf of each run: texts with gaps such as ``"{day}"``, filled with
            what the event says (``{bucket}``, ``{key}``, ``{file}``, ``{date}`` and more) or ``capture``
            found.
        label: The readable part of the run id, a text with the same gaps, instead of the key. To change it
            changes the run ids: an event that comes again after that starts another run.
        note: The run's note, which Airflow's UI shows: a text with the same gaps, cut to the 1,000 characters
            that Airflow stores. Airflow 3.2 and later; before that a task cannot set one, and the run has
            none.
        enrich: What S3 is asked about the object of each event that the route gets, so that it is in the
            run's conf, under ``facts``: ``"tags"`` (one GetObjectTagging), ``"head"`` (one HeadObject:
            metadata, content type, storage class, encryption). What a filter has asked is there anyway.
        batch: Have one run for a group of events instead of one for each: a ``Batch``, or its plain data.
            The dispatcher needs a ledger then.

    Raises:
        ConfigurationError: One of them cannot be used; the text names it.
    """

    dag_id: str
    when: EventFilter | Mapping[str, Any] | None = None
    name: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
    max_queued_runs: int = 1000
    run_id: Literal["readable", "opaque"] = "readable"
    enrich: Sequence[Part] = ()
    priority: int = 0
    max_active_runs: int | None = None
    max_runs_per_minute: int | None = None
    capture: str = ""
    templates: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    label: str = ""
    note: str = ""
    batch: Batch | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _check_dag_id(self.dag_id)
        self._check_numbers()
        one_of("run_id", self.run_id, ("readable", "opaque"))
        name = self.name or self.dag_id
        if not isinstance(name, str):
            raise ConfigurationError(f"name: {name!r} is not text")
        object.__setattr__(self, "name", name)
        object.__setattr__(
            self, "when", everything if self.when is None else EventFilter.deserialize(self.when)
        )
        object.__setattr__(self, "extra", _plain_extra(self.extra))
        object.__setattr__(self, "enrich", _parts(self.enrich))
        check_capture(self.capture)
        check_template("label", self.label, self.capture)
        check_template("note", self.note, self.capture)
        object.__setattr__(self, "templates", _plain_templates(self.templates, self.extra, self.capture))
        if self.batch is not None:
            object.__setattr__(self, "batch", Batch.deserialize(self.batch))
            self._check_batch()

    def __reduce__(self) -> tuple[Callable[[Any], Route], tuple[Any]]:
        # A read-only mapping can be neither copied nor pickled, and Airflow copies what operators are given.
        return Route.deserialize, (self.serialize(),)

    def conf(self, event_data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the conf of the run that starts for the event whose ``serialize()`` is ``event_data``."""
        filled = {name: fill(text, event_data, self.capture) for name, text in self.templates.items()}
        return {EVENT_MEMBER: event_data, **copy.deepcopy(dict(self.extra)), **filled}

    def batch_conf(
        self, events_data: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the conf of a batch run; what templates say is filled from the first of its events."""
        conf = self.conf(events_data[0])
        del conf[EVENT_MEMBER]
        return {EVENTS_MEMBER: list(events_data), BATCH_MEMBER: dict(about), **conf}

    def label_of(self, event: ObjectEvent, named: Mapping[str, Any] = MappingProxyType({})) -> str | None:
        """Return what the readable part of an event's run id is made of; None: its key."""
        return fill(self.label, {**event.serialize(), **named}, self.capture) if self.label else None

    def note_of(self, event_data: Mapping[str, Any]) -> str:
        """Return the note of the run of the event whose ``serialize()`` is ``event_data``; empty: none."""
        return fill(self.note, event_data, self.capture)[:_LONGEST_NOTE]

    def _check_numbers(self) -> None:
        for name in ("max_queued_runs", "max_active_runs", "max_runs_per_minute"):
            value = getattr(self, name)
            if name != "max_queued_runs" and value is None:
                continue
            if type(value) is not int or value < 1:
                raise ConfigurationError(f"{name}: {value!r} is not a whole number from 1")
        if type(self.priority) is not int:
            raise ConfigurationError(f"priority: {self.priority!r} is not a whole number")

    def _check_batch(self) -> None:
        if self.label:
            raise ConfigurationError("label: a batch run is named by its group; leave label out, or batch")
        for name in (EVENTS_MEMBER, BATCH_MEMBER):
            if name in self.extra or name in self.templates:
                raise ConfigurationError(
                    f"extra, templates: {name!r} is taken by the batch; use another name"
                )

    def serialize(self) -> dict[str, Any]:
        """Return the route as plain data (JSON types only)."""
        return {
            "batch": None if self.batch is None else Batch.deserialize(self.batch).serialize(),
            "capture": self.capture,
            "dag_id": self.dag_id,
            "enrich": list(self.enrich),
            "extra": copy.deepcopy(dict(self.extra)),
            "label": self.label,
            "max_active_runs": self.max_active_runs,
            "max_queued_runs": self.max_queued_runs,
            "max_runs_per_minute": self.max_runs_per_minute,
            "name": self.name,
            "note": self.note,
            "priority": self.priority,
            "run_id": self.run_id,
            "templates": dict(self.templates),
            "when": EventFilter.deserialize(self.when).serialize(),
        }

    @staticmethod
    def deserialize(data: Any) -> Route:
        """Return the route that ``data`` describes: the arguments of ``Route`` by name. A route is itself.

        Raises ``ConfigurationError`` for anything else, members that a route does not have among them.
        """
        return data if isinstance(data, Route) else Route(**members_of("route", data, Route, "dag_id"))


def _check_dag_id(value: Any) -> None:
    if not isinstance(value, str) or not _DAG_ID.fullmatch(value):
        raise ConfigurationError(
            f"dag_id: {value!r} is not 1 to 250 of the characters A-Z a-z 0-9 _ - . without two dots together"
        )


def _parts(parts: Any) -> tuple[str, ...]:
    if isinstance(parts, str) or not isinstance(parts, Iterable):
        raise ConfigurationError(f"enrich: {parts!r} is not a list such as ['tags']")
    found = tuple(parts)
    for part in found:
        one_of("enrich", part, PARTS)
    return tuple(sorted(set(found)))


def _plain_extra(extra: Any) -> Mapping[str, Any]:
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
        raise ConfigurationError(f"extra: {extra!r} is not a mapping of names to values")
    if EVENT_MEMBER in extra:
        raise ConfigurationError(f"extra: {EVENT_MEMBER!r} is taken by the event; use another name")
    try:
        text = json.dumps(dict(extra), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"extra: not plain data, as JSON has it: {error}") from error
    return MappingProxyType(json.loads(text))


def _plain_templates(templates: Any, extra: Mapping[str, Any], capture: str) -> Mapping[str, str]:
    if not isinstance(templates, Mapping) or not all(isinstance(name, str) for name in templates):
        raise ConfigurationError(f"templates: {templates!r} is not a mapping of names to texts")
    for name, text in templates.items():
        if name == EVENT_MEMBER or name in extra:
            raise ConfigurationError(f"templates: {name!r} is taken in the conf; use another name")
        check_template(f"templates: {name}", text, capture)
    return MappingProxyType(dict(sorted(templates.items())))
