"""Run ids that Airflow's configuration allows, told before one is sent."""

from __future__ import annotations

import re
from functools import cache

from airflow.configuration import conf

from airflow_s3events.exceptions import RunRefusedError


def check_run_id(dag_id: str, run_id: str) -> None:
    """Refuse a run id that Airflow would not take.

    Ours fit Airflow's default pattern; a deployment can set another one. Airflow must not be asked: on 3.0 a
    bad run id ends the task's supervisor, on 3.1 and 3.2 it is a server error that is tried again for 15 s.

    Raises:
        RunRefusedError: It does not match ``[scheduler] allowed_run_id_pattern``; names it.
    """
    pattern = _allowed()
    if not pattern.pattern or not pattern.match(run_id):
        raise RunRefusedError(
            f"DAG {dag_id!r}: [scheduler] allowed_run_id_pattern={pattern.pattern!r} does not allow run id"
            f" {run_id!r}; allow letters, digits, '_', '.' and '-', or set run_id='opaque' in the route"
        )


@cache
def _allowed() -> re.Pattern[str]:
    return re.compile(conf.get("scheduler", "allowed_run_id_pattern", fallback=".").strip())
