"""The example DAGs, read as Airflow reads them."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.lines import AIRFLOW, dag_bag
from tests.system.example_cases import NOT_RUN

EXAMPLES = sorted((Path(__file__).parents[2] / "example_dags").glob("*.py"))
LONGEST = 79
#: Providers that are optional, and not installed with the tests.
OPTIONAL = {"azure_copy": "microsoft.azure", "multi_cloud": "google", "jenkins_job": "jenkins"}
#: What Airflow 2 has not.
FROM_AIRFLOW_3 = {
    "s3_event_asset(": "assets are watched from Airflow 3 on",
    "triggering_asset_events": "asset events have this name from Airflow 3 on",
    'acknowledge="run_succeeded"': "messages are held from Airflow 3 on",
}
#: How examples/every_airflow.py takes Airflow's own names, for those that have them from Airflow 3 alone.
BEFORE_3 = """try:
    from airflow.sdk import {names}
except ImportError:
    from airflow.decorators import dag, task
    from airflow.models import DAG
    from airflow.models.param import Param
    from airflow.operators.python import get_current_context
    from airflow.sensors.base import PokeReturnValue
"""

#: The standard provider of Airflow 3.3 imports a name that it has moved; the Google provider will change.
pytestmark = [
    pytest.mark.filterwarnings(r"default:The .airflow\.utils\.operator_helpers"),
    pytest.mark.filterwarnings("default:S3ToGCSOperator currently returns"),
]


def on_this_line(path: Path, folder: Path) -> Path:
    """The example; on Airflow 2 with the first import as in every_airflow.py."""
    source = path.read_text()
    if AIRFLOW >= (3, 0) or path.stem == "every_airflow":
        return path
    imports = re.compile(r"^from airflow\.sdk import (.+)\n", re.MULTILINE)
    for beside in path.parent.glob("*.toml"):
        (folder / beside.name).write_text(beside.read_text())
    written = folder / path.name
    written.write_text(imports.sub(lambda match: BEFORE_3.format(names=match[1]), source))
    return written


def parses(path: Path) -> Path:
    """Skip, with the reason, what this environment cannot import."""
    provider = OPTIONAL.get(path.stem)
    if provider and find_spec("airflow.providers") and not _has(f"airflow.providers.{provider}"):
        name = provider.replace(".", "-")
        pytest.skip(f"needs apache-airflow-providers-{name}, which nothing else here needs")
    for words, reason in FROM_AIRFLOW_3.items():
        if AIRFLOW < (3, 0) and words in path.read_text():
            pytest.skip(reason)
    return path


def _has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def bag_of(path: Path, folder: Path) -> Any:
    return dag_bag(on_this_line(parses(path), folder))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_airflow_reads_the_example_without_an_error(path: Path, tmp_path: Path) -> None:
    bag = bag_of(path, tmp_path)
    assert bag.import_errors == {}
    assert bag.dags != {}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_dag_that_a_dispatcher_names_is_in_the_same_file(path: Path, tmp_path: Path) -> None:
    from airflow_s3events import S3EventDispatchOperator
    from airflow_s3events.routing import Routes

    dags = bag_of(path, tmp_path).dags
    tasks = [task for dag in dags.values() for task in dag.tasks if isinstance(task, S3EventDispatchOperator)]
    named = {route.dag_id for task in tasks for route in Routes.of(task.routes).routes}
    assert named or "dispatcher(" not in path.read_text()
    assert named <= set(dags)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_fits_on_a_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_dispatchers_of_examples_do_not_share_dag_ids() -> None:
    ids = [i for path in EXAMPLES for i in re.findall(r'dag_id="(\w+_dispatcher)"', path.read_text())]
    assert len(ids) == len(set(ids))


def test_the_index_of_examples_has_a_line_for_each() -> None:
    index = (Path(__file__).parents[2] / "docs" / "examples.md").read_text()
    lines = [line for line in index.splitlines() if line.startswith("- [")]
    assert sorted(line[3 : line.index("]")] for line in lines) == [path.stem for path in EXAMPLES]


def test_the_index_of_examples_says_which_are_only_read_and_why() -> None:
    index = (Path(__file__).parents[2] / "docs" / "examples.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(\S+\) \| (.+) \|$", index, re.MULTILINE)
    assert dict(rows) == NOT_RUN
