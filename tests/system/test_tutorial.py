"""The tutorial's own blocks, on a real Airflow: its DAG file is read, its upload starts a run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import airflow_s3events.demo
from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.lines import AIRFLOW
from tests.system.conftest import Eventually

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
DISPATCHER = Path(airflow_s3events.demo.__file__).parent / "dags" / "dispatcher.py"

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="the page's DAG file is for Airflow 3")


def block(language: str, word: str) -> str:
    """The only block of the page in the language that holds the word."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (text,) = [text for text in found if word in text]
    return str(text)


def upload(aws: EmbeddedAws) -> None:
    """Run the page's command, with the port that the demo would have printed."""
    command = block("sh", "put_object").replace("http://127.0.0.1:PORT", aws.endpoint_url)
    subprocess.run(
        ["bash", "-euc", command.replace(".venv/bin/python", sys.executable)], check=True, capture_output=True
    )


def test_the_steps_of_the_page_end_in_runs_with_the_objects_folder(
    cluster: Cluster, aws: EmbeddedAws, eventually: Eventually
) -> None:
    bucket = aws.notifying_bucket("demo", versioned=True)
    files = {"target.py": block("python", "demo_target"), "dispatcher.py": DISPATCHER.read_text()}
    for name, text in files.items():
        (cluster.dags_folder / name).write_text(text)
    try:
        for dag_id in ("demo_target", "demo_dispatcher"):
            cluster.wait_for_dag(dag_id)
        upload(aws)
        upload(aws)

        def ended() -> list[dict[str, Any]]:
            runs = cluster.runs("demo_target")
            return runs if [run["state"] for run in runs] == ["success", "success"] else []

        runs = eventually(ended, 120)
        assert [run["conf"]["s3_event"]["key"] for run in runs] == ["mine/first try.txt"] * 2
        seen = cluster.api.xcom("demo_target", runs[0]["dag_run_id"], "look")
        assert seen == {"folder": "mine", "size": 5}
        eventually(lambda: aws.counts(bucket.queue_url) == (0, 0))
    finally:
        cluster.api.set_paused("demo_dispatcher", True)
        for name in files:
            (cluster.dags_folder / name).unlink()
