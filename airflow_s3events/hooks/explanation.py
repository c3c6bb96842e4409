"""``explain_object``: asks S3, the ledger, Airflow and, where nothing came, the set-up about one object."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_s3events.explanations import Explanation, RunNow, StoredNow
from airflow_s3events.hooks.airflow_rest import Api
from airflow_s3events.hooks.notification_setup import SetupHooks
from airflow_s3events.hooks.s3_events import bucket_hook
from airflow_s3events.ledger import Entry, Ledger
from airflow_s3events.listings import versions_of
from airflow_s3events.looks import Location
from airflow_s3events.notification_setup.check import Inspection, check
from airflow_s3events.reconcile import NewRuns

#: Versions that are looked at.
_MOST_VERSIONS = 20
#: Runs that are asked for at the same time.
_CALLS = 8


async def explain_object(
    location: Location,
    ledger: Ledger,
    *,
    aws: dict[str, Any],
    runs: NewRuns | None,
    api: Api | None,
    bucket_owner: str | None = None,
    asks_s3: bool = True,
) -> Explanation:
    """Return everything that is known of one object. Nothing is changed.

    Args:
        location: The object.
        ledger: What a dispatcher noted.
        aws: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
        runs: Airflow's runs; None where it cannot be asked.
        api: Where the page of a run is; None where that cannot be told.
        bucket_owner: Account that owns the bucket, where it is another.
        asks_s3: Ask S3 what is there, and where nothing came, look through the set-up.

    Raises:
        ConfigurationError: AWS or Airflow refuses it.
        OutageError: AWS, Airflow or the ledger is away.
    """
    stored = await _stored(ledger, location, aws) if asks_s3 else []
    entries = await ledger.history(location.bucket, location.key)
    states = await runs_now(entries, runs, api)
    found = Explanation(uri=location.uri, stored=stored, entries=entries, runs=states)
    if found.is_seen or not asks_s3:
        return found
    return replace(found, findings=await asyncio.to_thread(_findings, aws, location, bucket_owner))


async def runs_now(
    entries: Sequence[Entry], runs: NewRuns | None, api: Api | None
) -> dict[tuple[str, str], RunNow]:
    """Return the runs that entries speak of, as Airflow has them now, by DAG id and run id."""
    if runs is None:
        return {}
    limit = asyncio.Semaphore(_CALLS)

    async def ask(dag_id: str, run_id: str) -> RunNow:
        async with limit:
            state = await runs.state(dag_id, run_id)
            url = None if api is None else await asyncio.to_thread(api.run_url, dag_id, run_id)
        return RunNow(state=state.value, url=url)

    names = list({(entry.dag_id, entry.run_id): None for entry in entries if entry.run_id is not None})
    answers = await asyncio.gather(*(ask(dag_id, str(run_id)) for dag_id, run_id in names))
    return {(dag_id, str(run_id)): answer for (dag_id, run_id), answer in zip(names, answers, strict=True)}


async def _stored(ledger: Ledger, location: Location, aws: dict[str, Any]) -> list[StoredNow]:
    async with bucket_hook(**aws).open_client() as client:
        versions = await versions_of(client, location, most=_MOST_VERSIONS)
    writes = await ledger.writes([version.event for version in versions])
    return [
        StoredNow(
            event=version.event,
            is_latest=version.is_latest,
            is_delete_marker=version.is_delete_marker,
            write=write,
        )
        for version, write in zip(versions, writes, strict=True)
    ]


def _findings(aws: dict[str, Any], location: Location, bucket_owner: str | None) -> list[Mapping[str, Any]]:
    inspection = Inspection(bucket=location.bucket, key=location.key, bucket_owner=bucket_owner)
    return [*check(SetupHooks(**aws), inspection).serialize()]
