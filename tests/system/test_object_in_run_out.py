"""Object in, run out: S3 to SQS to one DAG run, on a real Airflow."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.testing import bodies
from tests.lines import AIRFLOW, DAG_IMPORTS
from tests.system.conftest import AddDags, Eventually

_DAGS = f"""{DAG_IMPORTS}

from airflow_s3events import Route, events_of, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="%(name)s",
    sqs_queue="%(name)s-events",
    routes=Route(dag_id="%(name)s-target", note="{{bucket}}: {{key}}"),
)

with DAG(dag_id="%(name)s-target", schedule=None):
    @task
    def look():
        (event,) = events_of(get_current_context())
        return event.serialize()

    look()
"""

BEFORE_3_2 = pytest.mark.skipif(
    (3, 0) <= AIRFLOW < (3, 2), reason="before Airflow 3.2 a task cannot know of a pause"
)

#: Keys that some step between S3 and Airflow might decode twice, cut or refuse.
_ODD_KEYS = (
    "a b+c%2Bd=e&f.txt",
    "../../etc/passwd",
    "日本/Grüße 🎉.csv",
    "{{ ds }} $(id) 'quoted' \"twice\".sql",
    "folder/",
    "x" * 1024,
)


@dataclass(frozen=True)
class Landing:
    """One bucket with versions, the dispatcher on its queue and the DAG that its objects start."""

    aws: EmbeddedAws
    cluster: Cluster
    bucket: NotifyingBucket
    dispatcher: str
    target: str

    def put(self, key: str, content: bytes = b"1") -> str:
        """Upload; the version id."""
        version_id: str = self.aws.s3.put_object(Bucket=self.bucket.bucket, Key=key, Body=content)[
            "VersionId"
        ]
        return version_id

    def send(self, body: str) -> None:
        """Send a message as if S3 had."""
        self.aws.sqs.send_message(QueueUrl=self.bucket.queue_url, MessageBody=body)

    def runs(self, key: str) -> list[dict[str, Any]]:
        """Runs that have this key in their event."""
        return [run for run in self.cluster.runs(self.target) if run["conf"]["s3_event"]["key"] == key]

    def is_drained(self) -> bool:
        """No message waits or is in flight."""
        return self.aws.counts(self.bucket.queue_url) == (0, 0)

    def dead_letters(self) -> list[dict[str, Any]]:
        """What is in the dead letter queue; it stays there."""
        answer = self.aws.sqs.receive_message(
            QueueUrl=self.bucket.dlq_url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


@pytest.fixture(scope="module")
def landing(aws: EmbeddedAws, cluster: Cluster) -> Iterator[Landing]:
    name = f"landing-{secrets.token_hex(3)}"
    bucket = aws.notifying_bucket(name, versioned=True)
    file = cluster.dags_folder / f"{name}.py"
    file.write_text(_DAGS.replace("%(name)s", name))
    for dag_id in (name, f"{name}-target"):
        cluster.wait_for_dag(dag_id)
    yield Landing(aws, cluster, bucket, name, f"{name}-target")
    cluster.api.set_paused(name, True)
    file.unlink()


def _has_ended(landing: Landing, key: str) -> Callable[[], bool]:
    def probe() -> bool:
        runs = landing.runs(key)
        return landing.is_drained() and bool(runs) and all(run["state"] == "success" for run in runs)

    return probe


def test_an_upload_starts_one_run_whose_task_sees_the_metadata(
    landing: Landing, eventually: Eventually
) -> None:
    version_id = landing.put("reports/one.csv", b"12345")
    eventually(_has_ended(landing, "reports/one.csv"))
    (run,) = landing.runs("reports/one.csv")
    seen = landing.cluster.api.xcom(landing.target, run["dag_run_id"], "look")
    sent = run["conf"]["s3_event"]
    assert seen == {member: sent[member] for member in seen}
    # A task can set a note from Airflow 3.2 on.
    note = f"{landing.bucket.bucket}: reports/one.csv" if AIRFLOW >= (3, 2) else None
    assert run["note"] == note
    assert (seen["bucket"], seen["size"], seen["version_id"]) == (landing.bucket.bucket, 5, version_id)
    assert (run["logical_date"] is None) == (AIRFLOW >= (3, 0))


def test_a_message_sent_three_times_starts_one_run(landing: Landing, eventually: Eventually) -> None:
    body = bodies.records_body(bodies.object_record(landing.bucket.bucket, "three-times"))
    for _ in range(3):
        landing.send(body)
    eventually(_has_ended(landing, "three-times"))
    assert len(landing.runs("three-times")) == 1


def test_a_message_sent_again_after_its_run_has_ended_starts_no_other(
    landing: Landing, eventually: Eventually
) -> None:
    body = bodies.records_body(bodies.object_record(landing.bucket.bucket, "late-repeat"))
    landing.send(body)
    eventually(_has_ended(landing, "late-repeat"))
    landing.send(body)
    eventually(_has_ended(landing, "late-repeat"))
    assert len(landing.runs("late-repeat")) == 1


def test_two_uploads_of_one_key_are_two_runs(landing: Landing, eventually: Eventually) -> None:
    versions = {landing.put("again.csv", b"1"), landing.put("again.csv", b"1")}
    eventually(lambda: len(landing.runs("again.csv")) > 1 and landing.is_drained())
    runs = landing.runs("again.csv")
    assert {run["conf"]["s3_event"]["version_id"] for run in runs} == versions
    assert len(runs) == 2


def test_a_delete_is_an_event_of_its_own(landing: Landing, eventually: Eventually) -> None:
    landing.put("deleted.csv")
    landing.aws.s3.delete_object(Bucket=landing.bucket.bucket, Key="deleted.csv")
    eventually(lambda: len(landing.runs("deleted.csv")) > 1 and landing.is_drained())
    types = [run["conf"]["s3_event"]["event_type"] for run in landing.runs("deleted.csv")]
    assert sorted(types) == ["ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated"]


def test_every_record_of_one_message_starts_a_run(landing: Landing, eventually: Eventually) -> None:
    keys = ["records/1", "records/2", "records/3"]
    landing.send(bodies.records_body(*(bodies.object_record(landing.bucket.bucket, key) for key in keys)))
    eventually(lambda: all(landing.runs(key) for key in keys) and landing.is_drained())
    assert [len(landing.runs(key)) for key in keys] == [1, 1, 1]


def test_odd_keys_arrive_as_they_were_uploaded(landing: Landing, eventually: Eventually) -> None:
    for key in _ODD_KEYS:
        landing.put(key)
    eventually(lambda: all(landing.runs(key) for key in _ODD_KEYS) and landing.is_drained(), 120)
    eventually(lambda: all(landing.runs(key)[0]["state"] == "success" for key in _ODD_KEYS), 120)
    for key in _ODD_KEYS:
        (run,) = landing.runs(key)
        assert landing.cluster.api.xcom(landing.target, run["dag_run_id"], "look")["key"] == key


def test_a_malformed_body_goes_to_the_dlq_with_the_reason_and_stops_nobody(
    landing: Landing, eventually: Eventually
) -> None:
    landing.send('{"Records": "none"')
    landing.put("after-the-malformed-one")
    eventually(_has_ended(landing, "after-the-malformed-one"))
    (dead,) = eventually(landing.dead_letters)
    assert dead["Body"] == '{"Records": "none"'
    assert "JSON" in dead["MessageAttributes"]["s3events.reason"]["StringValue"]


@BEFORE_3_2
def test_events_of_a_paused_dag_stay_in_the_queue_until_it_is_unpaused(
    cluster: Cluster, bucket: NotifyingBucket, add_dags: AddDags, aws: EmbeddedAws, eventually: Eventually
) -> None:
    name, target, *_ = add_dags(_DAGS.replace("schedule=None", "schedule=None, is_paused_upon_creation=True"))
    aws.s3.put_object(Bucket=bucket.bucket, Key="while-paused", Body=b"1")
    eventually(lambda: "Nothing can be started now" in _logs(cluster, name))
    assert cluster.runs(target) == []
    assert sum(aws.counts(bucket.queue_url)) >= 1
    cluster.unpause(target)
    eventually(lambda: [run["state"] for run in cluster.runs(target)] == ["success"], 120)
    eventually(lambda: aws.counts(bucket.queue_url) == (0, 0))
    assert aws.counts(bucket.dlq_url) == (0, 0)


def _logs(cluster: Cluster, dag_id: str) -> str:
    """Everything that the tasks of a DAG have logged."""
    paths = (cluster.folder / "logs" / f"dag_id={dag_id}").rglob("*.log")
    return "\n".join(path.read_text(errors="replace") for path in paths)


def test_neither_receipt_handle_nor_body_reaches_a_log(landing: Landing) -> None:
    text = _logs(landing.cluster, landing.dispatcher) + landing.cluster.logs(lines=100_000)
    assert landing.dispatcher in text
    assert "ReceiptHandle" not in text
    assert '"eventVersion"' not in text
