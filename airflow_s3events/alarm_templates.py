"""CloudWatch alarms and a dashboard for a set of queues, as a CloudFormation template. Pure.

The same queues give the same text, so that a stack that is updated with it changes nothing that is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from airflow_s3events.arns import check_bucket
from airflow_s3events.exceptions import ConfigurationError

#: SQS's names, and CloudFormation's of stacks and dashboards.
_QUEUE = re.compile(r"[\w-]{1,80}(?:\.fifo)?", re.ASCII)
_NAME = re.compile(r"[\w-]{1,255}", re.ASCII)
_TOPIC = re.compile(r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w-]{1,256}", re.ASCII)
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9]")
#: Seconds of one figure of CloudWatch for SQS.
_PERIOD = 60
#: An age counts when it has been seen so often in a row: one late message of a restart is no alarm.
_AGE_PERIODS = 5
_DELETION_PERIOD = 300
#: Of a dashboard, which is 24 wide.
_WIDTH, _HEIGHT = 12, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedQueue:
    """One queue.

    Attributes:
        name: Its name, as CloudWatch has it.
        dead_letters: The name of its dead letter queue; None: it has none.
    """

    name: str
    dead_letters: str | None = None

    @staticmethod
    def of(text: str) -> WatchedQueue:
        """Read ``QUEUE`` or ``QUEUE=DEAD_LETTER_QUEUE``, each a name, an ARN or a URL.

        Raises:
            ConfigurationError: One of them is none of these.
        """
        queue, _, dead_letters = text.partition("=")
        return WatchedQueue(
            name=_queue_name(queue), dead_letters=_queue_name(dead_letters) if dead_letters else None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSettings:
    """What is an alarm, and who is told.

    Attributes:
        late_seconds: A message older than that is late.
        topic: ARN of the SNS topic that is told; None: nobody is, the alarms are only seen.
        buckets: Buckets whose deletions are watched. Their request metrics must be on
            (https://docs.aws.amazon.com/AmazonS3/latest/userguide/configure-request-metrics-bucket.html).
        metrics_filter: The name that the buckets' request metrics have.
        most_deletions: More deletions than that in five minutes are a spike.
        dashboard: Name of the dashboard; None: there is none.
    """

    late_seconds: int = 900
    topic: str | None = None
    buckets: Sequence[str] = field(default=())
    metrics_filter: str = "EntireBucket"
    most_deletions: int = 1_000
    dashboard: str | None = None


def alarm_template(queues: Sequence[WatchedQueue], settings: AlarmSettings | None = None) -> dict[str, Any]:
    """Return the template.

    Raises:
        ConfigurationError: A setting cannot work; names it.
    """
    settings = settings or AlarmSettings()
    _check(queues, settings)
    alarms = [*_alarms(queues, settings)]
    resources = {name: {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm} for name, alarm in alarms}
    if settings.dashboard is not None:
        body = json.dumps(_dashboard(queues, settings), sort_keys=True, separators=(",", ":"))
        # CloudFormation puts the region in; a widget must name one.
        properties = {"DashboardName": settings.dashboard, "DashboardBody": {"Fn::Sub": body}}
        resources["Dashboard"] = {"Type": "AWS::CloudWatch::Dashboard", "Properties": properties}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Alarms of queues of S3 events, by airflow-provider-s3events",
        "Resources": dict(sorted(resources.items())),
    }


def _check(queues: Sequence[WatchedQueue], settings: AlarmSettings) -> None:
    if not queues:
        raise ConfigurationError("queues: name at least one")
    names = [queue.name for queue in queues]
    if len(set(names)) != len(names):
        raise ConfigurationError("queues: one is named twice")
    for name in ("late_seconds", "most_deletions"):
        if type(value := getattr(settings, name)) is not int or value < 1:
            raise ConfigurationError(f"{name}={value!r}: give a whole number from 1")
    if settings.topic is not None and not re.fullmatch(
        r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w-]+", settings.topic
    ):
        raise ConfigurationError(f"topic={settings.topic!r}: give the ARN of an SNS topic")
    if settings.dashboard is not None and not _NAME.fullmatch(settings.dashboard):
        raise ConfigurationError(f"dashboard={settings.dashboard!r}: give letters, digits, - and _")
    for bucket in settings.buckets:
        check_bucket(bucket)


def _alarms(queues: Sequence[WatchedQueue], settings: AlarmSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    actions = [] if settings.topic is None else [settings.topic]
    for queue in queues:
        yield _logical("Late", queue.name), _late(queue.name, settings, actions)
    for name in sorted({queue.dead_letters for queue in queues if queue.dead_letters}):
        yield _logical("DeadLetters", name), _dead(name, actions)
    for bucket in sorted(set(settings.buckets)):
        yield _logical("Deletions", bucket), _deletions(bucket, settings, actions)


def _late(queue: str, settings: AlarmSettings, actions: list[str]) -> dict[str, Any]:
    text = f"A message of {queue} has waited for {settings.late_seconds} s: s3events status"
    return {
        **_alarm(text, actions, settings.late_seconds, _PERIOD, _AGE_PERIODS),
        **_of_queue("ApproximateAgeOfOldestMessage", queue),
        "Statistic": "Maximum",
    }


def _dead(queue: str, actions: list[str]) -> dict[str, Any]:
    text = f"There are dead letters in {queue}: s3events dead-letters list"
    return {
        **_alarm(text, actions, 0, _PERIOD, 1),
        **_of_queue("ApproximateNumberOfMessagesVisible", queue),
        "Statistic": "Maximum",
    }


def _deletions(bucket: str, settings: AlarmSettings, actions: list[str]) -> dict[str, Any]:
    text = f"More than {settings.most_deletions} deletions in five minutes in bucket {bucket}"
    return {
        **_alarm(text, actions, settings.most_deletions, _DELETION_PERIOD, 1),
        "Namespace": "AWS/S3",
        "MetricName": "DeleteRequests",
        "Dimensions": [
            {"Name": "BucketName", "Value": bucket},
            {"Name": "FilterId", "Value": settings.metrics_filter},
        ],
        "Statistic": "Sum",
    }


def _alarm(text: str, actions: list[str], threshold: int, period: int, periods: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "AlarmDescription": text,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
        "Period": period,
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": periods,
        # SQS sends no figures of a queue that nobody has used for six hours.
        "TreatMissingData": "notBreaching",
    }
    return {**found, "AlarmActions": actions, "OKActions": actions} if actions else found


def _of_queue(metric: str, queue: str) -> dict[str, Any]:
    return {
        "Namespace": "AWS/SQS",
        "MetricName": metric,
        "Dimensions": [{"Name": "QueueName", "Value": queue}],
    }


def _dashboard(queues: Sequence[WatchedQueue], settings: AlarmSettings) -> dict[str, Any]:
    widgets: list[dict[str, Any]] = []
    for queue in queues:
        depth = ("ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible")
        dead = [["AWS/SQS", depth[0], "QueueName", queue.dead_letters]] if queue.dead_letters else []
        lines = [["AWS/SQS", name, "QueueName", queue.name] for name in depth]
        widgets.append(_widget(len(widgets), f"{queue.name}: messages", [*lines, *dead], "Maximum"))
        age = [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue.name]]
        widgets.append(_widget(len(widgets), f"{queue.name}: age of the oldest, seconds", age, "Maximum"))
    for bucket in sorted(set(settings.buckets)):
        line = ["AWS/S3", "DeleteRequests", "BucketName", bucket, "FilterId", settings.metrics_filter]
        widgets.append(_widget(len(widgets), f"{bucket}: deletions", [line], "Sum"))
    return {"widgets": widgets}


def _widget(number: int, title: str, metrics: list[list[str]], stat: str) -> dict[str, Any]:
    return {
        "type": "metric",
        "x": number % 2 * _WIDTH,
        "y": number // 2 * _HEIGHT,
        "width": _WIDTH,
        "height": _HEIGHT,
        "properties": {
            "title": title,
            "metrics": metrics,
            "stat": stat,
            "period": _PERIOD,
            "region": "${AWS::Region}",
        },
    }


def _logical(kind: str, name: str) -> str:
    """Return CloudFormation's name of a resource: letters and digits; two queues never share one."""
    return f"{kind}{_NOT_IN_IDS.sub('', name.title())[:80]}{sha256(name.encode()).hexdigest()[:8]}"


def _queue_name(text: str) -> str:
    name = re.split("[/:]", text)[-1]
    if not _QUEUE.fullmatch(name):
        raise ConfigurationError(f"queues: {text!r}: give the name, the ARN or the URL of a queue")
    return name
