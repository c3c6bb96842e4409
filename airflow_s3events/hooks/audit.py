"""``open_audit``: an Airflow connection to where audit records go, and nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from airflow_s3events.audit import AuditStore, AuditTrail, LogsAuditStore, S3AuditStore
from airflow_s3events.audit_address import AuditAddress
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.hooks.s3_events import S3EventsHook
from airflow_s3events.metrics import Meter
from airflow_s3events.sqs import region_of


@asynccontextmanager
async def open_audit(
    audit: str | None,
    *,
    sqs_queue: str,
    dispatcher: str,
    aws: Mapping[str, Any],
    meter: Meter,
    lines: DecisionLog,
) -> AsyncIterator[AuditTrail]:
    """Open a trail, and write what is left of it in the end; without an address, one that goes nowhere.

    Args:
        audit: As the operator's setting.
        sqs_queue: The dispatcher's queue: its region is that of a log group where ``aws`` names none.
        dispatcher: ``dag_id/task_id``; also the log stream.
        aws: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
        meter: As for ``AuditTrail``.
        lines: The same.

    Raises:
        ConfigurationError: The address is none.
    """

    def make(store: AuditStore | None) -> AuditTrail:
        return AuditTrail(store, meter, lines, queue=sqs_queue, dispatcher=dispatcher, now=time.time)

    if audit is None:
        yield make(None)
        return
    address = AuditAddress.of(audit)
    hook = S3EventsHook(
        client_type=address.kind,
        aws_conn_id=aws["aws_conn_id"],
        region_name=aws["region_name"] or region_of(sqs_queue),
        verify=aws["verify"],
        config=aws["botocore_config"],
    )
    async with hook.open_client() as client, make(_store(client, address, dispatcher)) as trail:
        yield trail


def _store(client: Any, address: AuditAddress, stream: str) -> AuditStore:
    if address.kind == "s3":
        return S3AuditStore(client, address.name, address.prefix)
    return LogsAuditStore(client, address.name, stream)
