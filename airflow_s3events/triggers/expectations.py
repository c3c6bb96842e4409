"""``S3ExpectationTrigger``: waits until something can be said of an expectation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseTrigger, TriggerEvent
from airflow_s3events.outages import through_outages

if TYPE_CHECKING:
    from airflow_s3events.expectations import Judged

#: Form of the keyword arguments; rows stored by one version of the package are loaded by later ones.
_VERSION = 1
_AWS = ("aws_conn_id", "region_name", "verify", "botocore_config")


class S3ExpectationTrigger(BaseTrigger):
    """Looks into the bucket until an expectation is met or broken; for ``S3ExpectedObjectsSensor``.

    The event is ``{"judged": {"0": {...}}}``: by its number, what was said of each. It is empty when time is
    up. What broke a rate would not be seen again on the worker, so it is told.

    Args:
        watched: ``bucket_name``, ``expectations`` (plain data), ``day``, ``began``, ``tolerance_seconds``,
            ``watch_seconds`` and ``poke_seconds``, as ``watch`` takes them.
        left: Numbers of the expectations of which nothing was said yet.
        until: Seconds since the epoch at which to fire in any case.
        quiet_seconds: Fire no sooner: see ``_compat.earliest_resume_seconds``.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
        v: Version of this form.
    """

    def __init__(
        self,
        *,
        watched: dict[str, Any],
        left: list[int],
        until: float,
        quiet_seconds: float = 8.0,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        v: int = _VERSION,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watched = watched
        self.left = left
        self.until = until
        self.quiet_seconds = quiet_seconds
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.v = v

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and plain arguments from which any triggerer makes this trigger again."""
        names = ("watched", "left", "until", "quiet_seconds", *_AWS, "v")
        kwargs = {name: getattr(self, name) for name in names}
        return "airflow_s3events.triggers.expectations.S3ExpectationTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, and end."""
        earliest = time.monotonic() + self.quiet_seconds
        aws = {name: getattr(self, name) for name in _AWS}
        attempt = partial(watch, self.watched, self.left, until=self.until, aws=aws)
        judged = await through_outages(attempt, until=self.until) or {}
        await asyncio.sleep(max(0.0, earliest - time.monotonic()))
        yield TriggerEvent({"judged": {str(number): one.serialize() for number, one in judged.items()}})


async def watch(
    watched: Mapping[str, Any], left: Sequence[int], *, until: float, aws: Mapping[str, Any]
) -> dict[int, Judged]:
    """Look until something can be said of one of ``left``, or ``until`` is over.

    Raises:
        ConfigurationError: A setting is wrong; names it.
        OutageError: S3 is away.
    """
    from airflow_s3events.expectation_watch import ExpectationWatch
    from airflow_s3events.expectations import expectations_of
    from airflow_s3events.hooks.s3_events import bucket_hook

    async with bucket_hook(**aws).open_client() as client:
        return await ExpectationWatch(
            client=client,
            bucket=watched["bucket_name"],
            expectations=expectations_of(watched["expectations"]),
            day=None if watched["day"] is None else date.fromisoformat(watched["day"]),
            began=watched["began"],
            tolerance_seconds=watched["tolerance_seconds"],
            watch_seconds=watched["watch_seconds"],
            poke_seconds=watched["poke_seconds"],
            clock=time.time,
        ).wait(left, until)
