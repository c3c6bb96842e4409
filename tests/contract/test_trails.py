"""CloudTrail's trails against moto."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from airflow_s3events.cli import main
from airflow_s3events.hooks.trails import TrailHook
from airflow_s3events.notification_setup.trails import judge_trails
from tests.setup_world import REGION, world_at


def test_data_events_that_a_trail_logs_are_found(
    moto_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = world_at(moto_url, monkeypatch)
    store = world.make_bucket(f"trails-{uuid4().hex[:8]}")
    trails = world.client("cloudtrail")
    trails.create_trail(Name="data-events", S3BucketName=store)
    arn = f"arn:aws:s3:::{world.bucket}"
    selector = {"ReadWriteType": "All", "DataResources": [{"Type": "AWS::S3::Object", "Values": [f"{arn}/"]}]}
    trails.put_event_selectors(TrailName="data-events", EventSelectors=[selector])
    hook = TrailHook(aws_conn_id="aws_default", region_name=REGION)
    assert [one.weight.value for one in judge_trails(arn, hook.trails())] == ["warning"]
    trails.start_logging(Name="data-events")
    assert [one.weight.value for one in judge_trails(arn, hook.trails())] == ["note"]
    world.make_bucket()
    check = ["check", "--bucket", world.bucket, "--data-events", "--json", "--aws-conn-id", "aws_default"]
    capsys.readouterr()
    assert main(check) == 3  # it notifies of nothing
    texts = [one["text"] for one in json.loads(capsys.readouterr().out)["findings"]]
    assert "trail data-events logs who writes and deletes all its objects" in texts
