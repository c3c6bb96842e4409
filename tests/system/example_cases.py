"""What each example needs of AWS, the object that starts it, and what it leaves behind."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws

#: Account of the emulator, where the examples have AWS's own of its documentation.
ACCOUNT = "000000000000"
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


@dataclass
class Clouds:
    """S3 and SQS of the whole suite, and the other services of AWS."""

    aws: EmbeddedAws
    services_url: str

    @cached_property
    def s3(self) -> Any:
        """A boto3 client."""
        return self.aws.s3

    def client(self, service: str) -> Any:
        """A boto3 client of one of the other services."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.services_url,
            region_name="us-east-1",
            aws_access_key_id="demo",
            aws_secret_access_key="demo",
        )

    def read(self, bucket: str, key: str) -> bytes:
        """An object's content."""
        content: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def keys(self, bucket: str) -> list[str]:
        """Keys of a bucket."""
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


@dataclass(frozen=True)
class Case:
    """One example: it is given its buckets and one object, and must succeed."""

    example: str
    bucket: str
    key: str
    body: bytes = b"1"
    #: DAG that the example's own routes must choose.
    dag_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: Tags, as a request has them: ``a=b&c=d``.
    tags: str = ""
    versioned: bool = False
    #: Further buckets.
    others: tuple[str, ...] = ()
    prepare: Callable[[Clouds], Any] = lambda _: None
    #: Whether AWS holds afterwards what the example is for.
    holds: Callable[[Clouds], bool] = lambda _: True
    #: Exactly so many runs, where it is their number that the example is about.
    runs: int | None = None
    #: The event's name, where the emulator's S3 does not send it.
    event_name: str = ""

    @property
    def target(self) -> str:
        """Id of the DAG that the object starts."""
        return self.dag_id or self.example


def _function(clouds: Clouds) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return {'read': event['key']}\n")
    clouds.client("lambda").create_function(
        FunctionName="read-invoice",
        Runtime="python3.12",
        Role=_ROLE,
        Handler="main.handler",
        Code={"ZipFile": packed.getvalue()},
    )


def _state_machine(clouds: Clouds) -> None:
    definition = {"StartAt": "check", "States": {"check": {"Type": "Pass", "End": True}}}
    clouds.client("stepfunctions").create_state_machine(
        name="check-claim", roleArn=_ROLE, definition=json.dumps(definition)
    )


def _table(clouds: Clouds) -> None:
    glue = clouds.client("glue")
    glue.create_database(DatabaseInput={"Name": "lake"})
    storage = {"Columns": [{"Name": "id", "Type": "string"}], "Location": "s3://partitions/orders/"}
    keys = [{"Name": "day", "Type": "string"}]
    table = {"Name": "orders", "StorageDescriptor": storage, "PartitionKeys": keys}
    glue.create_table(DatabaseName="lake", TableInput=table)


def _partitions(clouds: Clouds) -> list[list[str]]:
    found = clouds.client("glue").get_partitions(DatabaseName="lake", TableName="orders")["Partitions"]
    return [partition["Values"] for partition in found]


def _job(clouds: Clouds) -> None:
    clouds.client("glue").create_job(
        Name="to-parquet", Role=_ROLE, Command={"Name": "glueetl", "ScriptLocation": "s3://raw/none.py"}
    )


def _job_arguments(clouds: Clouds) -> list[dict[str, str]]:
    return [run["Arguments"] for run in clouds.client("glue").get_job_runs(JobName="to-parquet")["JobRuns"]]


def _audited(clouds: Clouds) -> list[str]:
    """Keys that the audit trail tells of, in all of its objects."""
    texts = [clouds.read("contracts-trail", key) for key in clouds.keys("contracts-trail")]
    return [json.loads(line)["key"] for text in texts for line in text.splitlines()]


def _west(clouds: Clouds) -> Any:
    import boto3

    return boto3.client(
        "sqs",
        endpoint_url=clouds.aws.endpoint_url,
        region_name="us-west-2",
        aws_access_key_id="demo",
        aws_secret_access_key="demo",
    )


