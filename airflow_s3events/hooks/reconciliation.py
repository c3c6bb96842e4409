"""``Reconciliation``: one bucket, its ledger and its connections, for the operator and the command."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_s3events.comparison import Report
from airflow_s3events.dispatch.gates import Closed, gates_of
from airflow_s3events.hooks.ledger import open_ledger
from airflow_s3events.hooks.s3_events import bucket_hook
from airflow_s3events.ledger import LedgerSettings
from airflow_s3events.listings import BucketListing, InventoryListing, Listing
from airflow_s3events.reconcile import NewRuns, Reconciler, ReconcileSettings
from airflow_s3events.routing import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What is compared with what.

    Attributes:
        bucket, prefix, inventory: As for ``S3ReconcileOperator``.
        routes: Which DAG gets which event.
        ledger: Its address.
        allow_url: The address may be a database's URL.
        ledger_settings: As the dispatcher's.
        settings: Which objects, and what is done.
        takes_turns: As a dispatcher with ``ordering="per_key"``.
        name: By which the ledger keeps how far it has come.
        aws: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
    """

    bucket: str
    prefix: str = ""
    inventory: str | None = None
    routes: Routes
    ledger: str
    allow_url: bool = False
    ledger_settings: LedgerSettings
    settings: ReconcileSettings
    takes_turns: bool = False
    name: str
    aws: Mapping[str, Any]

    async def attempt(
        self, runs: NewRuns, on_page: Callable[[Report], None] = lambda _: None
    ) -> tuple[Closed | None, Report]:
        """Go on to the end, or to a DAG that takes no more runs now: return why, and the report so far.

        Raises:
            ConfigurationError: A setting is wrong; names it.
            OutageError: S3, the ledger or Airflow is away: try again, it goes on where it was.
        """
        opened = open_ledger(self.ledger, self.ledger_settings, aws=self.aws, allow_url=self.allow_url)
        async with opened as ledger, bucket_hook(**self.aws).open_client() as client:
            reconciler = Reconciler(
                self._listing(client),
                ledger,
                routes=self.routes,
                runs=runs,
                gates=gates_of(self.routes, runs, time.monotonic),
                settings=self.settings,
                now=time.time,
                name=self.name,
                takes_turns=self.takes_turns,
                on_page=on_page,
            )
            closed = await reconciler.run()
            return closed, reconciler.report

    def _listing(self, client: Any) -> Listing:
        if self.inventory is not None:
            return InventoryListing(client, self.inventory, self.bucket, self.prefix)
        return BucketListing(client, self.bucket, self.prefix)
