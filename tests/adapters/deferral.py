"""What an operator raises to defer or to be skipped, on each of Airflow's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lines import AIRFLOW

if TYPE_CHECKING or AIRFLOW >= (3, 2):
    from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
else:
    from airflow.exceptions import AirflowSkipException, TaskDeferred

__all__ = ["AirflowSkipException", "TaskDeferred"]
