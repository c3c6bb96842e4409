"""The one place that asks for Airflow's version, and the one that touches what Airflow does not promise.

Everything that differs between Airflow's lines is answered here, so that the rest of the package reads as if
there were only one Airflow. How a run is created differs most, and has a module for each way:
``supervisor_runs`` (Airflow 3) and ``database_runs`` (Airflow 2).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import airflow
from airflow.configuration import conf
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_s3events.exceptions import ConfigurationError

#: Major and minor version of the Airflow that is installed.
_AIRFLOW = tuple(int(part) for part in airflow.__version__.split(".")[:2])

if TYPE_CHECKING or _AIRFLOW >= (3, 0):
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
    from airflow.sdk import (
        DAG,
        BaseNotifier,
        BaseOperator,
        BaseSensorOperator,
        Context,
        PokeReturnValue,
    )
else:
    from airflow.models import DAG, BaseOperator
    from airflow.notifications.basenotifier import BaseNotifier
    from airflow.sensors.base import BaseSensorOperator, PokeReturnValue
    from airflow.triggers.temporal import TimeDeltaTrigger
    from airflow.utils.context import Context
if TYPE_CHECKING or _AIRFLOW >= (3, 0):
    from airflow.triggers.base import BaseEventTrigger
else:
    # Nothing watches for assets there: the trigger can be imported, and s3_event_asset says what it needs.
    BaseEventTrigger = BaseTrigger
if TYPE_CHECKING or _AIRFLOW >= (3, 1):
    from airflow.sdk import BaseHook
else:
    from airflow.hooks.base import BaseHook
if TYPE_CHECKING or _AIRFLOW >= (3, 2):
    from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout
else:
    from airflow.exceptions import AirflowFailException, AirflowSensorTimeout

if TYPE_CHECKING:
    from airflow_s3events.dispatch.starting import Runs
    from airflow_s3events.holding import RunCounts

__all__ = [
    "DAG",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "BaseEventTrigger",
    "BaseHook",
    "BaseNotifier",
    "BaseOperator",
    "BaseSensorOperator",
    "BaseTrigger",
    "Context",
    "PokeReturnValue",
    "TimeDeltaTrigger",
    "TriggerEvent",
    "airflow_runs",
    "check_can_hold",
    "default_deferrable",
    "earliest_resume_seconds",
    "page_framework",
    "runs_without_api",
    "sigterm_calls",
    "trigger_runs",
]


def airflow_runs() -> Runs:
    """Return Airflow's DAG runs, as a task of this Airflow can create and read them."""
    if _AIRFLOW >= (3, 0):
        from airflow_s3events._compat.supervisor_runs import SupervisorRuns

        # From 3.3 on fewer refusals are server errors, which Airflow's client tries again for a while.
        return SupervisorRuns(server_errors_park=_AIRFLOW < (3, 3))
    from airflow_s3events._compat.database_runs import DatabaseRuns

    return DatabaseRuns()


def runs_without_api() -> Runs | None:
    """Return Airflow's DAG runs, as a command beside Airflow can reach them; None on Airflow 3.

    There only tasks have a channel, and the database is nobody's but Airflow's own.
    """
    return None if _AIRFLOW >= (3, 0) else airflow_runs()


def check_can_hold() -> None:
    """Refuse ``acknowledge="run_succeeded"`` where triggers and tasks cannot do what it takes.

    Raises:
        ConfigurationError: This is Airflow 2.
    """
    if _AIRFLOW < (3, 0):
        raise ConfigurationError(
            "acknowledge='run_succeeded': needs Airflow 3; on Airflow 2 leave it out, and have failed runs"
            " sent back by S3EventFailureNotifier"
        )


def trigger_runs() -> RunCounts:
    """Return Airflow's DAG runs, as a trigger of Airflow 3 can count them."""
    from airflow_s3events._compat.supervisor_runs import TriggerRuns

    return TriggerRuns()


def earliest_resume_seconds() -> float:
    """Return for how many seconds after its deferral a task had better not be woken.

    The supervisor of the process that deferred may take ``[workers] min_heartbeat_interval`` to notice its
    end (it sleeps that long when it sees the sockets close before the process is gone). When the task has
    been queued again before the executor reports that end, the scheduler takes the report for a failure of
    the new start (https://github.com/apache/airflow/issues/71580,
    https://github.com/apache/airflow/issues/72716). On 3.3.2 all of eight tasks that deferred in a loop
    failed with triggers firing after 0 to 3 s, one of two after 5 s, none of six after 6 to 8 s. The seconds
    on top are for the scheduler's own loop.
    """
    return conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + 3.0


def page_framework() -> Literal["fastapi", "flask"] | None:
    """Return what a page in Airflow's UI is made with; None on Airflow 3.0, which shows no plugin's page."""
    if _AIRFLOW < (3, 0):
        return "flask"
    return "fastapi" if _AIRFLOW >= (3, 1) else None


def default_deferrable() -> bool:
    """Return whether operators that can defer do so when their user does not say."""
    return conf.getboolean("operators", "default_deferrable", fallback=False)


@contextmanager
def sigterm_calls(on_kill: Callable[[], None]) -> Iterator[None]:
    """Have SIGTERM call ``on_kill`` and nothing else while the block works; the task is ended after it.

    Airflow 3 calls ``on_kill`` only. Airflow 2 calls it, then raises wherever the main thread happens to be
    (https://github.com/apache/airflow/blob/2.11.2/airflow/models/taskinstance.py, ``signal_handler``): in the
    middle of an event loop, whose tasks would be cancelled before they can give back what they hold. It
    allows ``[core] killed_task_cleanup_time`` (60 s) until SIGKILL.
    """
    if _AIRFLOW >= (3, 0) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(signum: int, _frame: Any) -> None:
        came.append(signum)
        on_kill()

    airflows = signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, airflows)
    if came and callable(airflows):
        airflows(signal.SIGTERM, None)
