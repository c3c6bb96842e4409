"""``s3events check``: what is wrong on the way from a bucket to its queue, on stdout, and nothing changed."""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.terminal import Progress, logs_aside, note, printable

OK = 0
#: Something asked for cannot be meant, or AWS refuses to say.
REFUSED = 2
#: Events are lost, or never arrive.
ERRORS_FOUND = 3
#: AWS is away.
AWAY = 5


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "check",
        help="what is wrong on the way from a bucket to its queue",
        description="Look at a bucket's notifications and their destinations, and print what is wrong, the"
        " worst first. Nothing is changed; --prove writes one object and deletes it. Exit status: 0 when no"
        " event is lost; 2 when it may not be looked at; 3 when there is an error; 5 when AWS is away.",
    )
    add = parser.add_argument
    add("--bucket", required=True, metavar="NAME", help="bare, without s3://")
    add("--bucket-owner", metavar="ACCOUNT", help="account that owns the bucket, where it is not yours")
    add("--key", metavar="KEY", help="an object: whether any rule takes it")
    add("--id", metavar="ID", dest="notification_id", help="the notification that should be there, by its id")
    add("--queue", metavar="QUEUE", help="where it should lead: name, ARN or URL")
    add("--event", action="append", dest="events", metavar="TYPE", help="of it; may be given several times")
    add("--prefix", default="", help="of it")
    add("--suffix", default="", help="of it")
    add("--work-seconds", type=float, default=0.0, help="time for one message, where nobody extends it")
    add("--writes-to", action="append", default=[], metavar="S3URI", help="where the DAGs behind it write")
    add("--prove", action="store_true", help="write a probe object and wait for its event")
    add("--prove-prefix", metavar="PREFIX", help="where the probe may be written")
    add("--prove-seconds", type=float, default=60.0, help="how long to wait for it")
    add("--data-events", action="store_true", help="does CloudTrail log who writes and deletes objects")
    add("--aws-conn-id", metavar="ID", help="Airflow connection; without one boto3's own chain")
    add("--region", dest="region_name", help="AWS region")
    add("--json", action="store_true", help="as one JSON object")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print what is wrong; return the exit status."""
    # Here, so that the other commands start without Airflow.
    from airflow_s3events.hooks.notification_setup import SetupHooks
    from airflow_s3events.notification_setup.check import check

    hooks = SetupHooks(
        aws_conn_id=args.aws_conn_id, region_name=args.region_name, verify=None, botocore_config=None
    )
    try:
        with logs_aside(), Progress("check") as progress:
            report = check(hooks, _inspection(args), tell=partial(_tell, progress, args.prove_seconds))
    except ConfigurationError as error:
        return note("check", str(error), REFUSED)
    except OutageError as error:
        return note("check", str(error), AWAY)
    if args.json:
        print(json.dumps({"findings": report.serialize()}))
    else:
        for line in str(report).splitlines():
            print(printable(line))
    return ERRORS_FOUND if report.errors else OK


def _tell(progress: Progress, most: float, waited: float) -> None:
    progress.at(int(waited), f"the probe's event is awaited, {waited:.0f} of {most:g} s", int(most))


def _inspection(args: argparse.Namespace) -> Any:
    from airflow_s3events.notification_setup.check import Inspection

    return Inspection(
        bucket=args.bucket,
        bucket_owner=args.bucket_owner,
        key=args.key,
        wanted=_wanted(args),
        work_seconds=args.work_seconds,
        writes_to=tuple(args.writes_to),
        prove=args.prove,
        prove_prefix=args.prove_prefix,
        prove_seconds=args.prove_seconds,
        data_events=args.data_events,
    )


def _wanted(args: argparse.Namespace) -> Any:
    from airflow_s3events.notification_setup.configure import Wanted

    if args.notification_id is None and args.queue is None:
        return None
    if args.notification_id is None or args.queue is None:
        raise ConfigurationError("--id and --queue: give both, or neither to look at what is there")
    return Wanted.of(
        bucket=args.bucket,
        notification_id=args.notification_id,
        events=args.events or ["s3:ObjectCreated:*"],
        destinations=args.queue,
        prefix=args.prefix,
        suffix=args.suffix,
        bucket_owner=args.bucket_owner,
        mode="merge",
    )
