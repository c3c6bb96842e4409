"""Who watches a queue: which object events each watcher wants, here and in other triggerers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, RouteError
from airflow_s3events.filters import EventFilter

#: A watcher that was not written down anew for so many times the seconds after which it should be is absent.
_LATELY = 2.5
#: Characters that are kept of why a filter raised.
_LONGEST_RAISED = 300
#: Seconds for which that is told after it was last seen.
_RAISED_SECONDS = 900.0


@dataclass(frozen=True, slots=True, eq=False)
class Watcher:
    """One subscription to a queue: the same watcher that comes again is another one.

    Args:
        name: What tells it from all other watchers of the queue, wherever they run.
        when: The object events it wants.
    """

    name: str
    when: EventFilter


def watcher_name(when: EventFilter, label: str = "") -> str:
    """Return the name of a watcher: its label, or a digest of what it wants where it has none."""
    return label or sha256(json.dumps(when.serialize(), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the watchers of a queue say of one event."""

    #: Watchers of this process that want it.
    takers: tuple[Watcher, ...] = ()
    #: Names of watchers elsewhere, or just absent, that want it and have not had it.
    owed: tuple[str, ...] = ()
    #: Why watchers here could not tell whether they want it.
    errors: tuple[str, ...] = ()
    #: One of those that it is owed to has been seen lately: the message has only to meet its triggerer.
    is_awaited: bool = False

    @property
    def unmatched(self) -> bool:
        """Nobody wants it, and each could tell."""
        return not (self.takers or self.owed or self.errors)


@dataclass(slots=True)
class Watchers:
    """The watchers of one queue, as one process knows them."""

    #: Watchers that run in this process.
    here: set[Watcher] = field(default_factory=set)
    #: All other watchers that are known of, by name: another triggerer has them, or they will come back.
    elsewhere: dict[str, EventFilter] = field(default_factory=dict)
    #: Names of those of them that no triggerer has seen lately.
    absent: frozenset[str] = frozenset()
    #: Why watchers here, by name, could not tell whether they want an event: since the roll was last renewed.
    raised: dict[str, str] = field(default_factory=dict)
    #: Called when a watcher has begun: the others have to hear of it before it misses anything.
    on_join: Callable[[], None] = lambda: None

    def join(self, watcher: Watcher) -> None:
        """Note a watcher that has begun."""
        self.here.add(watcher)
        self.on_join()

    def leave(self, watcher: Watcher) -> None:
        """Note a watcher that has ended. What it wants stays owed to it until the roll forgets it."""
        self.here.discard(watcher)
        self.elsewhere.setdefault(watcher.name, watcher.when)

    def told(self, roll: Mapping[str, EventFilter], *, absent: Collection[str] = ()) -> None:
        """Take over what is known of all watchers of the queue, and which of them are not seen lately."""
        self.elsewhere = dict(roll)
        self.absent = frozenset(absent)

    def want(self, event: ObjectEvent, *, served: Collection[str] = ()) -> Wanted:
        """Return who wants ``event``; watchers named in ``served`` have had it."""
        takers: list[Watcher] = []
        errors: list[str] = []
        for watcher in self.here:
            try:
                if watcher.name not in served and watcher.when.matches(event):
                    takers.append(watcher)
            except RouteError as error:
                errors.append(f"watcher {watcher.name}: {error}")
                self.raised[watcher.name] = str(error)
        owed = self._owed(event, served)
        return Wanted(tuple(takers), owed, tuple(errors), is_awaited=not self.absent.issuperset(owed))

    def _owed(self, event: ObjectEvent, served: Collection[str]) -> tuple[str, ...]:
        here = {watcher.name for watcher in self.here}
        others = [name for name in self.elsewhere if name not in here and name not in served]
        return tuple(name for name in others if _may_match(self.elsewhere[name], event))


def call_roll(
    entries: Any, watchers: Watchers, now: float, *, absent_seconds: float, renew_seconds: float
) -> tuple[dict[str, Any], bool]:
    """Bring the roll of a queue's watchers up to date: those here are seen now, those long unseen are out.

    The roll is plain data that all triggerers share: ``{name: {"when": filter, "seen_at": seconds}}``, with
    ``"raised"`` and ``"raised_at"`` where a watcher's filter has raised something lately, for whoever looks
    from outside. What in it cannot be read is left out.

    Args:
        entries: The roll as it was stored; None where there is none yet.
        watchers: Those of this process. Told of all others.
        now: Seconds since the epoch.
        absent_seconds: A watcher that nobody has seen for so long is forgotten.
        renew_seconds: One that is here is written down again after so long.

    Returns:
        The new roll, and whether it is worth storing.
    """
    roll = _readable(entries, now - absent_seconds)
    is_changed = roll.keys() != (entries.keys() if isinstance(entries, Mapping) else set())
    for watcher in watchers.here:
        entry = {"when": watcher.when.serialize(), "seen_at": now}
        before = roll.get(watcher.name)
        is_due = before is None or before["when"] != entry["when"] or now - before["seen_at"] >= renew_seconds
        if is_due or (watcher.name in watchers.raised and before is not None and "raised" not in before):
            roll[watcher.name] = {**entry, **_raised(watchers.raised.pop(watcher.name, None), before, now)}
            is_changed = True
    watchers.told(
        {name: EventFilter.deserialize(entry["when"]) for name, entry in roll.items()},
        absent=[name for name, entry in roll.items() if now - entry["seen_at"] > _LATELY * renew_seconds],
    )
    return roll, is_changed


def _raised(text: str | None, before: Mapping[str, Any] | None, now: float) -> dict[str, Any]:
    """Return the members that say that a filter raises; what is put off for it comes again minutes later."""
    if text is not None:
        return {"raised": text[:_LONGEST_RAISED], "raised_at": now}
    if before is None or now - before.get("raised_at", float("-inf")) > _RAISED_SECONDS:
        return {}
    return {name: before[name] for name in ("raised", "raised_at")}


def roll_key(sqs_queue: str) -> str:
    """Return the name of the Airflow variable that has the roll of a queue, as its watchers name it."""
    return f"s3events_watchers_{sha256(sqs_queue.encode()).hexdigest()[:12]}"


def raised_in(text: str | None, now: float, seconds: float) -> dict[str, str]:
    """Return why watchers raise, by name, as a stored roll says of those seen within so many seconds."""
    try:
        entries = json.loads(text or "{}")
    except ValueError:
        return {}
    roll = _readable(entries, now - seconds)
    return {name: entry["raised"] for name, entry in roll.items() if "raised" in entry}


def _readable(entries: Any, since: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, entry in entries.items() if isinstance(entries, Mapping) else ():
        try:
            when, seen_at = EventFilter.deserialize(entry["when"]), float(entry["seen_at"])
        except (ConfigurationError, KeyError, TypeError, ValueError):
            continue
        if seen_at >= since:
            found[str(name)] = {"when": when.serialize(), "seen_at": seen_at}
            if isinstance(entry.get("raised_at"), (int, float)):
                found[str(name)] |= {"raised": str(entry.get("raised")), "raised_at": entry["raised_at"]}
    return found


def _may_match(when: EventFilter, event: ObjectEvent) -> bool:
    """Whether it does; where a function of the user's cannot be asked here, it may."""
    try:
        return when.matches(event)
    except RouteError:
        return True
