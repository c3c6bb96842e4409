"""Which data events of a bucket CloudTrail logs, from what its trails say."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_s3events.notification_setup.trails import Trail, judge_trails
from airflow_s3events.policies import Resources, role_policy

BUCKET = "arn:aws:s3:::landing"


def classic(*values: str, kind: str = "All", resource: str = "AWS::S3::Object") -> dict[str, Any]:
    return {"ReadWriteType": kind, "DataResources": [{"Type": resource, "Values": list(values)}]}


def advanced(**more: Any) -> dict[str, Any]:
    fields = {
        "eventCategory": {"Equals": ["Data"]},
        "resources.type": {"Equals": ["AWS::S3::Object"]},
        **more,
    }
    return {"FieldSelectors": [{"Field": name, **value} for name, value in fields.items()]}


def said(trail: Trail) -> tuple[list[str], str]:
    findings = list(judge_trails(BUCKET, [trail]))
    return [one.weight.value for one in findings], " ".join(one.text for one in findings)


@pytest.mark.parametrize(
    "trail",
    [
        Trail(name="t", is_logging=True, selectors=[classic("arn:aws:s3")]),
        Trail(name="t", is_logging=True, selectors=[classic("arn:aws:s3:::")]),
        Trail(name="t", is_logging=True, selectors=[classic(f"{BUCKET}/", kind="WriteOnly")]),
        Trail(name="t", is_logging=True, advanced=[advanced()]),
        Trail(name="t", is_logging=True, advanced=[advanced(readOnly={"Equals": ["false"]})]),
        Trail(name="t", is_logging=True, advanced=[advanced(**{"resources.ARN": {"StartsWith": [BUCKET]}})]),
    ],
)
def test_a_trail_that_logs_all_writes_is_named(trail: Trail) -> None:
    weights, text = said(trail)
    assert weights == ["note"]
    assert "trail t logs who writes and deletes all its objects" in text


@pytest.mark.parametrize(
    "trail",
    [
        Trail(name="t", is_logging=False, selectors=[classic("arn:aws:s3")]),
        Trail(name="t", is_logging=True),
        Trail(name="t", is_logging=True, selectors=[classic("arn:aws:s3:::other/")]),
        Trail(name="t", is_logging=True, selectors=[classic("arn:aws:s3:::landing-2/")]),
        Trail(name="t", is_logging=True, selectors=[classic(f"{BUCKET}/", kind="ReadOnly")]),
        Trail(name="t", is_logging=True, selectors=[classic("arn:x", resource="AWS::Lambda::Function")]),
        Trail(name="t", is_logging=True, advanced=[advanced(readOnly={"Equals": ["true"]})]),
        Trail(name="t", is_logging=True, advanced=[advanced(eventName={"Equals": ["GetObject"]})]),
        Trail(name="t", is_logging=True, advanced=[advanced(eventCategory={"Equals": ["Management"]})]),
        Trail(
            name="t", is_logging=True, advanced=[advanced(**{"resources.type": {"Equals": ["AWS::S3::X"]}})]
        ),
    ],
)
def test_where_no_trail_logs_writes_it_is_a_warning(trail: Trail) -> None:
    weights, text = said(trail)
    assert weights == ["warning"]
    assert "none of its objects" in text


@pytest.mark.parametrize(
    "trail",
    [
        Trail(name="t", is_logging=True, selectors=[classic(f"{BUCKET}/in/")]),
        Trail(
            name="t", is_logging=True, advanced=[advanced(**{"resources.ARN": {"Equals": [f"{BUCKET}/in/"]}})]
        ),
    ],
)
def test_part_of_a_bucket_is_said_and_is_not_enough(trail: Trail) -> None:
    weights, text = said(trail)
    assert weights == ["note", "warning"]
    assert "objects under in/" in text
    assert "only some" in text


def test_a_role_may_ask_cloudtrail_where_it_is_to_and_not_otherwise() -> None:
    asks = role_policy("check", Resources(bucket="landing", data_events=True))["Statement"]
    assert [one["Resource"] for one in asks] == ["arn:aws:s3:::landing", "*"]
    assert len(role_policy("check", Resources(bucket="landing"))["Statement"]) == 1
