"""Who looks at the page: what Airflow's auth manager lets this visitor do, and how to ask Airflow for him."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from airflow_s3events.hooks.airflow_rest import Api
from airflow_s3events.page.settings import WatchedQueue
from airflow_s3events.reconcile import NewRuns


class Visitor(Protocol):
    """A user whom Airflow knows. One request has one."""

    @property
    def major(self) -> int:
        """Major version of Airflow."""
        ...

    @property
    def api(self) -> Api | None:
        """Airflow's REST API in the visitor's name; None where there is no such way: Airflow 2."""
        ...

    @property
    def runs(self) -> NewRuns | None:
        """Airflow's runs; None where they cannot be asked for."""
        ...

    @property
    def csrf_token(self) -> str:
        """Proves that a write comes from the page."""
        ...

    def may_read(self, dag_id: str | None) -> bool:
        """Return whether he may read the runs of a DAG; of None: of DAGs at all."""
        ...

    def may_start(self, dag_id: str | None) -> bool:
        """Return whether he may start runs of a DAG; of None: of DAGs at all."""
        ...


def may_see(visitor: Visitor, watched: WatchedQueue) -> bool:
    """Return whether a visitor may see a queue: he may read all DAGs that are named with it."""
    return all(visitor.may_read(dag_id) for dag_id in watched.dag_ids)


def may_redrive(visitor: Visitor, watched: WatchedQueue) -> bool:
    """Return whether a visitor may redrive: that starts runs of the DAGs that are named with the queue."""
    wanted: Sequence[str | None] = watched.targets or (watched.dispatcher,)
    return all(visitor.may_start(dag_id) for dag_id in wanted)


def readable(visitor: Visitor) -> Callable[[str], bool]:
    """Return what tells whether the entries of a DAG may be shown, asking once for each DAG."""
    return lru_cache(maxsize=None)(lambda dag_id: visitor.may_read(dag_id or None))
