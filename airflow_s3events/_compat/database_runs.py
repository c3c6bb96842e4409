"""DAG runs as a task of Airflow 2 can create and read them: in the metadata database."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from airflow_s3events._compat.run_ids import check_run_id
from airflow_s3events.exceptions import ChannelError, OutageError, RouteError, RunRefusedError
from airflow_s3events.settlement import RunState

_T = TypeVar("_T")

#: Tries to find a logical date that no other run of the DAG has.
_DATES = 10
#: MySQL's BLOB, which Airflow 2 keeps a run's conf in, pickled (column ``dag_run.conf``).
_MOST_CONF_BYTES = 65_535
_BLOB_DATABASES = frozenset({"mysql", "mariadb"})


class DatabaseRuns:
    """DAG runs of Airflow 2, by its own ``trigger_dag``, as ``TriggerDagRunOperator`` makes them.

    Each run gets a logical date of its own, to the microsecond: (DAG, logical date) is unique there, and a
    clash of dates is answered like a run id that is taken.
    """

    def __init__(self) -> None:
        self._parent_pid = os.getppid()
        self._latest_date = datetime.min.replace(tzinfo=timezone.utc)

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:  # noqa: ARG002
        """Create a run; return False when the name is taken.

        Airflow 2 makes runs without a note: one could only be put on a run that works already.

        Raises:
            RouteError: Airflow refuses a run of this DAG.
            OutageError: The database did not answer.
        """
        check_run_id(dag_id, run_id)
        _check_size(dag_id, conf)
        for _ in range(_DATES):
            if await self._ask(dag_id, lambda: self._create(dag_id, run_id, conf)):
                return True
            if await self.state(dag_id, run_id) is not RunState.NONE:
                return False
        return False

    async def state(self, dag_id: str, run_id: str) -> RunState:
        """Return the state of one run; ``RunState.NONE`` when there is none of that id."""
        state = await self._ask(dag_id, lambda: _first(_runs("state", dag_id, run_id=[run_id])))
        return RunState.NONE if state is None else RunState(str(getattr(state[0], "value", state[0])))

    async def count_stored(self, dag_id: str, run_ids: Sequence[str]) -> int:
        """Return how many of ``run_ids`` Airflow has stored."""
        return await self._ask(dag_id, lambda: _count(_runs("run_id", dag_id, run_id=run_ids)))

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        """Return how many of ``run_ids`` are in one of ``states``."""
        names = [state.value for state in states]
        return await self._ask(dag_id, lambda: _count(_runs("run_id", dag_id, run_id=run_ids, state=names)))

    async def clear(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:  # noqa: ARG002
        """Refuse: nothing here starts runs again on Airflow 2, see ``_compat.check_can_hold``."""
        raise RunRefusedError(f"run {run_id!r} of DAG {dag_id!r} cannot be started again on Airflow 2")

    async def count_queued(self, dag_id: str) -> int:
        """Return how many runs of the DAG wait in state queued."""
        return await self._ask(dag_id, lambda: _count(_runs("run_id", dag_id, state=["queued"])))

    async def count_active(self, dag_id: str) -> int:
        """Return how many runs of the DAG are queued or running."""
        states = ["queued", "running"]
        return await self._ask(dag_id, lambda: _count(_runs("run_id", dag_id, state=states)))

    async def is_paused(self, dag_id: str) -> bool:
        """Return whether the DAG is paused.

        Raises:
            RouteError: There is no such DAG, or its file has an import error.
        """
        return await self._ask(dag_id, lambda: _is_paused(dag_id))

    def _create(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        from airflow.api.common.trigger_dag import trigger_dag
        from airflow.exceptions import DagRunAlreadyExists
        from sqlalchemy.exc import IntegrityError

        # As Airflow 3 does: it makes no run of a DAG whose file it cannot import at present.
        _is_paused(dag_id)
        try:
            trigger_dag(  # type: ignore[call-arg]
                dag_id=dag_id,
                run_id=run_id,
                conf=conf,
                execution_date=self._next_date(),
                replace_microseconds=False,
            )
        except (DagRunAlreadyExists, IntegrityError):
            return False
        return True

    def _next_date(self) -> datetime:
        """Now, and a microsecond later than the date before."""
        self._latest_date = max(datetime.now(timezone.utc), self._latest_date + timedelta(microseconds=1))
        return self._latest_date

    async def _ask(self, dag_id: str, call: Callable[[], _T]) -> _T:
        from airflow.exceptions import AirflowException  # type: ignore[attr-defined]
        from sqlalchemy.exc import DataError, SQLAlchemyError

        if os.getppid() != self._parent_pid:
            # Airflow 2 leaves the process of a killed worker behind; the task's next try works beside it.
            raise ChannelError("the worker of this task is gone: its process has another parent")
        try:
            return await asyncio.to_thread(call)
        except DataError as error:
            raise RunRefusedError(f"a run of DAG {dag_id!r} cannot be stored: {error.orig}") from error
        except SQLAlchemyError as error:
            raise OutageError(f"Airflow's database does not answer: {type(error).__name__}") from error
        except (AirflowException, ValueError) as error:
            raise RunRefusedError(f"Airflow cannot create a run of DAG {dag_id!r}: {error}") from error


def _check_size(dag_id: str, conf: dict[str, Any]) -> None:
    """Refuse what MySQL would not store, or, without its strict mode, cut off."""
    from airflow import settings

    if settings.engine is None or settings.engine.dialect.name not in _BLOB_DATABASES:
        return
    size = len(pickle.dumps(conf, pickle.HIGHEST_PROTOCOL))
    if size > _MOST_CONF_BYTES:
        raise RunRefusedError(
            f"conf for a run of DAG {dag_id!r} has {size} bytes, and Airflow 2 on MySQL stores"
            f" {_MOST_CONF_BYTES} at most: shorten the route's extra"
        )


def _is_paused(dag_id: str) -> bool:
    from airflow.models import DagModel
    from airflow.utils.session import create_session

    model: Any = DagModel
    with create_session() as session:
        columns = (model.is_paused, model.is_active, model.has_import_errors)
        found = session.query(*columns).filter(model.dag_id == dag_id).one_or_none()
    if found is None or not found.is_active:
        raise RouteError(f"Airflow refuses DAG {dag_id!r}: there is no such DAG")
    if found.has_import_errors:
        raise RouteError(f"Airflow refuses DAG {dag_id!r}: its file has import errors")
    return bool(found.is_paused)


def _runs(column: str, dag_id: str, **which: Sequence[str]) -> Callable[[Any], Any]:
    """Return what makes a query, in a session, for a column of the DAG's runs with such values."""
    from airflow.models import DagRun

    def query(session: Any) -> Any:
        wanted = (getattr(DagRun, name).in_(list(values)) for name, values in which.items())
        return session.query(getattr(DagRun, column)).filter(DagRun.dag_id == dag_id, *wanted)

    return query


def _first(query: Callable[[Any], Any]) -> Any:
    from airflow.utils.session import create_session

    with create_session() as session:
        return query(session).first()


def _count(query: Callable[[Any], Any]) -> int:
    from airflow.utils.session import create_session

    with create_session() as session:
        return int(query(session).count())
