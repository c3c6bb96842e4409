"""What happened to each object event, for longer than Airflow keeps its runs."""

from __future__ import annotations

from airflow_s3events.ledger.entries import Decision, Entry, Naming, Write
from airflow_s3events.ledger.ledger import Ledger, LedgerSettings
from airflow_s3events.ledger.memory import MemoryStore
from airflow_s3events.ledger.store import Counted, Document, IntervalCount, Store, TimedStore

__all__ = [
    "Counted",
    "Decision",
    "Document",
    "Entry",
    "IntervalCount",
    "Ledger",
    "LedgerSettings",
    "MemoryStore",
    "Naming",
    "Store",
    "TimedStore",
    "Write",
]
