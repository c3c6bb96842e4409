"""A Lambda function that S3 may invoke."""

from __future__ import annotations

from airflow_s3events.arns import Arn
from airflow_s3events.notification_setup.calls import Aws
from airflow_s3events.notification_setup.changes import Change, Place, missing_grants
from airflow_s3events.notification_setup.destinations import FunctionDestination
from airflow_s3events.policies import function_grant, parse_policy


def resolve_function(place: Place, wanted: FunctionDestination) -> Arn:
    """Return the ARN of the function.

    Raises:
        ConfigurationError: It is in another region than the bucket, or no function.
    """
    arn = Arn.of_service(wanted.function, "lambda", setting="function")
    place.check_near(arn, setting="function")
    return arn


def plan_function(aws: Aws, place: Place, wanted: FunctionDestination) -> list[Change]:
    """Return what has to be done so that the bucket may invoke the function.

    Raises:
        ConfigurationError: Its policy denies it.
    """
    arn = resolve_function(place, wanted)
    functions = aws.functions(wanted.aws_conn_id, arn.region)
    policy = parse_policy(functions.policy(arn))
    request = place.sender.request(arn)
    if not missing_grants(policy, [(place.sender, request)], setting=f"function {arn.name!r}"):
        return []
    permission = function_grant(place.sender, arn)
    lines = (f"~ function {arn}", f"    policy: {place.sender.service} for {place.sender.source}")
    return [Change(lines=lines, make=lambda: functions.add_permission(permission))]
