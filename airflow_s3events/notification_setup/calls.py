"""The few calls of AWS that set-up needs; hooks make them, with an Airflow connection's credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from airflow_s3events.arns import Arn
from airflow_s3events.notification_setup.trails import Trail

#: Attributes of a queue, a topic or a subscription, as AWS names them.
Attributes = Mapping[str, str]


class Buckets(Protocol):
    """S3."""

    def region(self, bucket: str, owner: str) -> str:
        """Return the bucket's region."""

    def configuration(self, bucket: str, owner: str) -> dict[str, Any]:
        """Return the bucket's notification configuration; empty where it has none."""

    def put_configuration(self, bucket: str, configuration: Mapping[str, Any], owner: str) -> None:
        """Replace all of the bucket's notification configuration."""

    def put_probe(self, bucket: str, key: str) -> str | None:
        """Write a small object; return its version id, if it has one."""

    def delete_probe(self, bucket: str, key: str, version_id: str | None) -> None:
        """Delete that object for good."""


class Queues(Protocol):
    """SQS, in one region and account."""

    def attributes(self, queue: Arn) -> dict[str, str] | None:
        """Return every attribute; None where there is no such queue."""

    def create(self, queue: Arn, attributes: Attributes) -> None:
        """Create the queue; one that another has made in this moment stays as it is."""

    def set_attributes(self, queue: Arn, attributes: Attributes) -> None:
        """Set these attributes, leave all others."""

    def delete(self, queue: Arn) -> None:
        """Delete the queue."""

    def sources(self, queue: Arn) -> list[str]:
        """Return the names of the queues whose dead letters it takes."""

    def receive(self, queue: Arn, wait_seconds: int) -> list[dict[str, Any]]:
        """Return up to ten messages, hidden from others for some seconds."""

    def release(self, queue: Arn, receipt_handle: str) -> None:
        """Make a message visible again."""

    def delete_message(self, queue: Arn, receipt_handle: str) -> None:
        """Delete one message."""


class Topics(Protocol):
    """SNS, in one region and account."""

    def attributes(self, topic: Arn) -> dict[str, str] | None:
        """Return every attribute; None where there is no such topic."""

    def create(self, topic: Arn, attributes: Attributes) -> None:
        """Create the topic."""

    def set_attribute(self, topic: Arn, name: str, value: str) -> None:
        """Set one attribute."""

    def subscription(self, topic: Arn, queue: Arn) -> dict[str, str] | None:
        """Return the attributes of the queue's subscription, ``SubscriptionArn`` among them; None without."""

    def subscribe(self, topic: Arn, queue: Arn, *, raw: bool) -> None:
        """Subscribe the queue."""

    def set_raw(self, subscription_arn: str, *, raw: bool) -> None:
        """Turn raw delivery on or off."""

    def unsubscribe(self, subscription_arn: str) -> None:
        """End a subscription."""


class Keys(Protocol):
    """KMS, in one region and account."""

    def describe(self, key: str) -> dict[str, Any] | None:
        """Return ``KeyMetadata``; None where there is no such key."""

    def policy(self, key: str) -> str:
        """Return the key's policy."""

    def put_policy(self, key: str, policy: str) -> None:
        """Replace the key's policy."""


class Functions(Protocol):
    """Lambda, in one region and account."""

    def policy(self, function: Arn) -> str | None:
        """Return the function's policy; None where it has none."""

    def add_permission(self, permission: Mapping[str, str]) -> None:
        """Add one statement to the policy."""

    def remove_permission(self, function: Arn, sid: str) -> None:
        """Take one statement away."""


class EventRules(Protocol):
    """EventBridge, in one region and account."""

    def rule(self, rule: Arn) -> dict[str, Any] | None:
        """Return the rule; None where there is none."""

    def put(self, rule: Arn, pattern: str) -> None:
        """Create or replace the rule, enabled."""

    def targets(self, rule: Arn) -> list[dict[str, Any]]:
        """Return the rule's targets."""

    def put_target(self, rule: Arn, target: Mapping[str, Any]) -> None:
        """Add or replace one target."""

    def remove_target(self, rule: Arn, target_id: str) -> None:
        """Take one target away."""

    def delete(self, rule: Arn) -> None:
        """Delete a rule without targets."""

    def archive(self, name: str) -> dict[str, Any] | None:
        """Return the archive; None where there is none."""

    def create_archive(self, name: str, bus: Arn, pattern: str, days: int) -> None:
        """Create an archive of the events that match."""


class Trails(Protocol):
    """CloudTrail, in one region."""

    def trails(self) -> Sequence[Trail]:
        """Return every trail, with the data events that it logs."""


class Aws(Protocol):
    """All of them, for a connection and a region; None means the operator's own connection."""

    def account(self, aws_conn_id: str | None) -> str:
        """Return the account that the connection's credentials are of."""

    def buckets(self) -> Buckets:
        """Return S3 with the operator's own connection."""

    def queues(self, aws_conn_id: str | None, region: str) -> Queues:
        """Return SQS."""

    def topics(self, aws_conn_id: str | None, region: str) -> Topics:
        """Return SNS."""

    def keys(self, aws_conn_id: str | None, region: str) -> Keys:
        """Return KMS."""

    def functions(self, aws_conn_id: str | None, region: str) -> Functions:
        """Return Lambda."""

    def trails(self, region: str) -> Trails:
        """Return CloudTrail with the operator's own connection."""

    def event_rules(self, region: str) -> EventRules:
        """Return EventBridge with the operator's own connection."""
