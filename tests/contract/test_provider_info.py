"""The provider metadata against Airflow's own schema, Airflow's own command, and the files on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import airflow_s3events
from airflow_s3events.provider_info import get_provider_info
from tests.lines import AIRFLOW

PACKAGE = Path(airflow_s3events.__file__).parent
#: Folders of the package that Airflow knows under the same name.
FAMILIES = ("operators", "sensors", "hooks", "triggers")


def schema() -> Any:
    spec = find_spec("airflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    for folder in spec.submodule_search_locations:
        path = Path(folder, "provider_info.schema.json")
        if path.exists():
            return json.loads(path.read_text())
    pytest.fail("the installed Airflow has no provider_info.schema.json")


def modules_on_disk(family: str) -> list[str]:
    files = sorted(PACKAGE.glob(f"{family}/*.py"))
    return [f"airflow_s3events.{family}.{file.stem}" for file in files if file.stem != "__init__"]


def test_metadata_obeys_the_schema_of_the_installed_airflow() -> None:
    jsonschema.validate(get_provider_info(), schema())


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="one dict for all lines; Airflow 2 passes over some of its keys")
def test_metadata_has_no_key_that_airflow_does_not_know() -> None:
    assert set(get_provider_info()) <= set(schema()["properties"]) | {"versions"}


@pytest.mark.parametrize("family", FAMILIES)
def test_metadata_lists_exactly_the_modules_on_disk(family: str) -> None:
    listed = [name for entry in get_provider_info().get(family, []) for name in entry["python-modules"]]
    assert listed == modules_on_disk(family)


def test_every_module_names_a_declared_integration() -> None:
    info = get_provider_info()
    declared = {integration["integration-name"] for integration in info["integrations"]}
    used = {entry["integration-name"] for family in FAMILIES for entry in info.get(family, [])}
    assert used == declared


def test_entry_point_gives_the_metadata() -> None:
    points = entry_points(group="apache_airflow_provider")
    mine = [point for point in points if point.module.startswith("airflow_s3events")]
    assert [point.load()() for point in mine] == [get_provider_info()]


def test_metadata_names_the_installed_distribution_and_its_version() -> None:
    info = get_provider_info()
    assert info["versions"] == [version(info["package-name"])]


def test_airflow_shows_the_provider(tmp_path: Path) -> None:
    airflow = str(Path(sys.executable).with_name("airflow"))
    command = [airflow, "providers", "get", "airflow-provider-s3events", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    shown = json.loads(done.stdout.splitlines()[-1])
    assert shown[0]["Provider"] == "airflow-provider-s3events"
    assert shown[0]["Version"] == airflow_s3events.__version__
