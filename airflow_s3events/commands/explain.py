"""``s3events explain s3://bucket/key``: why an object did, or did not, start a run. Nothing is changed."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING, Any

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.looks import Location
from airflow_s3events.terminal import logs_aside, note

if TYPE_CHECKING:
    from airflow_s3events.explanations import Explanation

OK = 0
#: A setting is wrong, or AWS or Airflow refuses it.
REFUSED = 2
#: No event of the object was seen.
NOT_SEEN = 3
#: AWS, Airflow or the ledger is away.
AWAY = 5


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
        location = Location.parse(args.location)
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


async def _explain(args: argparse.Namespace, location: Location) -> Explanation:
    from airflow_s3events.hooks.api_runs import command_runs
    from airflow_s3events.hooks.explanation import explain_object
    from airflow_s3events.hooks.ledger import open_ledger
    from airflow_s3events.ledger import LedgerSettings

    aws = _aws(args)
    settings = LedgerSettings(tolerance_seconds=args.tolerance_seconds)
    names = ("airflow_conn_id", "mwaa_environment", "aws_conn_id", "region_name")
    runs, api = command_runs(**{name: getattr(args, name) for name in names})
    async with open_ledger(args.ledger, settings, aws=aws, allow_url=True) as ledger:
        return await explain_object(
            location, ledger, aws=aws, runs=runs, api=api, bucket_owner=args.bucket_owner
        )


def _aws(args: argparse.Namespace) -> dict[str, Any]:
    names = ("aws_conn_id", "region_name")
    return {name: getattr(args, name) for name in names} | {"verify": None, "botocore_config": None}
