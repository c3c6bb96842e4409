"""Listed objects against the ledger: which DAGs each of them lacks, as what it counts, and the report of all.

Pure. A write is compared for each DAG by itself: one of two may have its run while the other was paused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.ledger import Write
from airflow_s3events.routing import Route, Routes

#: As what a decision about a listed object counts.
COUNTED = {"started": "started", "duplicate": "found", "put_off": "refused", "not_stored": "refused"}


@dataclass(slots=True)
class Report:
    """What a reconciliation found and did.

    Attributes:
        counts: ``listed``: objects seen. ``skipped``: too young, too old, or not matched by the filter.
            ``unmatched``: no route takes them. ``matched``: each DAG that their routes name has had them.
            ``late``: their event was seen, and a DAG has not had it. ``missing``: no event of them was ever
            seen; of those written since the notifications were set up, that many the
            notifications have lost. ``started``: runs made. ``found``: runs that were there
            already. ``refused``: no run could be made.
        examples: URLs of the first objects that were missing or late.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def serialize(self) -> dict[str, Any]:
        """Return plain data."""
        names = (
            "listed",
            "skipped",
            "unmatched",
            "matched",
            "late",
            "missing",
            "started",
            "found",
            "refused",
        )
        return {**{name: self.counts[name] for name in names}, "examples": list(self.examples)}

    @staticmethod
    def deserialize(data: dict[str, Any]) -> Report:
        """Read back what ``serialize`` gave."""
        counts = {name: value for name, value in data.items() if name != "examples"}
        return Report(Counter(counts), list(data["examples"]))


@dataclass(frozen=True, slots=True)
class Compared:
    """One listed object that routes take.

    Attributes:
        event: The object.
        lacking: The routes whose DAG has not had it.
        what: As what it counts: ``matched``, ``late`` or ``missing``.
        done: What this reconciliation has done for its other routes before, as the report counts it.
    """

    event: ObjectEvent
    lacking: tuple[Route, ...]
    what: str
    done: Counter[str] = field(default_factory=Counter)


def rivals_of(routes: Routes) -> frozenset[str]:
    """Return the DAGs of which one gets an event; empty where each route decides for itself."""
    return frozenset(route.dag_id for route in routes if routes.mode == "first")


def compared(
    event: ObjectEvent, routes: Sequence[Route], write: Write | None, rivals: Collection[str], origin: str
) -> Compared:
    """Compare an object with what is known of its write.

    Args:
        event: The object.
        routes: Those that take it.
        write: What is known; None: nothing.
        rivals: See ``rivals_of``.
        origin: Of this reconciliation: what it did itself, before this page was through, was lacking.
    """
    if write is None:
        return Compared(event, tuple(routes), "missing")
    lacking = tuple(route for route in routes if not write.is_settled(route.dag_id, rivals))
    fates = write.fates or {}
    own = [fates[route.dag_id] for route in routes if route not in lacking and route.dag_id in fates]
    done = Counter(COUNTED[fate.what] for fate in own if fate.origin == origin)
    if not lacking and not done:
        return Compared(event, (), "matched")
    return Compared(event, lacking, "late" if write.is_notified else "missing", done)
