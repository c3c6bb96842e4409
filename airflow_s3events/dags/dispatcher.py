"""``s3_event_dispatcher(...)``: the DAG that turns a queue's object events into DAG runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import DAG
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.operators.dispatch import S3EventDispatchOperator

if TYPE_CHECKING:
    from airflow_s3events.routing import Route, Routes

#: Without a start date ``@continuous`` makes no second run on Airflow 3.2 and 3.3, and none at all before.
_START_DATE = datetime(2024, 1, 1, tzinfo=timezone.utc)
#: Above what ordinary tasks have, so that the runs a dispatcher starts cannot keep it from its slot.
_PRIORITY = 10_000

#: Long enough for a server that is coming back, short enough that a try which met the outage does not add
#: minutes to it. All tries count, those after a kill too, so the delay is at its cap soon.
_LONGEST_RETRY_DELAY = timedelta(minutes=1)

_TASK_DEFAULTS: Mapping[str, Any] = {
    "retries": 100,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": _LONGEST_RETRY_DELAY,
    "execution_timeout": None,
    "priority_weight": _PRIORITY,
    "weight_rule": "absolute",
    "depends_on_past": False,
}


def s3_event_dispatcher(
    *,
    dag_id: str,
    sqs_queue: str,
    routes: Routes | Route | str | Mapping[str, Any] | Sequence[Any],
    parallel: int = 1,
    pool: str | None = None,
    dag_arguments: Mapping[str, Any] | None = None,
    **operator_arguments: Any,
) -> DAG:
    """Return a DAG that runs for ever and starts one DAG run for each object event of ``sqs_queue``.

    Assign it to a module's name in a DAG file::

        dispatcher = s3_event_dispatcher(dag_id="dispatcher", sqs_queue="landing", routes="process_object")

    The DAG runs one ``S3EventDispatchOperator`` after the other (``@continuous``). Its tasks retry with a
    back-off to one minute, so that an outage of AWS or Airflow ends by itself, and it is never paused by
    failures in a row: a dispatcher that Airflow has paused would be silent.

    Args:
        dag_id: Id of the dispatcher DAG. By keyword only: Airflow passes over files in which the word "dag"
            does not stand (``[core] dag_discovery_safe_mode``); a file with a dispatcher alone might be one.
        sqs_queue: URL, ARN or name of the queue, as for ``S3EventDispatchOperator``.
        routes: Which DAG gets which event, as for ``S3EventDispatchOperator``.
        parallel: Dispatchers side by side on the queue. Two keep going when one worker dies, since Airflow
            needs its heartbeat time-out (300 s by default) to notice.
        pool: Pool of the tasks, best one of their own with ``parallel`` slots; it must exist. None: the
            default pool, where a priority above all ordinary tasks stands in for it.
        dag_arguments: Further arguments of the DAG (tags, doc_md, access_control, ...).
        **operator_arguments: Further arguments of ``S3EventDispatchOperator`` and of any operator.

    Raises:
        ConfigurationError: ``parallel`` is less than 1, or a setting of the operator cannot work. Airflow
            shows it as an import error of the DAG file, before anything has run.
    """
    if type(parallel) is not int or parallel < 1:
        raise ConfigurationError(f"parallel={parallel!r}: give a whole number from 1")
    arguments = {**_TASK_DEFAULTS, **operator_arguments, **({} if pool is None else {"pool": pool})}
    # By ``with``, Airflow also finds a DAG that the file gives no name to.
    with DAG(dag_id=dag_id, **{**_dag_defaults(), **(dag_arguments or {})}) as dag:
        for number in range(1, parallel + 1):
            task_id = "dispatch" if parallel == 1 else f"dispatch_{number}"
            operator = S3EventDispatchOperator(
                task_id=task_id, sqs_queue=sqs_queue, routes=routes, parallel=parallel, **arguments
            )
            operator.check_settings()
    return dag


def _dag_defaults() -> dict[str, Any]:
    return {
        "schedule": "@continuous",
        "start_date": _START_DATE,
        "catchup": False,
        "max_active_runs": 1,
        "max_consecutive_failed_dag_runs": 0,
        "dagrun_timeout": None,
        "tags": ["s3events"],
    }
