"""``S3ReconcileOperator``: starts the runs of objects whose notification never came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import (
    BaseOperator,
    Context,
    TimeDeltaTrigger,
    airflow_runs,
    default_deferrable,
    earliest_resume_seconds,
)
from airflow_s3events.exceptions import OutageError
from airflow_s3events.outages import through_outages

if TYPE_CHECKING:
    from airflow_s3events.dispatch.gates import Closed
    from airflow_s3events.dispatch.journal import Ordering
    from airflow_s3events.filters import EventFilter
    from airflow_s3events.ledger import LedgerSettings
    from airflow_s3events.reconcile import ReconcileSettings
    from airflow_s3events.routing import Route, Routes

#: How long an outage of AWS or of the ledger is waited out before the task fails, and is retried.
_OUTAGE_SECONDS = 600.0


class S3ReconcileOperator(BaseOperator):
    """Compares a bucket with the ledger and starts one DAG run for each object that is missing in it.

    The bucket is the truth: notifications can be lost before they reach the queue, and those from before it
    was set up never were. What it starts goes through the same routes and gates as what a dispatcher starts.
    Its event says so: ``event.extra["origin"] == "reconcile"``; its type is ``ObjectCreated:*``, since a
    listing does not tell how an object came, so a route's filter must not ask for ``ObjectCreated:Put``
    alone. A notification that comes after all finds the run, for the ledger knows both by one name.

    Of a bucket with versions, the current version of each key counts. Deletes cannot be listed.

    What it needs of AWS: ``s3:ListBucket``, ``s3:ListBucketVersions`` and ``s3:GetBucketVersioning`` on the
    bucket; with ``inventory``, ``s3:GetObject`` on the report.

    Args:
        bucket_name: The bucket. Templated.
        routes: Which DAG gets which event: the same as the dispatcher's.
        ledger: The dispatcher's ledger: ``sql:<Airflow connection>`` or ``dynamodb:<table>``. Templated.
        prefix: Only keys that begin with it. Templated.
        inventory: ``s3://`` URL of the ``manifest.json`` of an S3 Inventory report in CSV, to read instead of
            listing the bucket. Templated.
        when: Only objects that this filter matches.
        modified_after: Only objects written after that moment: a datetime, or ISO-8601 text. Templated.
        min_age_seconds: Only objects written so long ago: a younger one's notification may still come.
            Default 900.
        limit: Start no more runs than so many.
        dry_run: Only compare.
        ordering: ``"per_key"`` where the dispatcher has it: while a run of the same key works, or an event of
            it waits, that is waited for. Default ``"none"``.
        ledger_settings: As the dispatcher's.
        deferrable: While a DAG is paused or full, wait in the triggerer; ``[operators] default_deferrable``
            when None.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.

    Returns:
        The report, as plain data: ``listed``, ``skipped``, ``unmatched``, ``matched``, ``late``, ``missing``,
        ``started``, ``found``, ``refused``, and ``examples``, the URLs of the first that were not matched. A
        retry goes on where the task was killed.
    """

    template_fields: Sequence[str] = (
        "bucket_name",
        "prefix",
        "inventory",
        "ledger",
        "modified_after",
        "aws_conn_id",
        "region_name",
    )
    ui_color = "#f0a848"

    def __init__(
        self,
        *,
        bucket_name: str,
        routes: Routes | Route | str | Mapping[str, Any] | Sequence[Any],
        ledger: str,
        prefix: str = "",
        inventory: str | None = None,
        when: EventFilter | Mapping[str, Any] | None = None,
        modified_after: datetime | str | None = None,
        min_age_seconds: float = 900.0,
        limit: int | None = None,
        dry_run: bool = False,
        ordering: Ordering = "none",
        ledger_settings: LedgerSettings | None = None,
        deferrable: bool | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_name = bucket_name
        self.routes = routes
        self.ledger = ledger
        self.prefix = prefix
        self.inventory = inventory
        self.when = when
        self.modified_after = modified_after
        self.min_age_seconds = min_age_seconds
        self.limit = limit
        self.is_dry = dry_run
        self.ordering = ordering
        self.ledger_settings = ledger_settings
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare, start what is missing, and return the report."""
        settings = self._settings()
        name = _name(context)
        while True:
            closed, report = self._attempt(settings, name)
            if closed is None:
                self.log.info("Reconciled s3://%s/%s: %s", self.bucket_name, self.prefix, report)
                return report
            self.log.info("No run can be started now: %s", closed.reason)
            seconds = max(closed.retry_seconds, earliest_resume_seconds())
            if self.deferrable:
                self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=seconds)), method_name="resume")
            time.sleep(seconds)

    def resume(self, context: Context, event: Any) -> dict[str, Any]:  # noqa: ARG002 - says when, no more
        """Go on after a wait."""
        return self.execute(context)

    def _settings(self) -> ReconcileSettings:
        from airflow_s3events.dispatch.journal import Order
        from airflow_s3events.filters import EventFilter, everything
        from airflow_s3events.ledger_address import LedgerAddress
        from airflow_s3events.reconcile import ReconcileSettings, moment_of, unasking
        from airflow_s3events.routing import Routes

        LedgerAddress.of(self.ledger)
        Order.of(self.ordering, ledger=self.ledger)
        unasking(Routes.of(self.routes))
        when = everything if self.when is None else EventFilter.deserialize(self.when)
        return ReconcileSettings(
            when=when.without_asking("a reconciliation"),
            modified_after=moment_of(self.modified_after),
            min_age_seconds=self.min_age_seconds,
            limit=self.limit,
            dry_run=self.is_dry,
        )

    def _attempt(self, settings: ReconcileSettings, name: str) -> tuple[Closed | None, dict[str, Any]]:
        attempt = through_outages(
            lambda: self._reconcile(settings, name), until=time.time() + _OUTAGE_SECONDS
        )
        answer = asyncio.run(attempt)
        if answer is None:
            raise OutageError(f"AWS, Airflow or the ledger has been away for {_OUTAGE_SECONDS:.0f} s")
        return answer

    async def _reconcile(
        self, settings: ReconcileSettings, name: str
    ) -> tuple[Closed | None, dict[str, Any]]:
        from airflow_s3events.hooks.reconciliation import Reconciliation
        from airflow_s3events.ledger import LedgerSettings
        from airflow_s3events.routing import Routes

        names = ("aws_conn_id", "region_name", "verify", "botocore_config")
        work = Reconciliation(
            bucket=self.bucket_name,
            prefix=self.prefix,
            inventory=self.inventory,
            routes=Routes.of(self.routes),
            ledger=self.ledger,
            ledger_settings=self.ledger_settings or LedgerSettings(),
            settings=settings,
            takes_turns=self.ordering == "per_key",
            name=name,
            aws={name: getattr(self, name) for name in names},
        )
        closed, report = await work.attempt(airflow_runs())
        return closed, report.serialize()


def _name(context: Context) -> str:
    """Return what this task instance, in this run, calls its progress: the same in each of its tries."""
    ti = context["ti"]
    parts = "\n".join((ti.dag_id, ti.task_id, ti.run_id or "", str(ti.map_index)))
    return sha256(parts.encode()).hexdigest()[:40]
