"""The example DAGs, read as Airflow reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

EXAMPLES = sorted((Path(__file__).parents[2] / "example_dags").glob("*.py"))
LONGEST = 60


def bag_of(path: Path) -> DagBag:
    return DagBag(path, known_pools={"default_pool"})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_airflow_reads_the_example_without_an_error(path: Path) -> None:
    bag = bag_of(path)
    assert bag.import_errors == {}
    assert bag.dags != {}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_dag_that_a_dispatcher_names_is_in_the_same_file(path: Path) -> None:
    from airflow_s3events import S3EventDispatchOperator
    from airflow_s3events.routing import Routes

    dags = bag_of(path).dags
    tasks = [task for dag in dags.values() for task in dag.tasks if isinstance(task, S3EventDispatchOperator)]
    named = {route.dag_id for task in tasks for route in Routes.of(task.routes).routes}
    assert named or "dispatcher(" not in path.read_text()
    assert named <= set(dags)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_fits_on_a_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_the_index_of_examples_has_a_line_for_each() -> None:
    index = (Path(__file__).parents[2] / "docs" / "examples.md").read_text()
    lines = [line for line in index.splitlines() if line.startswith("- [")]
    assert sorted(line[3 : line.index("]")] for line in lines) == [path.stem for path in EXAMPLES]
