"""``KeySetupHook``: policies of KMS keys; the provider has no hook for KMS."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from airflow_s3events.notification_setup.errors import found_or_none, translated


class KeySetupHook(AwsBaseHook):
    """Policies of KMS keys; the provider has no hook for KMS."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "kms"
        super().__init__(*args, **kwargs)

    def describe(self, key: str) -> dict[str, Any] | None:
        """Return ``KeyMetadata``; None where there is no such key."""
        call = self.get_conn().describe_key
        answer = found_or_none({"NotFoundException"}, call, f"DescribeKey of {key}", KeyId=key)
        return None if answer is None else dict(answer["KeyMetadata"])

    def policy(self, key: str) -> str:
        """Return the key's policy; its name is always ``default``."""
        with translated(f"GetKeyPolicy of {key}"):
            return str(self.get_conn().get_key_policy(KeyId=key, PolicyName="default")["Policy"])

    def put_policy(self, key: str, policy: str) -> None:
        """Replace the key's policy."""
        with translated(f"PutKeyPolicy of {key}"):
            self.get_conn().put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
