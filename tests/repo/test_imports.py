"""What importing the package costs a DAG file: nothing of AWS, no connection, no secret."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import airflow_s3events

PACKAGE = Path(airflow_s3events.__file__).parent
HERE = Path(__file__).parent
EXAMPLES = Path(__file__).parents[2] / "example_dags"
BANNED = {"aiobotocore", "aiohttp", "boto3", "botocore", "ministack", "moto", "requests", "sqlalchemy"}

#: What DAG files do with the package, up to building the DAG.
STATEMENTS = {
    "every public name": "from airflow_s3events import *",
    "filters and routes": "import airflow_s3events.filters, airflow_s3events.routing",
    "building a dispatcher": (
        "from airflow_s3events import s3_event_dispatcher\n"
        "s3_event_dispatcher(dag_id='a', sqs_queue='q', routes='b', parallel=2)"
    ),
    # Those that import operators of other providers load what these load.
    **{
        f"example {file.stem}": f"import runpy; runpy.run_path({str(file)!r})"
        for file in sorted(EXAMPLES.glob("*.py"))
        if "from airflow.providers" not in file.read_text()
    },
}
#: Files of the package root that any Python may import, Airflow or not.
ROOT_MODULES = sorted(f.stem for f in PACKAGE.glob("*.py") if not f.stem.startswith("_"))


def probe(statement: str, *floor: str) -> Any:
    """Run a statement in a process that has loaded the modules ``floor``; return what that did."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "AIRFLOW__SECRETS__BACKEND": "import_probe.Recorder",
        "AIRFLOW__WORKERS__SECRETS_BACKEND": "import_probe.Recorder",
    }
    command = [sys.executable, "-c", "import import_probe; import_probe.main()", statement, *floor]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def alone(statement: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a statement without site-packages: what is not Python's own or the package's cannot be imported."""
    (folder / "airflow_s3events").symlink_to(PACKAGE)
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(folder)!r}); {statement}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def taken_from_airflow(source: str) -> list[str]:
    """Modules of Airflow that a DAG file imports itself: what they load is no doing of the package."""
    nodes = ast.walk(ast.parse(source))
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return [module for module in modules if module.partition(".")[0] == "airflow"]


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_dag_file_loads_nothing_of_aws_and_asks_nobody(name: str) -> None:
    example = EXAMPLES / f"{name.removeprefix('example ')}.py"
    floor = taken_from_airflow(example.read_text()) if example.exists() else []
    seen = probe(STATEMENTS[name], *floor)
    assert BANNED.isdisjoint(name.split(".")[0] for name in seen["loaded"])
    assert seen["connected"] == []
    assert seen["looked_up"] == []


def test_the_probe_sees_an_aws_library_a_connection_and_a_look_up() -> None:
    seen = probe(
        "import botocore, socket\nsocket.socket().connect_ex(('127.0.0.1', 9))\nprobe.look_up_a_connection()"
    )
    assert "botocore" in seen["loaded"]
    assert len(seen["connected"]) == 1
    assert "connection probe" in seen["looked_up"]


def test_what_airflow_imports_at_every_start_loads_nothing_else_of_the_package(tmp_path: Path) -> None:
    statement = "import airflow_s3events.provider_info"
    done = alone(f"{statement}; print(*sorted(m for m in sys.modules if m.startswith('airflow')))", tmp_path)
    assert done.stdout.split() == ["airflow_s3events", "airflow_s3events.provider_info"]


@pytest.mark.parametrize("module", ROOT_MODULES)
def test_root_modules_need_the_standard_library_only(module: str, tmp_path: Path) -> None:
    done = alone(f"import airflow_s3events.{module}", tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_plugin_holds_nothing_of_the_page_until_it_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_LEDGER", "sql:ledger_db")
    seen = probe("import airflow_s3events.plugins.s3_events", "airflow.plugins_manager")
    assert [name for name in seen["loaded"] if name.startswith("airflow_s3events.page")] == []


def test_the_first_paint_of_the_page_waits_for_nothing_of_aws() -> None:
    seen = probe("import airflow_s3events.page.pages")
    assert {"aiobotocore", "boto3", "botocore"}.isdisjoint(name.split(".")[0] for name in seen["loaded"])
