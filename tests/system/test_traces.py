"""Traces of a whole Airflow: the span of a message, and those of its run, which are linked with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.testing import object_created_body
from tests.lines import DAG_IMPORTS
from tests.otlp import OtlpServer
from tests.system.conftest import AddDags, Eventually

_TRACE, _PARENT = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
_DAGS = f"""{DAG_IMPORTS}

from airflow_s3events import s3_event_dispatcher, trace_links_of

dispatcher = s3_event_dispatcher(
    dag_id="%(name)s", sqs_queue="%(name)s-events", routes="%(name)s-target", linger_seconds=1
)

with DAG(dag_id="%(name)s-target", schedule=None):

    @task
    def work():
        assert len(trace_links_of(get_current_context())) == 1

    work()
"""


@pytest.fixture(scope="module")
def otlp() -> Iterator[OtlpServer]:
    """What Airflow sends as its traces."""
    server = OtlpServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def cluster(aws: EmbeddedAws, otlp: OtlpServer) -> Iterator[Cluster]:
    """An Airflow of its own: all of it is traced, which the others should not be."""
    folder = Path(tempfile.mkdtemp(prefix="s3events-traces-"))
    environment = {"AIRFLOW_CONN_AWS_DEFAULT": aws.connection, **otlp.settings}
    with Cluster(
        folder / "airflow", dags_folder=folder / "dags", environment=environment, remove_folder=folder
    ) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


def test_the_span_of_a_message_is_in_its_senders_trace_and_the_run_is_linked_with_it(  # noqa: PLR0917 - fixtures
    aws: EmbeddedAws,
    bucket: NotifyingBucket,
    add_dags: AddDags,
    cluster: Cluster,
    otlp: OtlpServer,
    eventually: Eventually,
) -> None:
    _, target = add_dags(_DAGS)
    header = f"Root=1-{_TRACE[:8]}-{_TRACE[8:]};Parent={_PARENT};Sampled=1"
    aws.sqs.send_message(
        QueueUrl=bucket.queue_url,
        MessageBody=object_created_body(bucket.bucket, "in/a.csv"),
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": header}},
    )
    (span,) = eventually(lambda: otlp.spans(aws_s3_bucket=bucket.bucket), 120)
    assert (span.trace_id, span.parent_id) == (_TRACE, _PARENT)
    assert span.attributes["aws.s3.key"] == "in/a.csv"
    assert span.attributes["aws.request_id"]

    linked = eventually(lambda: [one for one in otlp.spans() if one.is_linked_with(span)], 120)
    assert _TRACE not in {one.trace_id for one in linked}, "the run has a trace of its own"
    eventually(lambda: [run["state"] for run in cluster.api.runs(target)] == ["success"], 60)
