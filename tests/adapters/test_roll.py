"""The roll of a queue's watchers, in an Airflow variable."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_s3events.exceptions import OutageError
from airflow_s3events.filters import everything
from airflow_s3events.triggers.watching import roll as module
from airflow_s3events.triggers.watching.roll import Roll
from airflow_s3events.watchers import Watcher, Watchers
from tests.lines import AIRFLOW

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no asset watchers")


class Variables:
    """Airflow's variables, in memory."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.away: Exception | None = None

    async def read(self, key: str) -> str | None:
        if self.away:
            raise self.away
        return self.texts.get(key)

    async def write(self, key: str, text: str, _: str) -> None:
        self.texts[key] = text

    def names(self) -> set[str]:
        return {name for text in self.texts.values() for name in json.loads(text)}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    made = Variables()
    monkeypatch.setattr(module, "read_variable", made.read)
    monkeypatch.setattr(module, "write_variable", made.write)
    return made


@contextmanager
def running(roll: Roll) -> Iterator[None]:
    task = asyncio.ensure_future(roll.run())
    try:
        yield
    finally:
        task.cancel()


def watchers_with(*names: str) -> Watchers:
    return Watchers({Watcher(name, everything) for name in names})


async def test_triggerers_that_start_together_know_of_each_other_before_they_receive(
    variables: Variables,
) -> None:
    here, there = watchers_with("a"), watchers_with("b")
    await asyncio.gather(Roll("q", here).meet(), Roll("q", there).meet())
    assert variables.names() == {"a", "b"}
    assert {"b"} <= set(here.elsewhere)
    assert {"a"} <= set(there.elsewhere)


async def test_a_watcher_that_begins_is_on_the_roll_at_once(variables: Variables) -> None:
    watchers = watchers_with("a")
    with running(Roll("q", watchers)):
        await asyncio.sleep(0)
        watchers.join(Watcher("b", everything))
        await asyncio.sleep(0.05)
        assert variables.names() == {"a", "b"}


@pytest.mark.usefixtures("variables")
async def test_nobody_is_forgotten_soon_after_a_start_whatever_the_clock_shows() -> None:
    await Roll("q", watchers_with("b")).look()
    watchers, later = watchers_with("a"), time.time() + 7_200
    roll = Roll("q", watchers, now=lambda: later, elapsed=iter((0.0, 599.0, 601.0)).__next__)
    await roll.look()
    assert set(watchers.elsewhere) == {"a", "b"}
    await roll.look()
    assert set(watchers.elsewhere) == {"a"}


async def test_each_queue_has_a_roll_of_its_own(variables: Variables) -> None:
    await Roll("q", watchers_with("a")).look()
    await Roll("p", watchers_with("b")).look()
    assert len(variables.texts) == 2


async def test_nothing_is_received_while_airflow_does_not_say_who_else_there_is(variables: Variables) -> None:
    variables.away = ConnectionError("no database")
    with pytest.raises(OutageError, match="no database"):
        await Roll("q", watchers_with("a")).meet()


async def test_later_what_was_known_stands(variables: Variables) -> None:
    await Roll("q", watchers_with("b")).look()
    watchers = watchers_with("a")
    roll = Roll("q", watchers)
    await roll.look()
    variables.away = ConnectionError("no database")
    assert not await roll.look()
    assert "b" in watchers.elsewhere


async def test_a_roll_that_is_no_json_is_made_anew(variables: Variables) -> None:
    roll = Roll("q", watchers_with("a"))
    variables.texts[roll.key] = "spoilt"
    assert await roll.look()
    assert variables.names() == {"a"}
