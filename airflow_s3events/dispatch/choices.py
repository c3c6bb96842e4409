"""Which route an event got before, where S3's word or a scorer's decides: they may say otherwise now.

Knows neither Airflow nor AWS: it works on the calls of ``Runs``.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_s3events.dispatch.scoring import Scoring
from airflow_s3events.dispatch.starting import Runs, name_of
from airflow_s3events.events import ObjectEvent
from airflow_s3events.ledger.ledger import Verdict
from airflow_s3events.routing import Match, Route, Routes
from airflow_s3events.scores import Scored
from airflow_s3events.settlement import RunState


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of an event.

    Attributes:
        event: With S3's facts.
        match: Its routes.
        drop: Why it starts nothing; empty: nobody dropped it.
    """

    event: ObjectEvent
    match: Match
    drop: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """Stands by the route that an event got when it was delivered first.

    Tags change, and a scorer may change its mind: without this, a message that comes again after that would
    start a second run, in another DAG. It costs one look at Airflow for each other route that the event could
    have got.

    Args:
        routes: Which DAG gets which event.
        scoring: What routes and scorer say now.
        runs: Airflow's DAG runs.
    """

    routes: Routes
    scoring: Scoring
    runs: Runs

    async def choose(self, event: ObjectEvent, verdict: Verdict | None) -> Choice:
        """Return the routes that have a run of the event already; where there are none, those it gets now.

        Args:
            event: As its message tells it, without what S3 said.
            verdict: What a ledger knows of it.

        Raises:
            OutageError: Airflow did not answer.
        """
        enriched, match = self.scoring.known(event)
        has_run = () if verdict is None else verdict.runs.keys()
        if match.errors or any(route.dag_id in has_run for route in match.routes):
            return Choice(enriched, match)
        scored = self.scoring.of(event)
        for route in self.scoring.rivals(event):
            if self._is_other(route, match) and await self._has_run(route, event, verdict):
                return Choice(enriched, _stood_by(route, scored))
        drop = (verdict.dropped if verdict else "") or (scored.drop if scored else "")
        return Choice(enriched, Match() if drop else match, drop)

    def _is_other(self, route: Route, match: Match) -> bool:
        """Whether the event goes to one of them, and not to both."""
        if route in match.routes:
            return False
        is_default = self.routes.default in (route, *match.routes)
        return self.routes.mode == "first" or not match.routes or is_default

    async def _has_run(self, route: Route, event: ObjectEvent, verdict: Verdict | None) -> bool:
        if verdict is not None and route.dag_id in verdict.runs:
            return True
        name = name_of(route, event, 0, None if verdict is None else verdict.naming)
        return await self.runs.state(route.dag_id, name) is not RunState.NONE


def _stood_by(route: Route, scored: Scored | None) -> Match:
    """A drop that comes too late drops none of an event's routes: some may not have their run yet."""
    if scored is not None and scored.drop and route in scored.unscored.routes:
        return scored.unscored
    return Match((route,))
