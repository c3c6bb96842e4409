"""The table of all commands, each imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple


class Command(NamedTuple):
    """Where in this package a command lives, and its line in the list of all."""

    place: str
    help: str

    def load(self) -> Any:
        """Import its module, which has ``add_parser(subparsers)`` and ``run(args) -> exit status``."""
        return import_module(f"airflow_s3events.{self.place}")


#: Every command by its name.
COMMANDS = {
    "alarms": Command("commands.alarms", "CloudWatch alarms and a dashboard for queues, as a template"),
    "check": Command("commands.check", "what is wrong on the way from a bucket to its queue"),
    "completion": Command("commands.completion", "a script that completes commands in bash or zsh"),
    "dead-letters": Command(
        "commands.dead_letters", "look at dead letters, send them back, park or purge them"
    ),
    "decode": Command("commands.decode", "the body of a message in, one JSON object event a line out"),
    "demo": Command("demo.command", "objects in, DAG runs out, on a whole Airflow of its own"),
    "explain": Command("commands.explain", "why an object did, or did not, start a run"),
    "iam": Command("commands.iam", "the least that a role needs, as a policy to paste"),
    "mwaa-bundle": Command("mwaa.command", "a folder with all that an Amazon MWAA environment needs"),
    "reconcile": Command("commands.reconcile", "compare a bucket with the ledger, and start what is missing"),
    "schema": Command("commands.schema", "the JSON Schema of the event in a run's conf"),
    "status": Command("commands.status", "is a queue read, what is late, what failed, and what to do"),
    "tail": Command("commands.tail", "the last events and their runs, or what waits in a queue"),
}
