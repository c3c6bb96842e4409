"""``s3events explain s3://bucket/key``: why an object did, or did not, start a run. Nothing is changed."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.looks import SCHEME, Location
from airflow_s3events.terminal import logs_aside, note

if TYPE_CHECKING:
    from airflow_s3events.explanations import Explanation, RunNow, StoredNow
    from airflow_s3events.ledger import Entry, Ledger

OK = 0
#: A setting is wrong, or AWS or Airflow refuses it.
REFUSED = 2
#: No event of the object was seen.
NOT_SEEN = 3
#: AWS, Airflow or the ledger is away.
AWAY = 5

#: Versions that are looked at.
_MOST_VERSIONS = 20


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "explain",
        help="why an object did, or did not, start a run",
        description="Print what S3 has now, each event of the key that the ledger knows, what was decided"
        " about it and why, and its runs; where nothing was seen, what is wrong with the set-up. Nothing is"
        " changed. Exit status: 0 an event of what is there was seen; 2 a setting is wrong, or AWS or Airflow"
        " refuses it; 3 none was seen; 5 AWS, Airflow or the ledger is away.",
    )
    add = parser.add_argument
    add("location", metavar="S3URI", help="s3://bucket/key")
    add(
        "--ledger",
        required=True,
        metavar="ADDRESS",
        help="sql:<Airflow connection>, dynamodb:<table> or a URL",
    )
    add("--tolerance-seconds", type=float, default=300.0, help="as the ledger's settings; default 300")
    add(
        "--airflow-conn-id", metavar="ID", help="HTTP connection to Airflow 3's REST API, to ask for the runs"
    )
    add("--mwaa-environment", metavar="NAME", help="ask for the runs by MWAA's own InvokeRestApi")
    add("--bucket-owner", metavar="ACCOUNT", help="account that owns the bucket, where it is not yours")
    add("--aws-conn-id", metavar="ID", help="Airflow connection; without one boto3's own chain")
    add("--region", dest="region_name", help="AWS region")
    add("--json", action="store_true", help="as one JSON object")
    return parser


def run(args: argparse.Namespace) -> int:
    """Look, print, and return the exit status."""
    try:
        location = _location(args.location)
        with logs_aside():
            explanation = asyncio.run(_explain(args, location))
    except ConfigurationError as error:
        return note("explain", str(error), REFUSED)
    except OutageError as error:
        return note("explain", str(error), AWAY)
    if args.json:
        print(json.dumps(explanation.serialize()))
    else:
        for line in explanation.lines():
            print(line)
    return OK if explanation.is_seen else NOT_SEEN


def _location(text: str) -> Location:
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not text.startswith(SCHEME) or not bucket or not key:
        raise ConfigurationError(f"{text!r}: give s3://bucket/key")
    return Location(bucket, key)


async def _explain(args: argparse.Namespace, location: Location) -> Explanation:
    from airflow_s3events.explanations import Explanation
    from airflow_s3events.hooks.ledger import open_ledger
    from airflow_s3events.hooks.s3_events import bucket_hook
    from airflow_s3events.ledger import LedgerSettings

    aws = _aws(args)
    settings = LedgerSettings(tolerance_seconds=args.tolerance_seconds)
    opened = open_ledger(args.ledger, settings, aws=aws, allow_url=True)
    async with opened as ledger, bucket_hook(**aws).open_client() as client:
        stored = await _stored(client, ledger, location)
        entries = await ledger.history(location.bucket, location.key)
    runs = await _runs(args, entries)
    found = Explanation(uri=location.uri, stored=stored, entries=entries, runs=runs)
    if found.is_seen:
        return found
    return replace(found, findings=await asyncio.to_thread(_findings, args, location))


def _aws(args: argparse.Namespace) -> dict[str, Any]:
    names = ("aws_conn_id", "region_name")
    return {name: getattr(args, name) for name in names} | {"verify": None, "botocore_config": None}


async def _stored(client: Any, ledger: Ledger, location: Location) -> list[StoredNow]:
    from airflow_s3events.explanations import StoredNow
    from airflow_s3events.listings import versions_of

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


async def _runs(args: argparse.Namespace, entries: Sequence[Entry]) -> dict[tuple[str, str], RunNow]:
    from airflow_s3events.explanations import RunNow
    from airflow_s3events.hooks.api_runs import command_runs

    names = ("airflow_conn_id", "mwaa_environment", "aws_conn_id", "region_name")
    runs, api = command_runs(**{name: getattr(args, name) for name in names})
    found: dict[tuple[str, str], RunNow] = {}
    if runs is None:
        return found
    for entry in entries:
        if entry.run_id is not None:
            state = await runs.state(entry.dag_id, entry.run_id)
            url = None if api is None else await asyncio.to_thread(api.run_url, entry.dag_id, entry.run_id)
            found[entry.dag_id, entry.run_id] = RunNow(state=state.value, url=url)
    return found


def _findings(args: argparse.Namespace, location: Location) -> list[Mapping[str, Any]]:
    from airflow_s3events.hooks.notification_setup import SetupHooks
    from airflow_s3events.notification_setup.check import Inspection, check

    inspection = Inspection(bucket=location.bucket, key=location.key, bucket_owner=args.bucket_owner)
    return [*check(SetupHooks(**_aws(args)), inspection).serialize()]