def _second_way(clouds: Clouds) -> None:
    """The same message in another region, as a topic sends it to both."""
    west = _west(clouds)
    dlq = west.create_queue(QueueName="payments-dlq")["QueueUrl"]
    arn = west.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"deadLetterTargetArn": arn, "maxReceiveCount": 5}
    url = west.create_queue(QueueName="payments-events", Attributes={"RedrivePolicy": json.dumps(policy)})
    clouds.s3.put_object(Bucket="payments", Key="first.json", Body=b"1")
    east = clouds.aws.sqs.get_queue_url(QueueName="payments-events")["QueueUrl"]
    for message in clouds.aws.sqs.receive_message(QueueUrl=east, MaxNumberOfMessages=10, VisibilityTimeout=0)[
        "Messages"
    ]:
        west.send_message(QueueUrl=url["QueueUrl"], MessageBody=message["Body"])


def _both_ways_are_empty(clouds: Clouds) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = 0
    for client in (clouds.aws.sqs, _west(clouds)):
        url = client.get_queue_url(QueueName="payments-events")["QueueUrl"]
        counts = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        left += sum(map(int, counts.values()))
    return left == 0


def _project(clouds: Clouds) -> None:
    clouds.client("codebuild").create_project(
        name="service",
        source={"type": "S3", "location": "artefacts/none.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "any", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole=_ROLE,
    )


def _records_in_stream(clouds: Clouds) -> int:
    kinesis = clouds.client("kinesis")
    shard = kinesis.list_shards(StreamName="clicks")["Shards"][0]["ShardId"]
    start = kinesis.get_shard_iterator(StreamName="clicks", ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    return len(kinesis.get_records(ShardIterator=start)["Records"])


def _tags(clouds: Clouds) -> dict[str, str]:
    tags = clouds.s3.get_object_tagging(Bucket="reports", Key="people.csv")["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in tags}


def _image() -> bytes:
    try:
        from PIL import Image
    except ImportError:
        return b""
    written = io.BytesIO()
    Image.new("RGB", (800, 600)).save(written, "PNG")
    return written.getvalue()


#: Started as the example's dispatcher would start it.
STARTED = (
    Case(
        "backup",
        "documents",
        "letters/Grüße aus Köln.txt",
        others=("documents-backup",),
        holds=lambda clouds: clouds.keys("documents-backup") == ["letters/Grüße aus Köln.txt"],
    ),
    Case(
        "glacier_restore",
        "archive",
        "2019/ledger.csv",
        dag_id="use_restored",
        event_name="ObjectRestore:Completed",
        others=("restored",),
        holds=lambda clouds: clouds.keys("restored") == ["2019/ledger.csv"],
    ),
    Case(
        "thumbnails",
        "photos",
        "cat.png",
        _image(),
        others=("photos-thumbnails",),
        holds=lambda clouds: clouds.read("photos-thumbnails", "cat.png.jpg").startswith(b"\xff\xd8"),
    ),
    Case(
        "quarantine",
        "uploads",
        "incoming/setup.exe",
        b"MZ...",
        others=("uploads-quarantine", "uploads-clean"),
        holds=lambda clouds: (
            [key.endswith("/incoming/setup.exe") for key in clouds.keys("uploads-quarantine")] == [True]
            and clouds.keys("uploads") == clouds.keys("uploads-clean") == []
        ),
    ),
    Case(
        "classify",
        "reports",
        "people.csv",
        b"name,mail\nA,a@example.org\n",
        holds=lambda clouds: _tags(clouds) == {"class": "personal", "retention": "1y"},
    ),
    Case(
        "glue_partition",
        "partitions",
        "orders/day=2026-11-25/a.parquet",
        dag_id="add_partition",
        prepare=_table,
        holds=lambda clouds: _partitions(clouds) == [["2026-11-25"]],
    ),
    Case(
        "glue_job",
        "raw",
        "a 'quoted' file.csv",
        prepare=_job,
        holds=lambda clouds: (
            [(arguments["--bucket"], arguments["--key"]) for arguments in _job_arguments(clouds)]
            == [("raw", "a 'quoted' file.csv")]
        ),
    ),
    # Athena writes into the S3 of its own emulator.
    Case(
        "athena_report",
        "sales",
        "2026/_SUCCESS",
        prepare=lambda clouds: clouds.client("s3").create_bucket(Bucket="sales-reports"),
    ),
    Case("lambda_invoke", "invoices-in", 'a "quoted" invoice.pdf', prepare=_function),
    Case(
        "step_functions",
        "claims",
        "claim 1.json",
        prepare=_state_machine,
        holds=lambda clouds: (
            [
                found["status"]
                for found in clouds.client("stepfunctions").list_executions(
                    stateMachineArn=f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:check-claim"
                )["executions"]
            ]
            == ["SUCCEEDED"]
        ),
    ),
    Case(
        "stream_rows",
        "clicks",
        "day.jsonl",
        b'{"page": 1}\n{"page": 2}\n',
        prepare=lambda clouds: clouds.client("kinesis").create_stream(StreamName="clicks", ShardCount=1),
        holds=lambda clouds: _records_in_stream(clouds) == 2,
    ),
    Case(
        "device_readings",
        "devices",
        "readings/d7/0042.json",
        b'{"celsius": 21.5}',
        dag_id="device_reading",
        others=("devices-state",),
        holds=lambda clouds: json.loads(clouds.read("devices-state", "d7.json"))["number"] == 42,
    ),
    Case("account_hub", "team-a-landing", "a.csv", dag_id="hub"),
    Case("codebuild", "artefacts", "service.zip", prepare=_project),
    Case("tell_partner", "deliveries", "partner/order.xml"),
    Case("schema_change", "tables", "customers.csv", b"id,name\n", versioned=True),
    Case("score", "scored", "urgent/a.csv", dag_id="delivery"),
    Case("priorities", "tickets", "ticket.txt", dag_id="ticket", metadata={"plan": "gold"}),
)

_LOG = gzip.compress(b'192.0.2.7 - - [25/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 512\n' * 3)

#: Started by their assets, all on their own.
WATCHED = (
    Case("parse_logs", "logs", "web/1.log.gz", _LOG),
    Case(
        "audit_trail",
        "contracts",
        "2026/lease.pdf",
        others=("contracts-trail",),
        holds=lambda clouds: _audited(clouds) == ["2026/lease.pdf"],
    ),
    Case(
        "deletion_spike",
        "records",
        "kept/7.json",
        versioned=True,
        prepare=lambda clouds: clouds.client("sns").create_topic(Name="security"),
        holds=lambda clouds: len(clouds.keys("records")) == 8,
    ),
)

#: Started by their dispatchers, all on their own.
DISPATCHED = (
    Case(
        "data_lake_drop",
        "lake-drop",
        "orders/today.csv",
        b"id,amount\n" + b"".join(b"%d,1\n" % number for number in range(2500)),
        dag_id="lake_drop",
        others=("lake-drop-curated",),
        holds=lambda clouds: len(clouds.keys("lake-drop-curated")) == 3,
    ),
    Case("route_by_tags", "landing", "landing/a.csv", dag_id="load_approved", tags="approved=yes"),
    Case(
        "fan_out",
        "payments",
        "second.json",
        dag_id="book_payment",
        runs=2,
        prepare=_second_way,
        holds=_both_ways_are_empty,
    ),
)

#: Why the others are only read.
NOT_RUN = {
    "redshift_copy": "no emulator of Redshift takes a COPY",
    "fargate_transcode": "the emulator runs containers by Docker alone",
    "sagemaker_retrain": "no emulator trains a model",
    "document_check": "the emulator has no Textract",
    "security_finding": "the emulator has no Security Hub",
    "jenkins_job": "needs a Jenkins",
    "multi_cloud": "needs Google Cloud",
    "azure_copy": "needs Azure",
    "alarms": "tests/contract/test_alarm_templates.py makes the stack that it shows",
    "alert_on_dead_letters": "tests/system/test_failed_runs.py runs what it shows",
    "assets": "tests/system/test_assets.py runs what it shows",
    "batches": "tests/system/test_batches.py runs what it shows",
    "dispatch": "tests/system/test_object_in_run_out.py runs what it shows",
    "expect_objects": "tests/adapters/test_expectation_sensor.py runs its sensor, without the day of waiting",
    "every_airflow": "tests/system/test_object_in_run_out.py runs what it shows",
    "reconcile": "the tests of the ledger and of reconciling run what it shows",
    "retry_failed_runs": "tests/system/test_failed_runs.py runs what it shows",
    "route_by_prefix": "tests/system/test_object_in_run_out.py runs what it shows",
    "routing_table": "needs its TOML file beside it; tests/core reads such files",
    "set_up": "tests/system/test_notification_setup.py runs what it shows",
    "take_turns": "tests/adapters/test_turns.py and the tests of the ledger run what it shows",
    "wait_for_object": "tests/system/test_sensor.py runs what it shows",
    "watch_for_anomalies": "needs a week of events; tests/core/test_alarms.py has them",
}
