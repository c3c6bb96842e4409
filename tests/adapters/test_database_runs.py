"""Runs of Airflow 2 in a real metadata database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_s3events._compat.database_runs import DatabaseRuns
from airflow_s3events.exceptions import ChannelError, OutageError, RouteError, RunRefusedError
from airflow_s3events.settlement import RunState
from tests.adapters.metadata_database import MetadataDatabase
from tests.lines import AIRFLOW

if AIRFLOW >= (3, 0):
    pytest.skip("a task of Airflow 3 has no database", allow_module_level=True)

CONF = {"s3_event": {"key": "ü\x00🎉", "size": 2**53}}
RUN = ("process", "s3_a_0")


@pytest.fixture
def mysql(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the database were MySQL, where all that differs is asked for by its name."""
    from airflow import settings

    engine: Any = settings.engine
    monkeypatch.setattr(engine.dialect, "name", "mysql")


async def test_a_run_is_created_once_with_its_conf(database: MetadataDatabase) -> None:
    assert await DatabaseRuns().create(*RUN, CONF)
    assert not await DatabaseRuns().create(*RUN, CONF)
    assert database.runs == {RUN: CONF}


async def test_many_runs_of_one_moment_are_all_created(database: MetadataDatabase) -> None:
    runs = DatabaseRuns()
    for number in range(20):
        assert await runs.create("process", f"s3_{number}", CONF)
    assert len(database.runs) == len(set(database.dates())) == 20


async def test_a_clash_of_dates_is_not_taken_for_a_run_that_exists(
    database: MetadataDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await DatabaseRuns().create("process", "s3_other", CONF)
    (taken,) = database.dates()
    next_date, given = DatabaseRuns._next_date, [taken, taken]
    monkeypatch.setattr(DatabaseRuns, "_next_date", lambda self: given.pop() if given else next_date(self))
    assert await DatabaseRuns().create(*RUN, CONF)
    assert set(database.runs) == {RUN, ("process", "s3_other")}


async def test_two_dispatchers_at_once_make_one_run(database: MetadataDatabase) -> None:
    created = await asyncio.gather(*(DatabaseRuns().create(*RUN, CONF) for _ in range(2)))
    assert sorted(created) == [False, True]
    assert set(database.runs) == {RUN}


async def test_a_run_that_is_there_has_a_state_and_one_that_is_not_has_none(
    database: MetadataDatabase,  # noqa: ARG001
) -> None:
    await DatabaseRuns().create(*RUN, CONF)
    assert await DatabaseRuns().state(*RUN) is RunState.QUEUED
    assert await DatabaseRuns().state("process", "other") is RunState.NONE


async def test_runs_are_counted_by_their_ids_and_by_state(database: MetadataDatabase) -> None:  # noqa: ARG001
    await DatabaseRuns().create(*RUN, CONF)
    assert await DatabaseRuns().count_stored("process", [RUN[1], "other"]) == 1
    assert await DatabaseRuns().count_queued("process") == 1
    assert await DatabaseRuns().count_active("process") == 1
    assert await DatabaseRuns().count_queued("archive") == 0


async def test_whether_a_dag_is_paused(database: MetadataDatabase) -> None:
    database.pause("archive")
    assert [await DatabaseRuns().is_paused(dag_id) for dag_id in ("process", "archive")] == [False, True]


@pytest.mark.parametrize("state", [{"has_import_errors": True}, {"is_active": False}])
async def test_a_dag_that_cannot_be_imported_or_is_gone_gets_no_run(
    database: MetadataDatabase, state: dict[str, Any]
) -> None:
    database.mark("process", **state)
    with pytest.raises(RouteError, match="process"):
        await DatabaseRuns().create(*RUN, CONF)
    with pytest.raises(RouteError, match="process"):
        await DatabaseRuns().is_paused("process")
    assert not database.runs


async def test_an_unknown_dag_is_the_route_s_fault(database: MetadataDatabase) -> None:  # noqa: ARG001
    with pytest.raises(RouteError, match="absent") as refused:
        await DatabaseRuns().create("absent", "s3_a", CONF)
    assert type(refused.value) is RouteError


async def test_a_run_id_that_airflow_s_configuration_forbids_is_refused_before_anything_is_written(
    database: MetadataDatabase, allowed_run_ids: Callable[[str], None]
) -> None:
    allowed_run_ids("^[0-9]+$")
    with pytest.raises(RunRefusedError, match="allowed_run_id_pattern"):
        await DatabaseRuns().create(*RUN, CONF)
    assert not database.runs


async def test_a_conf_longer_than_mysql_stores_is_refused_before_anything_is_written(
    database: MetadataDatabase,
    mysql: None,  # noqa: ARG001
) -> None:
    with pytest.raises(RunRefusedError, match="65535"):
        await DatabaseRuns().create(*RUN, {"text": "x" * 65_536})
    assert not database.runs


async def test_a_conf_that_fits_mysql_is_created(database: MetadataDatabase, mysql: None) -> None:  # noqa: ARG001
    assert await DatabaseRuns().create(*RUN, {"text": "x" * 65_000})
    assert set(database.runs) == {RUN}


async def test_other_databases_store_a_long_conf(database: MetadataDatabase) -> None:
    conf = {"text": "x" * 100_000}
    assert await DatabaseRuns().create(*RUN, conf)
    assert database.runs == {RUN: conf}


async def test_a_database_that_does_not_answer_is_an_outage(
    database: MetadataDatabase,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sqlalchemy.exc import OperationalError

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("SELECT 1", {}, Exception("no route to host"))

    monkeypatch.setattr("airflow.utils.session.create_session", away)
    with pytest.raises(OutageError):
        await DatabaseRuns().create(*RUN, CONF)


async def test_a_process_whose_worker_was_killed_creates_nothing_more(
    database: MetadataDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = DatabaseRuns()
    monkeypatch.setattr("os.getppid", lambda: 1)
    with pytest.raises(ChannelError):
        await runs.create(*RUN, CONF)
    assert not database.runs
