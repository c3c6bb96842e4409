"""``EventRuleHook``: the provider's EventBridge hook, and rules with targets, archives and replays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from airflow.providers.amazon.aws.hooks.eventbridge import EventBridgeHook

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.notification_setup.errors import found_or_none, translated


class EventRuleHook(EventBridgeHook):
    """Rules of the default bus, their targets, and archives."""

    def rule(self, rule: Arn) -> dict[str, Any] | None:
        """Return the rule; None where there is none."""
        call = self.get_conn().describe_rule
        found: dict[str, Any] | None = found_or_none(
            {"ResourceNotFoundException"}, call, f"DescribeRule of {rule}", Name=rule.name
        )
        return found

    def put(self, rule: Arn, pattern: str) -> None:
        """Create or replace the rule, by the provider's own call."""
        with translated(f"PutRule of {rule}"):
            self.put_rule(
                name=rule.name,
                description="S3 object events for Airflow, by airflow-provider-s3events",
                event_pattern=pattern,
                state="ENABLED",
            )

    def targets(self, rule: Arn) -> list[dict[str, Any]]:
        """Return the rule's targets."""
        with translated(f"ListTargetsByRule of {rule}"):
            paginator = self.get_conn().get_paginator("list_targets_by_rule")
            return [target for page in paginator.paginate(Rule=rule.name) for target in page["Targets"]]

    def put_target(self, rule: Arn, target: Mapping[str, Any]) -> None:
        """Add or replace one target."""
        with translated(f"PutTargets of {rule}"):
            answer = self.get_conn().put_targets(Rule=rule.name, Targets=[dict(target)])
        _refuse_failed(answer, f"PutTargets of {rule}")

    def remove_target(self, rule: Arn, target_id: str) -> None:
        """Take one target away."""
        with translated(f"RemoveTargets of {rule}"):
            answer = self.get_conn().remove_targets(Rule=rule.name, Ids=[target_id])
        _refuse_failed(answer, f"RemoveTargets of {rule}")

    def delete(self, rule: Arn) -> None:
        """Delete a rule without targets; one that is gone already is fine for EventBridge."""
        with translated(f"DeleteRule of {rule}"):
            self.get_conn().delete_rule(Name=rule.name)

    def archive(self, name: str) -> dict[str, Any] | None:
        """Return the archive; None where there is none."""
        call = self.get_conn().describe_archive
        found: dict[str, Any] | None = found_or_none(
            {"ResourceNotFoundException"}, call, f"DescribeArchive of {name}", ArchiveName=name
        )
        return found

    def create_archive(self, name: str, bus: Arn, pattern: str, days: int) -> None:
        """Create an archive of the events that match; ``days`` 0 keeps them for ever."""
        with translated(f"CreateArchive of {name}"):
            self.get_conn().create_archive(
                ArchiveName=name, EventSourceArn=str(bus), EventPattern=pattern, RetentionDays=days
            )

    def replay(self, archive: str, rule: str, start: Any, end: Any) -> str:
        """Send an archive's events between two datetimes through one rule again; return the replay's name.

        Each comes with its old identity, so an event whose run is there starts no other.

        Raises:
            ConfigurationError: There is no such archive, or the role may not replay it.
        """
        found = self.archive(archive)
        if found is None:
            raise ConfigurationError(f"archive: there is none named {archive!r} in this region")
        name = f"s3events-{uuid4().hex[:12]}"
        bus = str(found["EventSourceArn"])
        filters = [bus.replace(":event-bus/default", f":rule/{rule}")]
        with translated(f"StartReplay of {archive}"):
            self.get_conn().start_replay(
                ReplayName=name,
                EventSourceArn=found["ArchiveArn"],
                EventStartTime=start,
                EventEndTime=end,
                Destination={"Arn": bus, "FilterArns": filters},
            )
        return name


def _refuse_failed(answer: Mapping[str, Any], what: str) -> None:
    for entry in answer.get("FailedEntries", []):
        raise OutageError(f"{what}: {entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
