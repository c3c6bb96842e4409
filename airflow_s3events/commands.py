"""The table of all commands, each imported only when it is asked for."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """Where a command lives: a module with ``add_parser(subparsers)`` and ``run(args) -> exit status``."""

    module: str
    help: str


#: Every command by its name.
COMMANDS = {
    "alarms": Command(
        "airflow_s3events.alarming", "CloudWatch alarms and a dashboard for queues, as a template"
    ),
    "check": Command("airflow_s3events.check", "what is wrong on the way from a bucket to its queue"),
    "completion": Command("airflow_s3events.completing", "a script that completes commands in bash or zsh"),
    "dead-letters": Command(
        "airflow_s3events.redriving", "look at dead letters, send them back, park or purge them"
    ),
    "decode": Command(
        "airflow_s3events.decoding", "the body of a message in, one JSON object event a line out"
    ),
    "demo": Command(
        "airflow_s3events.demo.command", "objects in, DAG runs out, on a whole Airflow of its own"
    ),
    "explain": Command("airflow_s3events.explaining", "why an object did, or did not, start a run"),
    "iam": Command("airflow_s3events.iam", "the least that a role needs, as a policy to paste"),
    "mwaa-bundle": Command(
        "airflow_s3events.mwaa.command", "a folder with all that an Amazon MWAA environment needs"
    ),
    "reconcile": Command(
        "airflow_s3events.reconciling", "compare a bucket with the ledger, and start what is missing"
    ),
    "schema": Command("airflow_s3events.event_schema", "the JSON Schema of the event in a run's conf"),
    "status": Command(
        "airflow_s3events.status", "is a queue read, what is late, what failed, and what to do"
    ),
    "tail": Command("airflow_s3events.tailing", "the last events and their runs, or what waits in a queue"),
}
