"""``SetupHooks``: every hook of set-up, for a connection and a region."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from airflow_s3events.hooks.buckets import BucketNotificationHook
from airflow_s3events.hooks.event_rules import EventRuleHook
from airflow_s3events.hooks.functions import FunctionSetupHook
from airflow_s3events.hooks.keys import KeySetupHook
from airflow_s3events.hooks.queues import QueueSetupHook
from airflow_s3events.hooks.topics import TopicSetupHook
from airflow_s3events.hooks.trails import TrailHook
from airflow_s3events.notification_setup.errors import translated


class SetupHooks:
    """Every hook of set-up, for a connection and a region, each made once.

    Args:
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
    """

    def __init__(
        self,
        *,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None,
        botocore_config: dict[str, Any] | None,
    ) -> None:
        self._aws_conn_id = aws_conn_id
        self._region_name = region_name
        self._more = {"verify": verify, "config": botocore_config}
        self._made = lru_cache(maxsize=None)(self._make)
        self.account = lru_cache(maxsize=None)(self._account)

    def buckets(self) -> BucketNotificationHook:
        """Return S3 with the operator's own connection."""
        found: BucketNotificationHook = self._made(BucketNotificationHook, None, self._region_name)
        return found

    def queues(self, aws_conn_id: str | None, region: str) -> QueueSetupHook:
        """Return SQS."""
        found: QueueSetupHook = self._made(QueueSetupHook, aws_conn_id, region)
        return found

    def topics(self, aws_conn_id: str | None, region: str) -> TopicSetupHook:
        """Return SNS."""
        found: TopicSetupHook = self._made(TopicSetupHook, aws_conn_id, region)
        return found

    def keys(self, aws_conn_id: str | None, region: str) -> KeySetupHook:
        """Return KMS."""
        found: KeySetupHook = self._made(KeySetupHook, aws_conn_id, region)
        return found

    def functions(self, aws_conn_id: str | None, region: str) -> FunctionSetupHook:
        """Return Lambda."""
        found: FunctionSetupHook = self._made(FunctionSetupHook, aws_conn_id, region)
        return found

    def trails(self, region: str) -> TrailHook:
        """Return CloudTrail with the operator's own connection."""
        found: TrailHook = self._made(TrailHook, None, region)
        return found

    def event_rules(self, region: str) -> EventRuleHook:
        """Return EventBridge with the operator's own connection."""
        found: EventRuleHook = self._made(EventRuleHook, None, region)
        return found

    def _account(self, aws_conn_id: str | None) -> str:
        hook = self._made(BucketNotificationHook, aws_conn_id, self._region_name)
        with translated("GetCallerIdentity"):
            return str(hook.account_id)

    def _make(self, kind: Any, aws_conn_id: str | None, region: str | None) -> Any:
        return kind(aws_conn_id=aws_conn_id or self._aws_conn_id, region_name=region, **self._more)
