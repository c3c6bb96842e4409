"""Airflow 2 as a task finds it: a metadata database, in SQLite, and Airflow's own ``trigger_dag``."""

from __future__ import annotations

from typing import Any

import pytest


class MetadataDatabase:
    """DAGs ``process`` and ``archive`` in the database of the tests' AIRFLOW_HOME."""

    def __init__(self, *dag_ids: str) -> None:
        from airflow.models import DAG
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.operators.empty import EmptyOperator  # type: ignore[import-not-found]
        from airflow.utils.db import initdb

        initdb(load_connections=False)  # type: ignore[call-arg]
        for dag_id in dag_ids:
            dag: Any = DAG(dag_id, schedule=None)
            EmptyOperator(task_id="nothing", dag=dag)
            dag.sync_to_db()
            SerializedDagModel.write_dag(dag)  # type: ignore[call-arg]

    def empty(self) -> None:
        """Forget all runs; unpause and mend the DAGs."""
        from airflow.models import DagModel, DagRun, TaskInstance

        values: Any = {"is_paused": False, "has_import_errors": False, "is_active": True}
        with self._session() as session:
            for model in (TaskInstance, DagRun):
                session.query(model).delete()
            session.query(DagModel).update(values)

    @property
    def runs(self) -> dict[tuple[str, str], Any]:
        """Conf of every run by DAG id and run id."""
        from airflow.models import DagRun

        with self._session() as session:
            return {(run.dag_id, run.run_id): run.conf for run in session.query(DagRun)}

    def dates(self) -> list[Any]:
        """Logical dates of all runs."""
        from airflow.models import DagRun

        with self._session() as session:
            return [run.execution_date for run in session.query(DagRun)]

    def pause(self, dag_id: str) -> None:
        """Pause a DAG."""
        self.mark(dag_id, is_paused=True)

    def unpause(self, dag_id: str) -> None:
        """Let it run again."""
        self.mark(dag_id, is_paused=False)

    def mark(self, dag_id: str, **values: Any) -> None:
        """Set columns of a DAG's row."""
        from airflow.models import DagModel

        with self._session() as session:
            session.query(DagModel).filter(DagModel.dag_id == dag_id).update(values)

    def forget_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on say yes to a run and do not keep it."""
        monkeypatch.setattr("airflow.api.common.trigger_dag.trigger_dag", lambda **_: None)

    def _session(self) -> Any:
        from airflow.utils.session import create_session

        return create_session()
