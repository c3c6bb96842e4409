"""``TrailHook``: the trails of CloudTrail; the provider has no hook for it."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from airflow_s3events.notification_setup.errors import translated
from airflow_s3events.notification_setup.trails import Trail


class TrailHook(AwsBaseHook):
    """Trails of a region, those of other regions that reach into it included."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "cloudtrail"
        super().__init__(*args, **kwargs)

    def trails(self) -> list[Trail]:
        """Return every trail, with the data events that it logs."""
        with translated("DescribeTrails"):
            found = self.get_conn().describe_trails(includeShadowTrails=True)["trailList"]
        return [self._trail(trail["Name"], trail["TrailARN"]) for trail in found]

    def _trail(self, name: str, arn: str) -> Trail:
        with translated(f"GetTrailStatus and GetEventSelectors of {arn}"):
            status = self.get_conn().get_trail_status(Name=arn)
            selectors = self.get_conn().get_event_selectors(TrailName=arn)
        return Trail(
            name=name,
            is_logging=bool(status.get("IsLogging")),
            selectors=selectors.get("EventSelectors") or (),
            advanced=selectors.get("AdvancedEventSelectors") or (),
        )
