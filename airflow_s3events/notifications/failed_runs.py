"""``S3EventFailureNotifier``: a failed run goes back to its queue, or to a dead letter queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseNotifier
from airflow_s3events.dead_letters import LOG_ATTRIBUTE, TASK_ATTRIBUTE, TRY_ATTRIBUTE
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.failed_runs import FailedRun, resend_delay_seconds

if TYPE_CHECKING:
    from airflow_s3events.dead_letters import Replay


class S3EventFailureNotifier(BaseNotifier):
    """Sends the event of a failed run back to be started again, and in the end to a dead letter queue.

    For ``on_failure_callback`` of a DAG or of a task, in a DAG that a dispatcher starts. It only sends
    messages: all it says comes from the run id, the conf and the callback's context, and Airflow's API is not
    asked. A callback can be lost (with the process that should run it); the run is still failed then, and
    ``S3EventRetryFailedRunsOperator`` finds it.

    The message that is sent back carries the next attempt number. The dispatcher starts the run again once
    for each number, under a run id that ends in it; while the failed run still works (a task failed, others
    go on) the message waits. So two callbacks about one run start one run.

    With a dispatcher of ``acknowledge="run_succeeded"``, which retries runs itself, nothing may be sent back.

    What it needs of AWS: ``sqs:SendMessage``, ``GetQueueUrl`` on both queues.

    Args:
        sqs_queue: URL, ARN or name of the dispatcher's queue, to send back to; None: never. Templated.
        dead_letter_queue: Where the event goes after ``max_attempts``, with reason, DAG, run, task, try and
            log link as message attributes; None: nowhere, the run stays failed. Templated.
        max_attempts: The run is started again at most so often. Default 3.
        delay_seconds: The first one is hidden for so long, doubling to 15 minutes. Default 60.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.

    Raises:
        ConfigurationError: Neither queue is given, or a number is out of range.
    """

    template_fields: Sequence[str] = ("sqs_queue", "dead_letter_queue", "aws_conn_id", "region_name")

    def __init__(
        self,
        *,
        sqs_queue: str | None = None,
        dead_letter_queue: str | None = None,
        max_attempts: int = 3,
        delay_seconds: float = 60.0,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if sqs_queue is None and dead_letter_queue is None:
            raise ConfigurationError("sqs_queue, dead_letter_queue: give at least one, or nothing is sent")
        if type(max_attempts) is not int or max_attempts < 1:
            raise ConfigurationError(f"max_attempts={max_attempts!r}: give a whole number from 1")
        if isinstance(delay_seconds, bool) or not 0 <= delay_seconds <= 900:  # noqa: PLR2004 - SQS's limit
            raise ConfigurationError(f"delay_seconds={delay_seconds!r}: give a number from 0 to 900")
        self.sqs_queue = sqs_queue
        self.dead_letter_queue = dead_letter_queue
        self.max_attempts = max_attempts
        self.delay_seconds = delay_seconds
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def notify(self, context: Any) -> None:
        """Send what there is to send; called in the DAG processor or in the task's process."""
        asyncio.run(self.async_notify(context))

    async def async_notify(self, context: Any) -> None:
        """Send what there is to send.

        Raises:
            ConfigurationError: The dispatcher retries the run itself; or a queue cannot be used.
            OutageError: SQS is away. The run stays failed.
        """
        run = _failed_run(context)
        if run is None:
            self.log.warning("No dispatcher started this run, or its context has no conf: nothing is sent")
        elif self.sqs_queue is not None and run.attempt < self.max_attempts:
            self._check(run)
            delay = resend_delay_seconds(run.attempt, self.delay_seconds)
            await self._send(self.sqs_queue, run.resend(), delay)
            self.log.info("Run %s of %s goes back in %d s", run.run_id, run.dag_id, delay)
        elif self.dead_letter_queue is not None:
            await self._send(self.dead_letter_queue, run.dead_letter(_reason(context), _about(context)), 0)
            self.log.info("Run %s of %s is a dead letter", run.run_id, run.dag_id)

    def _check(self, run: FailedRun) -> None:
        if run.acknowledge == "run_succeeded":
            raise ConfigurationError(
                f"sqs_queue: the dispatcher of DAG {run.dag_id!r} has acknowledge='run_succeeded' and retries"
                " its runs itself; leave sqs_queue out of the notifier, or acknowledge='run_succeeded' out of"
                " the dispatcher"
            )

    async def _send(self, sqs_queue: str, message: Replay, delay_seconds: int) -> None:
        from airflow_s3events.hooks.s3_events import hook_for

        hook = hook_for(
            sqs_queue,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        async with hook.open_client() as client:
            queue = await hook.queue(client, sqs_queue)
            await queue.send(message.body, attributes=message.attributes, delay_seconds=delay_seconds)


def _failed_run(context: Mapping[str, Any]) -> FailedRun | None:
    """A DAG's callback may have no more than ``dag`` and ``run_id``; then there is no conf to send."""
    dag_run = context.get("dag_run")
    run_id = context.get("run_id") or getattr(dag_run, "run_id", None)
    dag_id = getattr(context.get("dag"), "dag_id", None) or getattr(dag_run, "dag_id", None)
    return FailedRun.of(str(dag_id), str(run_id), getattr(dag_run, "conf", None))


def _reason(context: Mapping[str, Any]) -> str:
    error = context.get("exception") or context.get("reason") or "the run failed"
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)


def _about(context: Mapping[str, Any]) -> dict[str, str]:
    ti = context.get("task_instance") or context.get("ti")
    known = {
        TASK_ATTRIBUTE: getattr(ti, "task_id", None),
        TRY_ATTRIBUTE: getattr(ti, "try_number", None),
        LOG_ATTRIBUTE: getattr(ti, "log_url", None),
    }
    return {name: str(value) for name, value in known.items() if value is not None}
