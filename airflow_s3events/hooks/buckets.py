"""``BucketNotificationHook``: the provider's S3 hook and notification configurations, which it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_s3events.notification_setup.errors import translated

#: Where S3's answer is empty, and for the oldest name of Ireland.
_REGIONS = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}


class BucketNotificationHook(S3Hook):
    """S3's notification configurations, which the provider's hook does not know."""

    def region(self, bucket: str, owner: str) -> str:
        """Return the bucket's region."""
        with translated(f"GetBucketLocation of {bucket}"):
            answer = self.get_conn().get_bucket_location(Bucket=bucket, ExpectedBucketOwner=owner)
        found = answer.get("LocationConstraint")
        return _REGIONS.get(found, str(found))

    def configuration(self, bucket: str, owner: str) -> dict[str, Any]:
        """Return the notification configuration; empty where the bucket has none."""
        with translated(f"GetBucketNotificationConfiguration of {bucket}"):
            answer: dict[str, Any] = self.get_conn().get_bucket_notification_configuration(
                Bucket=bucket, ExpectedBucketOwner=owner
            )
        answer.pop("ResponseMetadata", None)
        return answer

    def put_configuration(self, bucket: str, configuration: Mapping[str, Any], owner: str) -> None:
        """Replace all of the notification configuration; S3 tries each destination first."""
        with translated(f"PutBucketNotificationConfiguration of {bucket}"):
            self.get_conn().put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration=dict(configuration), ExpectedBucketOwner=owner
            )

    def put_probe(self, bucket: str, key: str) -> str | None:
        """Write a small object; return its version id, if it has one."""
        with translated(f"PutObject of s3://{bucket}/{key}"):
            answer = self.get_conn().put_object(Bucket=bucket, Key=key, Body=b"s3events check")
        found: str | None = answer.get("VersionId")
        return found

    def delete_probe(self, bucket: str, key: str, version_id: str | None) -> None:
        """Delete that object for good: with its version id no delete marker is left."""
        which = {} if version_id is None else {"VersionId": version_id}
        with translated(f"DeleteObject of s3://{bucket}/{key}"):
            self.get_conn().delete_object(Bucket=bucket, Key=key, **which)
