"""Operators that set up, check and take down the way from a bucket to its queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseOperator, Context
from airflow_s3events.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_s3events.hooks.notification_setup import SetupHooks
    from airflow_s3events.notification_setup.configure import Wanted

#: Longer than a task of ours takes between reading a bucket's configuration and putting it.
_SETTLE_SECONDS = 2.0
_CREATED = ("s3:ObjectCreated:*",)


class _SetupOperator(BaseOperator):
    """What the three have in common: a bucket and an AWS connection."""

    template_fields: Sequence[str] = (
        "bucket_name",
        "notification_id",
        "events",
        "prefix",
        "suffix",
        "destinations",
        "bucket_owner",
        "aws_conn_id",
        "region_name",
    )
    ui_color = "#f0c888"

    def __init__(
        self,
        *,
        bucket_name: str,
        notification_id: str | None = None,
        events: Sequence[str] | str = _CREATED,
        prefix: str = "",
        suffix: str = "",
        destinations: Any = None,
        bucket_owner: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_name = bucket_name
        self.notification_id = notification_id
        self.events = events
        self.prefix = prefix
        self.suffix = suffix
        self.destinations = destinations
        self.bucket_owner = bucket_owner
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def _hooks(self) -> SetupHooks:
        from airflow_s3events.hooks.notification_setup import SetupHooks

        return SetupHooks(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )

    def _done(self, lines: list[str], before: Any, after: Any, *, is_dry_run: bool) -> dict[str, Any]:
        return {
            "bucket": self.bucket_name,
            "notification_id": self.notification_id,
            "changes": lines,
            "before": before,
            "after": after,
            "dry_run": is_dry_run,
        }

    def _show(self, lines: list[str]) -> None:
        for line in lines or ["nothing to do"]:
            self.log.info("%s", line)

    def _wanted(self, mode: str = "merge") -> Wanted:
        from airflow_s3events.notification_setup.configure import Wanted

        return Wanted.of(
            bucket=self.bucket_name,
            notification_id=self.notification_id or "",
            events=self.events,
            destinations=self.destinations,
            prefix=self.prefix,
            suffix=self.suffix,
            bucket_owner=self.bucket_owner,
            mode=mode,
        )


class S3ConfigureNotificationOperator(_SetupOperator):
    """Sets up a bucket notification and all on its way, and leaves every other rule as it is.

    Everything is read and planned first, so bad input changes nothing; then queues, topics, keys, functions
    and EventBridge rules are created or mended, and the bucket comes last, because S3 tries each destination
    when the configuration is put. A second run changes nothing and makes no writing call.

    ``PutBucketNotificationConfiguration`` replaces all of a bucket's configuration and has no condition, so
    the read comes right before the put and is done again ``settle_seconds`` after it, up to three rounds: two
    tasks of this kind at once both end up in. A change that another tool makes in the moment between read and
    put is lost; ``before`` of the result is for that case (``docs/how-to/set_up.md``). The policies of
    queues, topics and keys are read right before they are set, and read back, in the same way.

    Returns (XCom): ``bucket``, ``notification_id``, ``changes`` (lines to read), ``before`` and ``after``
    (the bucket's configuration), ``dry_run``.

    What it needs of AWS: ``s3events iam --for configure``.

    Args:
        bucket_name: Bare name of the bucket. Templated.
        notification_id: ``Id`` of the rule: what makes it ours at the next run, and what events carry as
            ``configuration_id``. Templated.
        destinations: A queue's name, ARN or URL, a topic's or function's ARN, or a ``QueueDestination``,
            ``TopicDestination``, ``FunctionDestination``, ``EventBridgeDestination``; or a list of one of the
            first three and any number of the last. Text in it is templated.
        events: Event types, as S3 writes them. Default ``["s3:ObjectCreated:*"]``. Templated.
        prefix, suffix: How keys begin and end, as they are, not encoded. Templated.
        bucket_owner: Account that owns the bucket; the connection's when None. Templated.
        mode: ``"merge"``, or ``"replace"`` to drop the rules of everybody else.
        dry_run: Log what would be done, and do nothing.
        settle_seconds: How long after a put to read back. Default 2.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
    """

    def __init__(
        self,
        *,
        bucket_name: str,
        notification_id: str,
        destinations: Any,
        mode: str = "merge",
        dry_run: bool = False,
        settle_seconds: float = _SETTLE_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            bucket_name=bucket_name, notification_id=notification_id, destinations=destinations, **kwargs
        )
        self.mode = mode
        # BaseOperator has a method of the parameter's name.
        self.is_dry_run = dry_run
        self.settle_seconds = settle_seconds

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow passes it
        """Plan, then do; see the class."""
        from airflow_s3events.notification_setup.configure import apply, plan

        wanted, hooks = self._wanted(self.mode), self._hooks()
        found = plan(hooks, wanted)
        if self.is_dry_run or not found.lines:
            self._show(found.lines)
            return self._done(found.lines, found.before, found.after, is_dry_run=self.is_dry_run)
        brought = apply(hooks, found, settle_seconds=self.settle_seconds, tell=self.log.info)
        return self._done(found.lines, brought.before, brought.after, is_dry_run=False)


class S3CheckNotificationOperator(_SetupOperator):
    """Finds what is wrong on the way from a bucket to its destinations, and changes nothing.

    Looks at the bucket and every destination of it: missing queues, policies that do not let S3 in, KMS keys,
    dead letter queues, retention, visibility, sizes, quotas. With ``notification_id`` and ``destinations``
    also at what of them is not, or could not be, configured. Fails when there is an error, unless
    ``fail_on_error=False``.

    Returns (XCom): the findings, each ``weight`` (``error``, ``warning``, ``note``), ``about``, ``text``.

    What it needs of AWS: ``s3events iam --for check``, and ``--for prove``.

    Args:
        bucket_name: Bare name of the bucket. Templated.
        notification_id, destinations, events, prefix, suffix: What should be there, as for
            ``S3ConfigureNotificationOperator``; without a ``notification_id`` only what is there counts.
        work_seconds: How long the work on one message may take, where nobody extends its visibility; the
            dispatcher does. Default 0.
        writes_to: ``s3://bucket/prefix``, or assets with such a URI, that the DAGs behind these events write
            to: one under a watched prefix is a loop.
        prove: Write a probe object, wait for its event, measure the delay, delete both. Needs a queue.
        prove_prefix: Where the probe may be written; the rule's prefix when None. Templated.
        prove_seconds: How long to wait for it. Default 60.
        fail_on_error: Fail the task when an error is found. Default True.
        bucket_owner, aws_conn_id, region_name, verify, botocore_config: As for the other operators.
    """

    template_fields: Sequence[str] = (*_SetupOperator.template_fields, "writes_to", "prove_prefix")

    def __init__(
        self,
        *,
        bucket_name: str,
        work_seconds: float = 0.0,
        writes_to: Sequence[Any] = (),
        prove: bool = False,
        prove_prefix: str | None = None,
        prove_seconds: float = 60.0,
        fail_on_error: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(bucket_name=bucket_name, **kwargs)
        self.work_seconds = work_seconds
        self.writes_to = writes_to
        self.prove = prove
        self.prove_prefix = prove_prefix
        self.prove_seconds = prove_seconds
        self.fail_on_error = fail_on_error

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002 - Airflow passes it
        """Look, report, and fail where that is asked for."""
        from airflow_s3events.notification_setup.check import Inspection, check

        inspection = Inspection(
            bucket=self.bucket_name,
            bucket_owner=self.bucket_owner,
            wanted=self._wanted() if self.notification_id else None,
            work_seconds=self.work_seconds,
            writes_to=tuple(str(getattr(one, "uri", one)) for one in self.writes_to),
            prove=self.prove,
            prove_prefix=self.prove_prefix,
            prove_seconds=self.prove_seconds,
        )
        report = check(self._hooks(), inspection)
        self._show(str(report).splitlines())
        if report.errors and self.fail_on_error:
            raise ConfigurationError("\n".join(map(str, report.errors)))
        return report.serialize()


class S3RemoveNotificationOperator(_SetupOperator):
    """Takes a bucket notification away, with the statements, targets and subscriptions made for it.

    What another rule of the bucket still needs stays, and so do archives, topics and statements in KMS keys.
    A second run finds nothing to do.

    Returns (XCom): as ``S3ConfigureNotificationOperator``.

    What it needs of AWS: ``s3events iam --for remove``.

    Args:
        bucket_name: Bare name of the bucket. Templated.
        notification_id: ``Id`` of the rule. Templated.
        destinations: As they were configured; nothing of a destination that is not named is touched.
        event_bridge_switch: Turn the bucket's EventBridge switch off too. Other rules of the account may need
            it, so it stays unless this is True.
        delete_queues: Delete the queues and their dead letter queues too; refused when one is not empty, when
            its policy lets in anybody else, or when another queue has the same dead letter queue.
        dry_run, settle_seconds: As for ``S3ConfigureNotificationOperator``.
        bucket_owner, aws_conn_id, region_name, verify, botocore_config: As for the other operators.
    """

    def __init__(
        self,
        *,
        bucket_name: str,
        notification_id: str,
        event_bridge_switch: bool = False,
        delete_queues: bool = False,
        dry_run: bool = False,
        settle_seconds: float = _SETTLE_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(bucket_name=bucket_name, notification_id=notification_id, **kwargs)
        self.event_bridge_switch = event_bridge_switch
        self.delete_queues = delete_queues
        self.is_dry_run = dry_run
        self.settle_seconds = settle_seconds

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow passes it
        """Plan, then do; see the class."""
        from airflow_s3events.notification_setup.remove import Unwanted, plan_removal, remove

        unwanted = Unwanted.of(
            bucket=self.bucket_name,
            notification_id=self.notification_id or "",
            destinations=self.destinations,
            bucket_owner=self.bucket_owner,
            event_bridge_switch=self.event_bridge_switch,
            delete_queues=self.delete_queues,
        )
        hooks = self._hooks()
        found = plan_removal(hooks, unwanted)
        if self.is_dry_run or not found.lines:
            self._show(found.lines)
            return self._done(found.lines, found.before, found.after, is_dry_run=self.is_dry_run)
        brought = remove(hooks, found, settle_seconds=self.settle_seconds, tell=self.log.info)
        return self._done(found.lines, brought.before, brought.after, is_dry_run=False)
