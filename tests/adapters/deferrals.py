"""How a task says that it defers, wherever this line of Airflow has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lines import AIRFLOW

if TYPE_CHECKING or AIRFLOW >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred

__all__ = ["TaskDeferred"]
