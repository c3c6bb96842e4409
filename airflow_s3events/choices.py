"""Which route an event got before, where what S3 says of its object decides: S3 may say otherwise now.

Knows neither Airflow nor AWS: it works on the calls of ``Runs``.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_s3events.events import ObjectEvent
from airflow_s3events.routing import Match, Route, Routes
from airflow_s3events.settlement import RunState
from airflow_s3events.starting import Runs, name_of


@dataclass(frozen=True, slots=True)
class Choices:
    """Stands by the route that an event got when it was delivered first.

    Tags change: without this, a message that comes again after such a change would start a second run, in
    another DAG. It costs one look at Airflow for each other route that the event could have got.

    Args:
        routes: Which DAG gets which event.
        runs: Airflow's DAG runs.
    """

    routes: Routes
    runs: Runs

    async def stand(self, event: ObjectEvent, match: Match) -> Match:
        """Return the route that has a run of the event already; ``match`` where there is none.

        Args:
            event: As its message tells it, without what S3 said.
            match: What the routes say, with what S3 said.

        Raises:
            OutageError: Airflow did not answer.
        """
        if match.errors or not self.routes.asks:
            return match
        for route in self.routes.rivals(event):
            if route not in match.routes and await self._has_run(route, event):
                return Match((route,))
        return match

    async def _has_run(self, route: Route, event: ObjectEvent) -> bool:
        return await self.runs.state(route.dag_id, name_of(route, event, 0)) is not RunState.NONE
