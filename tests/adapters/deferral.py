"""What an operator raises to defer, on each of Airflow's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lines import AIRFLOW

if TYPE_CHECKING or AIRFLOW >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred

__all__ = ["TaskDeferred"]
