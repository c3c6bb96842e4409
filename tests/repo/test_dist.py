"""What is inside the wheel and the sdist."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(dist.glob("*.whl")))


def test_wheel_installs_the_package_and_nothing_beside_it(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0].split("-")[0] for name in wheel.namelist()}
    assert tops == {"airflow_s3events", "airflow_provider_s3events"}


def test_wheel_holds_every_module_and_the_mark_of_a_typed_package(wheel: zipfile.ZipFile) -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "airflow_s3events").rglob("*.py")}
    assert files | {"airflow_s3events/py.typed"} <= set(wheel.namelist())


def test_wheel_holds_the_pages_own_files_and_no_others_scripts(wheel: zipfile.ZipFile) -> None:
    page = ROOT / "airflow_s3events" / "page"
    files = [path for folder in ("static", "templates") for path in (page / folder).iterdir()]
    assert {str(path.relative_to(ROOT)) for path in files} <= set(wheel.namelist())
    scripts = {name for name in wheel.namelist() if name.endswith((".js", ".css"))}
    assert scripts == {str(path.relative_to(ROOT)) for path in (page / "static").iterdir()}


def test_wheel_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]


def test_sdist_holds_what_its_own_tests_need(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests/conftest.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(".venv")]
