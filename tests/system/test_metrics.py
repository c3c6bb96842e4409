"""Metrics of a whole Airflow: what its workers and its triggerer send reaches a StatsD server."""

from __future__ import annotations

import importlib.util

import pytest

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from tests.lines import DAG_IMPORTS
from tests.statsd import StatsdServer
from tests.system.conftest import AddDags, Eventually

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("statsd") is None, reason="Airflow sends StatsD with the package statsd only"
)
_DAGS = f"""{DAG_IMPORTS}

from airflow_s3events import s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="%(name)s", sqs_queue="%(name)s-events", routes="%(name)s-target", linger_seconds=1
)

with DAG(dag_id="%(name)s-target", schedule=None):
    EmptyOperator(task_id="nothing")
"""


def test_what_a_worker_and_the_triggerer_count_reaches_a_statsd_server(
    aws: EmbeddedAws,
    bucket: NotifyingBucket,
    add_dags: AddDags,
    statsd: StatsdServer,
    eventually: Eventually,
) -> None:
    dispatcher, _ = add_dags(_DAGS)

    def sent(name: str) -> float:
        """The sum of a counter of this test's queue."""
        own = f"{dispatcher}-events"
        found = [(*sample[:3], sample[3]["queue"]) for sample in statsd.so_far()]
        return sum(value for other, _, value, queue in found if (other, queue) == (name, own))

    # The triggerer long-polls an empty queue before anything comes.
    eventually(lambda: sent("s3events.receive.empty") >= 1, 120)
    aws.s3.put_object(Bucket=bucket.bucket, Key="in/a.csv", Body=b"1")
    eventually(lambda: sent("s3events.wake_ups") >= 1, 120)
    eventually(lambda: sent("s3events.events.started") == 1, 120)
    assert sent("s3events.events.matched") == 1
