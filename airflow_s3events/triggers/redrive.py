"""``S3RedriveTrigger``: waits until SQS has moved the letters of a dead letter queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseTrigger, TriggerEvent
from airflow_s3events.exceptions import OutageError

if TYPE_CHECKING:
    from airflow_s3events.sqs import MoveProgress, SqsQueue

_AWS = ("aws_conn_id", "region_name", "verify", "botocore_config")


class S3RedriveTrigger(BaseTrigger):
    """Looks at the latest move task of a dead letter queue until it is over.

    The event is ``{"status": "COMPLETED", "moved": 12, "failure": ""}``.

    Args:
        dead_letter_queue: URL, ARN or name.
        poll_seconds: Between two looks.
        quiet_seconds: Fire no sooner: see ``_compat.earliest_resume_seconds``.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
    """

    def __init__(
        self,
        *,
        dead_letter_queue: str,
        poll_seconds: float = 10.0,
        quiet_seconds: float = 8.0,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dead_letter_queue = dead_letter_queue
        self.poll_seconds = poll_seconds
        self.quiet_seconds = quiet_seconds
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and plain arguments from which any triggerer makes this trigger again."""
        names = ("dead_letter_queue", "poll_seconds", "quiet_seconds", *_AWS)
        return "airflow_s3events.triggers.redrive.S3RedriveTrigger", {n: getattr(self, n) for n in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event when the move is over."""
        from airflow_s3events.hooks.s3_events import hook_for

        earliest = time.monotonic() + self.quiet_seconds
        hook = hook_for(self.dead_letter_queue, **{name: getattr(self, name) for name in _AWS})
        async with hook.open_client() as client:
            queue = await hook.queue(client, self.dead_letter_queue)
            moved = await wait_for_move(queue, self.poll_seconds, self._say)
        await asyncio.sleep(max(0.0, earliest - time.monotonic()))
        yield TriggerEvent(moved)

    def _say(self, progress: MoveProgress) -> None:
        self.log.info("%s", progress)


async def wait_for_move(
    queue: SqsQueue, poll_seconds: float, say: Callable[[MoveProgress], None]
) -> dict[str, Any]:
    """Return what became of the latest move of ``queue``; ``say`` hears how far it has come.

    An outage of SQS is waited out: the move goes on without us.
    """
    while True:
        try:
            progress = await queue.latest_move()
        except OutageError:
            progress = None
        if progress is not None:
            say(progress)
            if progress.is_over:
                return {"status": progress.status, "moved": progress.moved, "failure": progress.failure}
        await asyncio.sleep(poll_seconds)
