"""``S3EventRedriveOperator``: dead letters go back to be processed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseOperator, Context, earliest_resume_seconds
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.triggers.redrive import S3RedriveTrigger, wait_for_move

if TYPE_CHECKING:
    from airflow_s3events.hooks.s3_events import S3EventsHook
    from airflow_s3events.redrive import Report
    from airflow_s3events.sqs import MoveProgress, SqsQueue


class S3EventRedriveOperator(BaseOperator):
    """Sends dead letters back to a dispatcher's queue: replayed one by one, or moved by SQS.

    ``method="replay"`` sends each letter that meets ``criteria`` with the next attempt number, then deletes
    it: a failed run is started again, one that works or has succeeded meanwhile is left alone, a body that
    still cannot be read comes back. A Lambda destination record is sent as the event inside it. Killed in
    between and tried again it sends a letter twice at most, with the same number, which starts one run.

    ``method="move"`` has SQS move every letter as it is
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html), for
    thousands of them; no criteria. A moved message carries no attempt number, so a failed run is started
    again only by a dispatcher of ``acknowledge="run_succeeded"``. A move that is under way is joined, not
    started twice; a task that is killed while it waits cancels the move, one that is killed while it is
    deferred leaves it going.

    The value it returns is the report: ``looked_at``, ``came_back``, ``matched``, ``done``, ``refused``; for
    a move ``status``, ``moved`` and ``failure``.

    What it needs of AWS, replay: ``sqs:ReceiveMessage``, ``DeleteMessage``, ``ChangeMessageVisibility``,
    ``GetQueueAttributes``, ``GetQueueUrl``, ``ListDeadLetterSourceQueues`` on the dead letter queue,
    ``SendMessage`` and ``GetQueueAttributes`` on the other; move: ``StartMessageMoveTask``,
    ``ListMessageMoveTasks``, ``CancelMessageMoveTask`` besides.

    Args:
        dead_letter_queue: URL, ARN or name. Templated.
        to_queue: Where to; the one queue whose redrive policy leads here when None. Templated.
        method: ``"replay"`` or ``"move"``.
        criteria: Members of ``dead_letters.Criteria``: ``reason``, ``dag_id``, ``key``,
            ``older_than_seconds``, ``younger_than_seconds``, ``message_ids``. Templated.
        most: Replay at most so many. Default 10,000.
        max_per_second: At most so many a second; None: as fast as it goes. SQS moves 500 at most.
        dry_run: Replay nothing, and report what would be.
        deferrable: Wait for a move in the triggerer. Default True.
        poll_seconds: Between two looks at a move. Default 10.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
    """

    template_fields: Sequence[str] = (
        "dead_letter_queue",
        "to_queue",
        "criteria",
        "aws_conn_id",
        "region_name",
    )
    ui_color = "#f0a848"

    def __init__(
        self,
        *,
        dead_letter_queue: str,
        to_queue: str | None = None,
        method: str = "replay",
        criteria: Mapping[str, Any] | None = None,
        most: int = 10_000,
        max_per_second: float | None = None,
        dry_run: bool = False,
        deferrable: bool = True,
        poll_seconds: float = 10.0,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dead_letter_queue = dead_letter_queue
        self.to_queue = to_queue
        self.method = method
        self.criteria = criteria
        self.most = most
        self.max_per_second = max_per_second
        self.is_dry_run = dry_run
        self.deferrable = deferrable
        self.poll_seconds = poll_seconds
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self._is_moving = False

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow passes it
        """Replay, or start (or join) a move and wait for its end.

        Raises:
            ConfigurationError: A setting is wrong, a queue cannot be used, or SQS refused some copies: their
                letters are where they were.
            OutageError: SQS is away.
        """
        if self.method == "replay":
            return self._told(asyncio.run(self._replay()))
        if self.method != "move":
            raise ConfigurationError(f"method={self.method!r}: give 'replay' or 'move'")
        if self.criteria or self.is_dry_run:
            raise ConfigurationError("method='move': SQS moves every letter; leave criteria and dry_run out")
        asyncio.run(self._start_move())
        if self.deferrable:
            trigger = S3RedriveTrigger(
                dead_letter_queue=self.dead_letter_queue,
                poll_seconds=self.poll_seconds,
                quiet_seconds=earliest_resume_seconds(),
                **self._aws(),
            )
            self.defer(trigger=trigger, method_name="resume")
        return _checked(asyncio.run(self._wait()))

    def resume(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return what became of the move."""
        return _checked(dict(event))

    def on_kill(self) -> None:
        """Cancel a move that this task waits for; what it has moved stays moved."""
        if self._is_moving:
            asyncio.run(self._cancel())

    def _told(self, report: Report) -> dict[str, Any]:
        self.log.info("Dead letters: %s", report)
        if report.refused:
            raise ConfigurationError(
                f"SQS refused {len(report.refused)} of {report.matched}: {report.refused}"
            )
        return report.serialize()

    def _aws(self) -> dict[str, Any]:
        names = ("aws_conn_id", "region_name", "verify", "botocore_config")
        return {name: getattr(self, name) for name in names}

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[S3EventsHook, Any, SqsQueue]]:
        from airflow_s3events.hooks.s3_events import hook_for

        hook = hook_for(self.dead_letter_queue, **self._aws())
        async with hook.open_client() as client:
            yield hook, client, await hook.queue(client, self.dead_letter_queue)

    async def _replay(self) -> Report:
        from airflow_s3events.dead_letters import Criteria
        from airflow_s3events.redrive import DeadLetterQueue, only_source

        async with self._open() as (hook, client, dead_letters):
            return await DeadLetterQueue(queue=dead_letters).replay(
                await hook.queue(client, self.to_queue or await only_source(dead_letters)),
                Criteria(**(self.criteria or {})),
                most=self.most,
                max_per_second=self.max_per_second,
                dry_run=self.is_dry_run,
            )

    async def _start_move(self) -> None:
        async with self._open() as (hook, client, dead_letters):
            latest = await dead_letters.latest_move()
            if latest is not None and not latest.is_over:
                self.log.info("A move of this queue is under way, and is joined: %s", latest)
                return
            to_arn = None
            if self.to_queue is not None:
                to_arn = (await (await hook.queue(client, self.to_queue)).describe()).arn
            rate = None if self.max_per_second is None else int(self.max_per_second)
            await dead_letters.start_move(to_arn, rate)

    async def _wait(self) -> dict[str, Any]:
        self._is_moving = True
        try:
            async with self._open() as (_, _, dead_letters):
                return await wait_for_move(dead_letters, self.poll_seconds, self._say)
        finally:
            self._is_moving = False

    def _say(self, progress: MoveProgress) -> None:
        self.log.info("%s", progress)

    async def _cancel(self) -> None:
        async with self._open() as (_, _, dead_letters):
            latest = await dead_letters.latest_move()
            if latest is not None and latest.handle is not None:
                moved = await dead_letters.cancel_move(latest.handle)
                self.log.info("The move is cancelled; %d messages had been moved", moved)


def _checked(moved: dict[str, Any]) -> dict[str, Any]:
    if moved.get("status") != "COMPLETED":
        raise ConfigurationError(f"SQS did not move all letters: {moved}")
    return moved
