"""The template of alarms and dashboard: what is in it, and that it is always the same."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.alarm_templates import AlarmSettings, WatchedQueue, alarm_template
from airflow_s3events.cli import main
from airflow_s3events.exceptions import ConfigurationError

TOPIC = "arn:aws:sns:eu-west-1:111122223333:on-call"
QUEUES = [WatchedQueue.of("landing=landing-dlq"), WatchedQueue.of("orders.fifo")]
SETTINGS = AlarmSettings(topic=TOPIC, buckets=["landing-zone"], dashboard="s3events", late_seconds=60)
names = st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True)


def alarms(*queues: WatchedQueue, **settings: Any) -> list[dict[str, Any]]:
    template = alarm_template(queues or QUEUES, AlarmSettings(**settings))
    found = template["Resources"].values()
    return [one["Properties"] for one in found if one["Type"] == "AWS::CloudWatch::Alarm"]


@pytest.mark.parametrize(
    "text",
    [
        "landing=landing-dlq",
        "arn:aws:sqs:eu-west-1:111122223333:landing=arn:aws:sqs:eu-west-1:111122223333:landing-dlq",
        "https://sqs.eu-west-1.amazonaws.com/111122223333/landing=landing-dlq",
    ],
)
def test_a_queue_is_its_name_its_arn_or_its_url(text: str) -> None:
    assert WatchedQueue.of(text) == WatchedQueue(name="landing", dead_letters="landing-dlq")


def test_each_queue_has_an_alarm_for_its_age_and_each_dead_letter_queue_one() -> None:
    found = {(one["MetricName"], one["Dimensions"][0]["Value"]): one["Threshold"] for one in alarms()}
    assert found == {
        ("ApproximateAgeOfOldestMessage", "landing"): 900,
        ("ApproximateAgeOfOldestMessage", "orders.fifo"): 900,
        ("ApproximateNumberOfMessagesVisible", "landing-dlq"): 0,
    }


def test_two_queues_with_one_dead_letter_queue_have_one_alarm_for_it() -> None:
    queues = [WatchedQueue(name=name, dead_letters="dlq") for name in ("a", "b")]
    assert len([one for one in alarms(*queues) if one["Dimensions"][0]["Value"] == "dlq"]) == 1


def test_deletions_of_a_bucket_are_counted_by_its_request_metrics() -> None:
    (one,) = [one for one in alarms(buckets=["b-1"]) if one["Namespace"] == "AWS/S3"]
    assert one["Dimensions"][1] == {"Name": "FilterId", "Value": "EntireBucket"}
    assert (one["Statistic"], one["Threshold"], one["Period"]) == ("Sum", 1_000, 300)


def test_whoever_is_to_be_told_is_told_of_the_end_too() -> None:
    assert {(*one["AlarmActions"], *one["OKActions"]) for one in alarms(topic=TOPIC)} == {(TOPIC, TOPIC)}
    assert not any("AlarmActions" in one for one in alarms())


def test_a_dashboard_shows_each_queue_and_lets_cloudformation_say_the_region() -> None:
    properties = alarm_template(QUEUES, SETTINGS)["Resources"]["Dashboard"]["Properties"]
    body = properties["DashboardBody"]["Fn::Sub"]
    assert set(re.findall(r"\$\{[^}]*\}", body)) == {"${AWS::Region}"}
    widgets = json.loads(body)["widgets"]
    assert len(widgets) == 5
    assert len({(one["x"], one["y"]) for one in widgets}) == 5


@given(st.lists(names, min_size=1, max_size=6, unique=True))
def test_the_same_queues_give_the_same_text_and_no_two_share_a_name(found: list[str]) -> None:
    queues = [WatchedQueue(name=name) for name in found]
    texts = {json.dumps(alarm_template(some)) for some in (queues, queues[::-1])}
    assert len(texts) == 1
    resources = json.loads(texts.pop())["Resources"]
    assert len(resources) == len(found)
    assert all(re.fullmatch("[A-Za-z0-9]{1,255}", name) for name in resources)


@pytest.mark.parametrize(
    ("queues", "settings", "named"),
    [
        ([], {}, "queues"),
        ([QUEUES[0], QUEUES[0]], {}, "twice"),
        (QUEUES, {"late_seconds": 0}, "late_seconds"),
        (QUEUES, {"most_deletions": 1.5}, "most_deletions"),
        (QUEUES, {"topic": "on-call"}, "topic"),
        (QUEUES, {"dashboard": "a b"}, "dashboard"),
        (QUEUES, {"buckets": ["s3://b"]}, "bucket"),
    ],
)
def test_what_cannot_work_is_named(queues: list[WatchedQueue], settings: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        alarm_template(queues, AlarmSettings(**settings))


def test_what_is_no_queue_is_named() -> None:
    with pytest.raises(ConfigurationError, match="queues"):
        WatchedQueue.of("a queue")


def test_the_command_prints_the_template(capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--topic",
        TOPIC,
        "--bucket",
        "landing-zone",
        "--dashboard",
        "s3events",
        "--late-seconds",
        "60",
    ]
    assert main(["alarms", "landing=landing-dlq", "orders.fifo", *options]) == 0
    assert json.loads(capsys.readouterr().out) == alarm_template(QUEUES, SETTINGS)


def test_the_command_refuses_what_cannot_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alarms", "landing", "--topic", "on-call"]) == 2
    assert capsys.readouterr().err.startswith("s3events alarms: topic=")
