"""What a check says of a queue and a key, from what AWS says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_s3events.bucket_notifications import Rule
from airflow_s3events.notification_setup.findings import Finding, Report, Weight, error, note, warning
from airflow_s3events.notification_setup.judgement import judge_key, judge_object, judge_queue
from airflow_s3events.notification_setup.queues import FoundQueue
from airflow_s3events.policies import grant, policy_text, tls_only
from tests.policy_cases import KEY, KEY_POLICY, QUEUE, SENDER, allow, policy_of

DEAD = QUEUE.of_service(f"{QUEUE}-dlq", "sqs", setting="queue")
WELL = {
    "QueueArn": str(QUEUE),
    "VisibilityTimeout": "300",
    "MessageRetentionPeriod": "604800",
    "MaximumMessageSize": "262144",
    "RedrivePolicy": json.dumps({"deadLetterTargetArn": str(DEAD), "maxReceiveCount": 20}),
    "Policy": policy_text(policy_of(grant(SENDER, QUEUE), tls_only(QUEUE))),
    "SqsManagedSseEnabled": "true",
}
DEAD_WELL = {"QueueArn": str(DEAD), "MessageRetentionPeriod": "1209600"}


def redrive(count: int) -> str:
    return json.dumps({"deadLetterTargetArn": str(DEAD), "maxReceiveCount": count})


def judged(
    changes: dict[str, str] | None = None, dead: dict[str, str] | None = DEAD_WELL, work_seconds: float = 0
) -> list[Finding]:
    queue = FoundQueue(arn=QUEUE, attributes={**WELL, **(changes or {})})
    return list(judge_queue(queue, FoundQueue(arn=DEAD, attributes=dead), [SENDER], work_seconds))


def test_nothing_is_wrong_with_a_queue_that_this_package_made() -> None:
    assert judged() == []
    assert str(Report.of(judged())) == "nothing is wrong"


@pytest.mark.parametrize(
    ("changes", "weight", "text"),
    [
        ({"Policy": ""}, "error", "does not let s3.amazonaws.com for arn:aws:s3:::landing in"),
        ({"Policy": policy_text(policy_of(allow(Effect="Deny")))}, "error", "denied by Theirs"),
        (
            {"Policy": policy_text(policy_of(allow(Condition={"StringEquals": {"aws:SourceOrgID": "o-1"}})))},
            "warning",
            "hangs on Theirs",
        ),
        ({"MaximumMessageSize": "65535"}, "error", "MaximumMessageSize is 65,535 bytes"),
        ({"RedrivePolicy": redrive(2)}, "error", "maxReceiveCount is 2"),
        ({"RedrivePolicy": redrive(5)}, "warning", "maxReceiveCount is 5"),
        ({"ApproximateNumberOfMessagesNotVisible": "119000"}, "warning", "119,000 messages are in flight"),
        ({"SqsManagedSseEnabled": "false"}, "note", "not encrypted"),
        (
            {"Policy": policy_text({"Statement": [allow(Sid=f"s{n}") for n in range(19)]})},
            "warning",
            "19 of 20 statements",
        ),
        (
            {"Policy": policy_text(policy_of(allow(), allow(Sid="x", Action=["sqs:Any"] * 800)))},
            "warning",
            "of 8,192 bytes",
        ),
        ({"MessageRetentionPeriod": "1209600"}, "warning", "keeps the date of its first arrival"),
    ],
)
def test_each_fault_is_named_with_its_weight(changes: dict[str, str], weight: str, text: str) -> None:
    assert [(one.weight.value, text in one.text) for one in judged(changes)] == [(weight, True)]


def test_what_is_exactly_enough_is_no_fault() -> None:
    assert judged({"MaximumMessageSize": "65536", "RedrivePolicy": redrive(20)}, work_seconds=300) == []


def test_a_visibility_timeout_shorter_than_the_work_is_told() -> None:
    (found,) = judged(work_seconds=301)
    assert "shorter than the work (301 s)" in found.text


def test_a_queue_that_is_not_there_has_no_other_fault() -> None:
    found = list(judge_queue(FoundQueue(arn=QUEUE, attributes=None), None, [SENDER], 0))
    assert [one.weight.value for one in found] == ["error"]


@pytest.mark.parametrize(("dead", "text"), [(None, "is not there; create it"), ({}, "it keeps messages for")])
def test_a_dead_letter_queue_that_loses_letters_is_told(dead: Any, text: str) -> None:
    (found,) = judged(dead=dead)
    assert text in found.text


def test_a_queue_without_a_dead_letter_queue_is_told() -> None:
    found = list(judge_queue(FoundQueue(arn=QUEUE, attributes=WELL), None, [SENDER], 0))
    assert ["it has no dead letter queue" in one.text for one in found] == [True]


@pytest.mark.parametrize(
    ("metadata", "policy", "text"),
    [
        (None, None, "there is no key"),
        ({"Arn": KEY, "KeyManager": "AWS"}, None, "the key that AWS manages"),
        ({"Arn": KEY, "KeyState": "Disabled"}, None, "is Disabled"),
        ({"Arn": KEY, "KeyState": "PendingDeletion"}, None, "is PendingDeletion"),
        ({"Arn": KEY}, None, "does not let s3.amazonaws.com"),
        ({"Arn": KEY, "KeyState": "Enabled"}, policy_text(KEY_POLICY), ""),
    ],
)
def test_a_key_that_s3_cannot_use_is_told(metadata: Any, policy: Any, text: str) -> None:
    found = list(judge_key(KEY, metadata, policy, [SENDER]))
    assert all(one.weight.value == "error" and text in one.text for one in found)
    assert bool(found) is bool(text)


def test_a_report_has_the_worst_first_and_nothing_twice() -> None:
    report = Report.of([note("q", "c"), error("q", "a"), warning("q", "b"), error("q", "a")])
    assert str(report).splitlines() == ["error   q: a", "warning q: b", "note    q: c"]
    assert [one.text for one in report.errors] == ["a"]
    assert report.serialize()[0] == {"weight": "error", "about": "q", "text": "a"}


class TestObject:
    RULE = Rule(
        id="ours", destination=str(QUEUE), events=("s3:ObjectCreated:*",), prefix="in/", suffix=".csv"
    )

    @pytest.mark.parametrize(
        ("key", "events", "is_taken"),
        [
            ("in/a.csv", ("s3:ObjectCreated:*",), True),
            ("in/a.csv", ("s3:ObjectCreated:Put", "s3:ObjectRemoved:*"), True),
            ("in/a.csv", ("s3:ObjectRemoved:*",), False),
            ("in/a.CSV", ("s3:ObjectCreated:*",), False),
            ("out/a.csv", ("s3:ObjectCreated:*",), False),
        ],
    )
    def test_is_taken_by_a_rule_of_its_creation_prefix_and_suffix(
        self, key: str, events: tuple[str, ...], is_taken: bool
    ) -> None:
        rule = replace(self.RULE, events=events)
        (finding,) = judge_object("b", key, [rule], to_event_bridge=False)
        assert (finding.weight is Weight.NOTE) == is_taken
        assert "'ours'" in finding.text

    def test_that_nobody_is_told_of_is_an_error_unless_eventbridge_is(self) -> None:
        (finding,) = judge_object("b", "a", [], to_event_bridge=False)
        assert "there are: none" in finding.text
        (finding,) = judge_object("b", "a", [], to_event_bridge=True)
        assert (finding.weight, "EventBridge" in finding.text) == (Weight.NOTE, True)
