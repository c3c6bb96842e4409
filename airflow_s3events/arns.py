"""Amazon Resource Names: what they say, and which partition a region is in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_s3events.exceptions import ConfigurationError

_PARTS = 6
_ACCOUNT = re.compile(r"\d{12}")
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d+")
# Old buckets of us-east-1 may have capitals, underscores and up to 255 characters
# (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
#: What a directory bucket's name ends in; such a bucket sends no notifications.
_DIRECTORY_BUCKET = "--x-s3"
#: How the regions of a partition begin; all others are in ``aws``
#: (https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html).
_PARTITIONS = {
    "cn-": "aws-cn",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """One ARN in its six parts; ``str()`` puts them together again."""

    partition: str
    service: str
    #: Empty for buckets.
    region: str
    #: Twelve digits; empty for buckets.
    account: str
    #: The rest, with whatever colons and slashes it has.
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"

    @property
    def name(self) -> str:
        """The last part of the resource: of a queue or topic all of it, of a function or rule its name."""
        return re.split("[:/]", self.resource)[-1]

    @property
    def is_fifo(self) -> bool:
        """Whether the queue or topic keeps order; S3 sends to none of those."""
        return self.resource.endswith(".fifo")

    @classmethod
    def parse(cls, text: str, *, setting: str) -> Arn:
        """Return the ARN that ``text`` is; ``setting`` is what an error names.

        Raises:
            ConfigurationError: ``text`` is no ARN.
        """
        parts = text.split(":", _PARTS - 1)
        if len(parts) != _PARTS or parts[0] != "arn" or not (parts[1] and parts[2] and parts[5]):
            raise ConfigurationError(
                f"{setting}: {text!r} is no ARN; it has the form arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE"
            )
        _, partition, service, region, account, resource = parts
        return cls(partition=partition, service=service, region=region, account=account, resource=resource)

    @classmethod
    def of_service(cls, text: str, service: str, *, setting: str) -> Arn:
        """Return the ARN that ``text`` is, if it is one of ``service`` with a region and an account.

        Raises:
            ConfigurationError: It is not.
        """
        arn = cls.parse(text, setting=setting)
        if arn.service != service:
            raise ConfigurationError(f"{setting}: {text!r} is an ARN of {arn.service}, not of {service}")
        check_region(arn.region, setting=setting)
        check_account(arn.account, setting=setting)
        return arn


def is_arn(text: str) -> bool:
    """Return whether ``text`` means to be an ARN."""
    return text.startswith("arn:")


def partition_of(region: str) -> str:
    """Return the partition of a region: ``aws``, ``aws-cn``, ``aws-us-gov`` and so on."""
    return next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), "aws")


def bucket_arn(bucket: str, *, partition: str = "aws") -> str:
    """Return the ARN of a bucket."""
    return f"arn:{partition}:s3:::{bucket}"


def check_account(account: str, *, setting: str) -> str:
    """Return ``account`` if it is twelve digits.

    Raises:
        ConfigurationError: It is not.
    """
    if not _ACCOUNT.fullmatch(account):
        raise ConfigurationError(f"{setting}: {account!r} is no account id; give its twelve digits, as text")
    return account


def check_region(region: str, *, setting: str) -> str:
    """Return ``region`` if it has the form of one.

    Raises:
        ConfigurationError: It has not.
    """
    if not _REGION.fullmatch(region):
        raise ConfigurationError(f"{setting}: {region!r} is no region; give one such as 'eu-west-1'")
    return region


def check_bucket(bucket: str, *, setting: str = "bucket_name") -> str:
    """Return ``bucket`` if it can be the name of a bucket that sends notifications.

    Raises:
        ConfigurationError: It is an address, an ARN, or no name at all, or a directory bucket's.
    """
    if not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(f"{setting}: {bucket!r} is no bucket's name; give it bare, no s3://, no ARN")
    if bucket.endswith(_DIRECTORY_BUCKET):
        raise ConfigurationError(f"{setting}: {bucket!r} is a directory bucket, which sends no notifications")
    return bucket
