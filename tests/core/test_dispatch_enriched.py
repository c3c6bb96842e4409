"""From messages to runs where a route asks S3 about the object."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_s3events import filters as f
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.routing import Route, Routes
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.test_enrich import GOLD, FakeS3, message


class World:
    """A dispatcher over fakes, S3 among them."""

    def __init__(self, routes: Any) -> None:
        self.runs, self.inbox, self.s3 = FakeRuns("process", "archive"), FakeInbox(), FakeS3()
        self.dispatcher = Dispatcher(
            inbox=self.inbox,
            routes=Routes.of(routes),
            runs=self.runs,
            settings=DispatchSettings(),
            now=lambda: 1_800_000_000.0,
            clock=lambda: 0.0,
            source=self.s3,
        )

    def dags(self) -> list[str]:
        return [dag_id for dag_id, _ in self.runs.stored]


async def test_the_run_has_what_s3_said_in_its_conf_and_the_run_id_of_the_event() -> None:
    plain, asking = World("process"), World({"process": GOLD})
    await plain.dispatcher.dispatch([message()])
    await asking.dispatcher.dispatch([message()])
    (conf,) = asking.runs.confs.values()
    assert conf["s3_event"]["facts"]["tags"] == {"class": "gold"}
    assert list(asking.runs.stored) == list(plain.runs.stored)
    assert asking.inbox.fates["m0-in/a.csv"][0] == "acknowledged"


async def test_s3_decides_which_dag_gets_the_event() -> None:
    world = World({"archive": f.tag("class", "silver"), "process": GOLD})
    await world.dispatcher.dispatch([message()])
    assert world.dags() == ["process"]
    assert world.s3.calls.total() == 1


async def test_an_outage_of_s3_is_waited_out_and_costs_the_message_nothing() -> None:
    world = World({"process": GOLD})
    world.s3.outages = 3
    await world.dispatcher.dispatch([message()])
    assert world.inbox.waits == 3
    assert world.dags() == ["process"]


async def test_a_missing_right_puts_the_event_off_with_the_reason_and_lets_other_routes_go_on() -> None:
    world = World({"process": f.prefix("in/") & GOLD, "archive": f.prefix("out/")})
    world.s3.refuses = {"tags"}
    await world.dispatcher.dispatch([message("in/a"), message("out/b", 1)])
    fate, reason, delay = world.inbox.fates["m0-in/a"]
    assert (fate, reason) == ("released", "s3: no right to tags")
    assert delay > 0
    assert world.dags() == ["archive"]


async def test_several_refusals_in_a_row_park_the_dag_that_asked() -> None:
    world = World({"process": f.prefix("in/") & GOLD})
    world.s3.refuses = {"tags"}
    await world.dispatcher.dispatch([message(f"in/{n}", n) for n in range(3)])
    closed = await world.dispatcher.gates["process"].check()
    assert closed is not None
    assert closed.refused
    assert closed.reason == "s3: no right to tags"


@pytest.mark.parametrize("state", ["gone", "newer"])
async def test_an_object_that_is_no_longer_the_events_still_starts_the_run_that_wants_it(state: Any) -> None:
    from airflow_s3events.facts import ObjectFacts

    world = World(Route(dag_id="process", enrich=["head"]))
    world.s3.told = {"head": ObjectFacts(state=state, asked=("head",))}
    await world.dispatcher.dispatch([message()])
    (conf,) = world.runs.confs.values()
    assert conf["s3_event"]["facts"]["state"] == state


async def test_an_event_that_is_too_old_when_it_is_looked_at_is_counted_and_asked_nothing() -> None:
    world = World({"process": GOLD})
    world.dispatcher.settings = DispatchSettings(max_age_seconds=3600)
    young, old = "2027-01-15T07:30:00.000Z", "2027-01-15T06:30:00.000Z"  # now is 08:00
    await world.dispatcher.dispatch([message("a", event_time=young), message("b", 1, event_time=old)])
    assert world.dispatcher.counts == {"started": 1, "ignored": 1}
    assert world.s3.calls == {("a", "tags"): 1}


@pytest.mark.parametrize(
    ("before", "max_age_seconds", "oldest"),
    [(None, None, None), (500, None, 500), (500, 400, 600), (700, 400, 700)],
)
def test_the_later_of_date_and_age_says_what_is_too_old(
    before: int | None, max_age_seconds: float | None, oldest: int | None
) -> None:
    def moment(seconds: int | None) -> datetime | None:
        return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)

    settings = DispatchSettings(ignore_before=moment(before), max_age_seconds=max_age_seconds)
    assert settings.oldest(1000.0) == moment(oldest)
