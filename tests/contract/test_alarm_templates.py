"""The template of alarms, applied by ministack's CloudFormation, its parts by moto's CloudWatch."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from airflow_s3events.alarm_templates import alarm_template
from tests.contract.conftest import open_client
from tests.core.test_alarm_templates import QUEUES, SETTINGS
from tests.emulators import ministack_server

ALARMS = [
    ("ApproximateAgeOfOldestMessage", "landing"),
    ("ApproximateAgeOfOldestMessage", "orders.fifo"),
    ("ApproximateNumberOfMessagesVisible", "landing-dlq"),
    ("DeleteRequests", "landing-zone"),
]


def named(alarms: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((alarm["MetricName"], alarm["Dimensions"][0]["Value"]) for alarm in alarms)


async def test_cloudformation_makes_the_alarms_and_a_second_time_changes_nothing() -> None:
    body = json.dumps(alarm_template(QUEUES, SETTINGS))
    stack = f"alarms-{uuid4().hex[:8]}"
    with ministack_server(services="cloudformation,cloudwatch") as url:
        async with open_client(url, "cloudformation") as formation:
            await formation.create_stack(StackName=stack, TemplateBody=body)
            await formation.get_waiter("stack_create_complete").wait(StackName=stack)
            await formation.update_stack(StackName=stack, TemplateBody=body)
        async with open_client(url, "cloudwatch") as watch:
            alarms = (await watch.describe_alarms())["MetricAlarms"]
    assert named(alarms) == ALARMS


async def test_every_alarm_and_the_dashboard_are_what_cloudwatch_takes(moto_url: str) -> None:
    resources = alarm_template(QUEUES, SETTINGS)["Resources"]
    async with open_client(moto_url, "cloudwatch") as watch:
        for name, resource in resources.items():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                await watch.put_metric_alarm(AlarmName=name, **resource["Properties"])
        alarms = (await watch.describe_alarms())["MetricAlarms"]
        body = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        await watch.put_dashboard(
            DashboardName="s3events", DashboardBody=body.replace("${AWS::Region}", "eu-west-1")
        )
    assert named(alarms) == ALARMS
