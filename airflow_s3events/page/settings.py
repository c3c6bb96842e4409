"""What the page shows: section ``[s3events]`` of Airflow's configuration, read and checked. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from airflow_s3events.exceptions import ConfigurationError

#: Section of Airflow's configuration.
SECTION = "s3events"


class Option(NamedTuple):
    """An option of the section, as the provider's metadata declare it."""

    meaning: str
    type: str
    example: str
    default: str | None = None


#: The options of the page.
OPTIONS: Mapping[str, Option] = {
    "page_queues": Option(
        "Queues that the page shows, as a JSON list: each a name, ARN or URL, or an object with the members"
        " queue, dispatcher (the DAG that reads it), targets (DAGs that it starts), aws_conn_id, region_name,"
        " late_seconds and max_queued_runs. With neither this nor page_ledger there is no page.",
        "string",
        '[{"queue": "landing-events", "dispatcher": "landing_dispatcher", "targets": ["process_object"]}]',
    ),
    "page_ledger": Option(
        "The ledger that the page shows: sql:<Airflow connection> or dynamodb:<table>.",
        "string",
        "sql:ledger_db",
    ),
    "page_buckets": Option(
        "Buckets, or patterns of buckets with * and ?, by commas, that a search on the page may ask S3 about,"
        " with the rights of the API server. Without any, a search asks the ledger and Airflow alone.",
        "string",
        "landing,invoices-*",
    ),
    "page_redrive": Option(
        "Whether the page offers to redrive dead letters, to those who may start runs.",
        "boolean",
        "False",
        "True",
    ),
    "page_aws_conn_id": Option(
        "AWS connection of the page; empty: boto3's own chain.", "string", "aws_page", "aws_default"
    ),
    "page_region_name": Option(
        "AWS region of the page; without one, the connection's.", "string", "eu-west-1"
    ),
}
_TEXTS = ("queue", "dispatcher", "aws_conn_id", "region_name")
_NUMBERS = ("late_seconds", "max_queued_runs")
_MEMBERS = (*_TEXTS, *_NUMBERS, "targets")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedQueue:
    """One queue of the page; members as of ``s3events status``."""

    queue: str
    dispatcher: str | None = None
    targets: tuple[str, ...] = ()
    aws_conn_id: str | None = "aws_default"
    region_name: str | None = None
    late_seconds: float = 900.0
    max_queued_runs: int = 1_000

    @property
    def dag_ids(self) -> tuple[str, ...]:
        """The DAGs that read it or that it starts, as far as they are named."""
        return (*((self.dispatcher,) if self.dispatcher else ()), *self.targets)

    @property
    def aws(self) -> dict[str, Any]:
        """Settings of its AWS client."""
        return _aws(self.aws_conn_id, self.region_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """What the page shows; the options of ``OPTIONS``."""

    queues: tuple[WatchedQueue, ...] = ()
    ledger: str | None = None
    buckets: tuple[str, ...] = ()
    redrive: bool = True
    aws_conn_id: str | None = "aws_default"
    region_name: str | None = None

    @property
    def aws(self) -> dict[str, Any]:
        """Settings of AWS clients that are of no one queue."""
        return _aws(self.aws_conn_id, self.region_name)

    def may_ask(self, bucket: str) -> bool:
        """Return whether a search may ask S3 about a bucket."""
        return any(fnmatchcase(bucket, pattern) for pattern in self.buckets)

    def queue(self, name: str) -> WatchedQueue:
        """Return the queue of this name.

        Raises:
            ConfigurationError: The page has none of that name.
        """
        for watched in self.queues:
            if watched.queue == name:
                return watched
        raise ConfigurationError("page_queues: the page shows no such queue")

    @staticmethod
    def of(options: Mapping[str, str | None]) -> PageSettings:
        """Read the options, each a text or missing.

        Raises:
            ConfigurationError: One of them cannot be used; names it.
        """
        aws_conn_id = options.get("page_aws_conn_id")
        common = {
            "aws_conn_id": "aws_default" if aws_conn_id is None else aws_conn_id or None,
            "region_name": options.get("page_region_name") or None,
        }
        buckets = (options.get("page_buckets") or "").split(",")
        return PageSettings(
            queues=tuple(_queue(one, common) for one in _listed(options.get("page_queues"))),
            ledger=options.get("page_ledger") or None,
            buckets=tuple(bucket.strip() for bucket in buckets if bucket.strip()),
            redrive=_flag(options.get("page_redrive")),
            aws_conn_id=common["aws_conn_id"],
            region_name=common["region_name"],
        )


def _listed(text: str | None) -> list[Any]:
    if not text:
        return []
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    if not isinstance(listed, list):
        raise ConfigurationError(
            f"page_queues={text!r}: give a JSON list, such as {OPTIONS['page_queues'].example}"
        )
    return listed


def _queue(given: Any, common: Mapping[str, Any]) -> WatchedQueue:
    members = {"queue": given} if isinstance(given, str) else given
    if not isinstance(members, dict) or not members.get("queue"):
        raise ConfigurationError(f"page_queues: {given!r} names no queue")
    for name, value in members.items():
        _check(name, value)
    targets = tuple(members.get("targets") or ())
    return WatchedQueue(**{**common, **members, "targets": targets})


def _check(name: str, value: Any) -> None:
    if name not in _MEMBERS:
        raise ConfigurationError(f"page_queues: {name!r} is none of {', '.join(_MEMBERS)}")
    is_text = name in _TEXTS and (value is None or isinstance(value, str))
    is_number = name in _NUMBERS and isinstance(value, (int, float)) and not isinstance(value, bool)
    is_list = name == "targets" and isinstance(value, list) and all(isinstance(one, str) for one in value)
    if not (is_text or is_number or is_list):
        raise ConfigurationError(f"page_queues: {name}={value!r} is of a wrong type")


def _flag(text: str | None) -> bool:
    word = (text or "true").strip().lower()
    if word not in ("true", "false"):
        raise ConfigurationError(f"page_redrive={text!r}: give True or False")
    return word == "true"


def _aws(aws_conn_id: str | None, region_name: str | None) -> dict[str, Any]:
    # Someone sits before the page: an AWS that does not answer is told soon.
    config = {"connect_timeout": 3, "read_timeout": 25, "retries": {"max_attempts": 2}}
    return {
        "aws_conn_id": aws_conn_id,
        "region_name": region_name,
        "verify": None,
        "botocore_config": config,
    }
