"""Where audit records go, in one text: ``s3://bucket/prefix`` or ``logs:<log group>``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from airflow_s3events.arns import check_bucket
from airflow_s3events.exceptions import ConfigurationError

_FORMS = "'s3://bucket/prefix' or 'logs:<name of a CloudWatch Logs group>'"
_GROUP = re.compile(r"[\w./#-]{1,512}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AuditAddress:
    """Where records go.

    Attributes:
        kind: ``s3``: objects of JSON lines under a prefix. ``logs``: a log group.
        name: Bucket, or log group.
        prefix: Of the objects, with a slash at its end, or empty.
    """

    kind: Literal["s3", "logs"]
    name: str
    prefix: str = ""

    @staticmethod
    def of(text: Any) -> AuditAddress:
        """Read an address.

        Raises:
            ConfigurationError: It is none; says what to put there.
        """
        if isinstance(text, str) and text.startswith("s3://"):
            bucket, _, prefix = text.removeprefix("s3://").partition("/")
            clean = prefix.strip("/")
            return AuditAddress("s3", check_bucket(bucket), f"{clean}/" if clean else "")
        if isinstance(text, str) and text.startswith("logs:") and _GROUP.fullmatch(text[5:]):
            return AuditAddress("logs", text[5:])
        raise ConfigurationError(f"audit={text!r}: give {_FORMS}")
