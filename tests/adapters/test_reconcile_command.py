"""``s3events reconcile`` against an emulated S3, a ledger in SQLite, and Airflow's REST API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.cli import main
from airflow_s3events.filters import prefix
from airflow_s3events.routing import Route, Routes
from tests.adapters.airflow_api import AirflowApi
from tests.adapters.conftest import Bucket
from tests.lines import AIRFLOW


class Shell:
    """Where the command is typed."""

    def __init__(self, bucket: Bucket, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.bucket = bucket
        self.url = f"sqlite:///{folder}/ledger.db"
        self.capsys = capsys
        self.err = ""

    def reconcile(self, *options: str, where: str = "", way: str = "--dag=process") -> tuple[int, Any]:
        """Return the exit status and what was printed, as JSON where it is."""
        standard = ["--ledger", self.url, "--aws-conn-id", "aws_default", "--min-age-seconds", "0", way]
        status = main(["reconcile", where or f"s3://{self.bucket.name}", *standard, *options])
        out, self.err = self.capsys.readouterr()
        return status, json.loads(out) if out.startswith("{") else out


@pytest.fixture
def shell(bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(bucket, tmp_path, capsys)


API = ("--airflow-conn-id", "airflow_api", "--json")


def test_what_is_missing_is_started_once(shell: Shell, airflow_api: AirflowApi) -> None:
    shell.bucket.put("in/a.csv")
    shell.bucket.put("out/b.csv")
    status, report = shell.reconcile(*API, where=f"s3://{shell.bucket.name}/in/")
    assert (status, report["missing"], report["started"]) == (0, 1, 1)
    ((_, run),) = airflow_api.runs.items()
    assert run["conf"]["s3_event"]["key"] == "in/a.csv"
    assert run["conf"]["s3_event"]["extra"] == {"origin": "reconcile"}
    status, again = shell.reconcile(*API, where=f"s3://{shell.bucket.name}/in/")
    assert (status, again["matched"], again["started"]) == (0, 1, 0)


def test_a_dry_run_asks_nothing_of_airflow_and_says_that_something_is_missing(
    shell: Shell, airflow_api: AirflowApi
) -> None:
    shell.bucket.put("a")
    status, out = shell.reconcile("--dry-run", "--airflow-conn-id", "airflow_api")
    assert (status, airflow_api.calls) == (3, [])
    assert "missing 1" in out
    assert shell.bucket.uri("a") in out


def test_nothing_missing_is_status_0_in_a_dry_run_too(shell: Shell) -> None:
    assert shell.reconcile("--dry-run")[0] == 0


def test_a_limit_that_was_reached_leaves_something(shell: Shell, airflow_api: AirflowApi) -> None:
    for key in ("a", "b", "c"):
        shell.bucket.put(key)
    status, report = shell.reconcile(*API, "--limit", "2")
    assert (status, report["started"]) == (3, 2)
    assert shell.reconcile(*API, "--limit", "2")[0] == 0
    assert len(airflow_api.runs) == 3


def test_a_file_of_routes_leads_where_the_dispatcher_s_do(
    shell: Shell, airflow_api: AirflowApi, tmp_path: Path
) -> None:
    routes = Routes([Route(dag_id="archive", when=prefix("old/"))])
    (tmp_path / "routes.json").write_text(json.dumps(routes.serialize()))
    shell.bucket.put("old/a")
    shell.bucket.put("new/b")
    status, report = shell.reconcile(*API, way=f"--routes={tmp_path}/routes.json")
    assert (status, report["unmatched"], report["started"]) == (0, 1, 1)
    assert [dag_id for dag_id, _ in airflow_api.runs] == ["archive"]


def test_only_what_the_filter_matches_is_compared(shell: Shell) -> None:
    shell.bucket.put("a.csv")
    shell.bucket.put("a.txt")
    when = json.dumps(prefix("a.c").serialize())
    assert shell.reconcile("--dry-run", "--json", "--when", when)[1]["skipped"] == 1


def test_a_paused_dag_ends_it_where_nobody_is_to_wait(shell: Shell, airflow_api: AirflowApi) -> None:
    shell.bucket.put("a")
    airflow_api.paused.add("process")
    assert shell.reconcile(*API, "--no-wait")[0] == 4
    assert "paused" in shell.err
    airflow_api.paused.clear()
    assert shell.reconcile(*API, "--no-wait")[0] == 0


def test_a_paused_dag_is_waited_for(
    shell: Shell, airflow_api: AirflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.bucket.put("a")
    airflow_api.paused.add("process")
    monkeypatch.setattr("time.sleep", lambda _: airflow_api.paused.clear())
    status, report = shell.reconcile(*API)
    assert (status, report["started"]) == (0, 1)


@pytest.mark.parametrize("fault", ["import_errors", "refusing"])
def test_what_airflow_refuses_is_counted_and_left(shell: Shell, airflow_api: AirflowApi, fault: str) -> None:
    shell.bucket.put("a")
    getattr(airflow_api, fault).add("process")
    status, report = shell.reconcile(*API)
    assert (status, report["refused"]) == (3, 1)


def test_a_dag_that_is_not_there_is_a_refusal(shell: Shell, airflow_api: AirflowApi) -> None:
    shell.bucket.put("a")
    airflow_api.dag_ids.clear()
    assert shell.reconcile(*API)[0] == 3


def test_airflow_away_or_throttling_is_status_5_and_the_next_start_goes_on(
    shell: Shell, airflow_api: AirflowApi
) -> None:
    shell.bucket.put("a")
    airflow_api.is_throttling = True
    assert shell.reconcile(*API, "--outage-seconds", "0.1")[0] == 5
    airflow_api.is_throttling = False
    assert shell.reconcile(*API)[0] == 0


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2's own database takes runs without its API")
def test_without_a_way_to_airflow_it_says_which_options_to_give(shell: Shell) -> None:
    assert shell.reconcile()[0] == 2
    assert "--airflow-conn-id or --mwaa-environment" in shell.err


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3 keeps its database to itself")
def test_on_airflow_2_runs_are_made_in_its_database(shell: Shell, database: Any) -> None:
    shell.bucket.put("a")
    assert shell.reconcile()[0] == 0
    assert [conf["s3_event"]["key"] for conf in database.runs.values()] == ["a"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"where": "landing"}, "s3://bucket"),
        ({"way": "--limit=1"}, "--dag or --routes"),
        ({"way": "--routes=/nowhere/routes.json"}, "--routes"),
        ({"more": ["--when", "{"]}, "--when: not JSON"),
        ({"more": ["--modified-after", "yesterday"]}, "modified_after"),
        ({"more": ["--tolerance-seconds", "-1"]}, "tolerance_seconds"),
        ({"more": ["--ledger", "nonsense"]}, "ledger"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_named(shell: Shell, options: dict[str, Any], named: str) -> None:
    more = options.pop("more", [])
    assert shell.reconcile("--dry-run", *more, **options)[0] == 2
    assert named in shell.err
