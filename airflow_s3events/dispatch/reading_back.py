"""Read runs back that were just created: a message is deleted only when Airflow has its runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from airflow_s3events.dispatch.starting import Outcome, Runs
from airflow_s3events.exceptions import RouteError
from airflow_s3events.settlement import RunState

#: Run ids in one question whether they are stored: they travel in a URL of some 200 bytes each.
_COUNT_CHUNK = 25

#: Calls until Airflow answers.
Patiently = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def missing_of(outcomes: Sequence[Outcome], runs: Runs, patiently: Patiently) -> set[tuple[str, str]]:
    """Return those of the runs just created (DAG id, run id) that Airflow does not have."""
    by_dag: dict[str, list[str]] = defaultdict(list)
    for dag_id, name in (outcome.created for outcome in outcomes if outcome.created):
        by_dag[dag_id].append(name)
    missing: set[tuple[str, str]] = set()
    for dag_id, names in by_dag.items():
        for first in range(0, len(names), _COUNT_CHUNK):
            missing |= await _missing_some(dag_id, names[first : first + _COUNT_CHUNK], runs, patiently)
    return missing


async def _missing_some(
    dag_id: str, names: list[str], runs: Runs, patiently: Patiently
) -> set[tuple[str, str]]:
    distinct = list(dict.fromkeys(names))
    try:
        stored = await patiently(lambda: runs.count_stored(dag_id, distinct))
    except RouteError:  # the DAG was deleted meanwhile, and its runs with it, perhaps not all yet
        stored = 0
    if stored == len(distinct):
        return set()
    states = {name: await _state(dag_id, name, runs, patiently) for name in distinct}
    return {(dag_id, name) for name, state in states.items() if state is RunState.NONE}


async def _state(dag_id: str, name: str, runs: Runs, patiently: Patiently) -> RunState:
    state: RunState = await patiently(lambda: runs.state(dag_id, name))
    return state
