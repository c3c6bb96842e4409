"""``FunctionSetupHook``: the provider's Lambda hook, and who may invoke a function."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.providers.amazon.aws.hooks.lambda_function import LambdaHook

from airflow_s3events.arns import Arn
from airflow_s3events.notification_setup.errors import found_or_none, translated


class FunctionSetupHook(LambdaHook):
    """Policies of functions."""

    def policy(self, function: Arn) -> str | None:
        """Return the function's policy; None where it has none."""
        call = self.get_conn().get_policy
        request = {"FunctionName": str(function)}
        answer = found_or_none({"ResourceNotFoundException"}, call, f"GetPolicy of {function}", **request)
        return None if answer is None else str(answer["Policy"])

    def add_permission(self, permission: Mapping[str, str]) -> None:
        """Add one statement to the policy."""
        with translated(f"AddPermission of {permission['FunctionName']}"):
            self.get_conn().add_permission(**permission)

    def remove_permission(self, function: Arn, sid: str) -> None:
        """Take one statement away; one that is gone already is fine."""
        call = self.get_conn().remove_permission
        request = {"FunctionName": str(function), "StatementId": sid}
        found_or_none({"ResourceNotFoundException"}, call, f"RemovePermission of {function}", **request)
