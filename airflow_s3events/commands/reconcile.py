"""``s3events reconcile``: what ``S3ReconcileOperator`` does, from a shell."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.looks import SCHEME
from airflow_s3events.terminal import Progress, logs_aside, note

if TYPE_CHECKING:
    from airflow_s3events.comparison import Report
    from airflow_s3events.dispatch.gates import Closed
    from airflow_s3events.hooks.reconciliation import Reconciliation
    from airflow_s3events.reconcile import NewRuns, ReconcileSettings
    from airflow_s3events.routing import Routes

OK = 0
#: A setting is wrong, or AWS or Airflow refuses it.
REFUSED = 2
#: Objects are missing, and not all of them have been started.
LEFT = 3
#: A DAG takes no more runs now.
CLOSED = 4
#: AWS, Airflow or the ledger is away.
AWAY = 5

_LEDGER_SETTINGS = ("retention_days", "write_retention_days", "tolerance_seconds")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "reconcile",
        help="compare a bucket with the ledger, and start what is missing",
        description="Exit status: 0 nothing is missing any more; 2 a setting is wrong, or AWS or Airflow"
        " refuses it; 3 objects are missing that were not started (a dry run, a limit, a refusal); 4 a DAG"
        " takes no more runs now; 5 AWS, Airflow or the ledger is away. After 4, 5 and a kill the"
        " same command goes on where it was.",
    )
    add = parser.add_argument
    add("location", metavar="S3URI", help="s3://bucket, or s3://bucket/prefix")
    add("--dag", action="append", default=[], metavar="ID", help="the DAG that gets every object")
    add("--routes", metavar="FILE", help="JSON of the dispatcher's routes: Routes.of(...).serialize()")
    add("--inventory", metavar="S3URI", help="manifest.json of an S3 Inventory report, instead of listing")
    add("--when", metavar="JSON", help="only objects that this filter matches, as serialize() gives it")
    add("--modified-after", metavar="TIME", help="only objects written after that moment, ISO-8601")
    add("--min-age-seconds", type=float, default=900.0, help="only objects written so long ago; default 900")
    add("--ordering", choices=("none", "newest", "per_key"), default="none", help="as the dispatcher's")
    add("--limit", type=int, help="start no more runs than so many")
    add("--dry-run", action="store_true", help="only compare")
    add("--no-wait", action="store_true", help="while a DAG is paused or full, end with status 4")
    add("--outage-seconds", type=float, default=60.0, help="wait so long for what is away; default 60")
    add("--json", action="store_true", help="the report as JSON")
    _add_connections(parser)
    return parser


def _add_connections(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--ledger",
        required=True,
        metavar="ADDRESS",
        help="sql:<Airflow connection>, dynamodb:<table> or a URL",
    )
    for name, text in (
        ("retention-days", "as the dispatcher's ledger_settings"),
        ("write-retention-days", "the same"),
        ("tolerance-seconds", "the same"),
    ):
        add(f"--{name}", type=float, help=text)
    add("--airflow-conn-id", metavar="ID", help="HTTP connection to Airflow 3's REST API, to start runs by")
    add("--mwaa-environment", metavar="NAME", help="start runs by MWAA's own InvokeRestApi")
    add("--aws-conn-id", metavar="ID", help="Airflow connection; without one boto3's own chain")
    add("--region", dest="region_name", help="AWS region")


def run(args: argparse.Namespace) -> int:
    """Compare, start, report; return the exit status."""
    try:
        with logs_aside():
            report, closed = _reconcile(args)
    except ConfigurationError as error:
        return note("reconcile", str(error), REFUSED)
    except OutageError as error:
        return note("reconcile", str(error), AWAY)
    return _tell(args, report, closed)


def _reconcile(args: argparse.Namespace) -> tuple[Mapping[str, Any], Closed | None]:
    from airflow_s3events.hooks.airflow_rest import AirflowRestHook
    from airflow_s3events.hooks.api_runs import ApiRuns, command_runs

    names = ("airflow_conn_id", "mwaa_environment", "aws_conn_id", "region_name")
    runs, _ = command_runs(**{name: getattr(args, name) for name in names})
    work = _work(args)
    if runs is None and not args.dry_run:
        raise ConfigurationError(
            "--airflow-conn-id or --mwaa-environment: give one, since runs are started by Airflow 3's REST"
            " API; or --dry-run"
        )
    # A dry run asks nothing of Airflow.
    with Progress("reconcile") as progress:
        round_ = _Round(work, runs or ApiRuns(AirflowRestHook()), args.outage_seconds, progress)
        while (closed := round_.go_on()) is not None:
            note("reconcile", f"no run can be started now: {closed.reason}", CLOSED)
            if args.no_wait:
                break
            time.sleep(closed.retry_seconds)
    return round_.report, closed


def _work(args: argparse.Namespace) -> Reconciliation:
    from airflow_s3events.hooks.reconciliation import Reconciliation
    from airflow_s3events.ledger import LedgerSettings
    from airflow_s3events.ledger_address import LedgerAddress

    LedgerAddress.of(args.ledger, allow_url=True)
    bucket, _, prefix = args.location.removeprefix(SCHEME).partition("/")
    if not args.location.startswith(SCHEME) or not bucket:
        raise ConfigurationError(f"{args.location!r}: give s3://bucket, or s3://bucket/prefix")
    given = {name: getattr(args, name) for name in _LEDGER_SETTINGS}
    aws = {"aws_conn_id": args.aws_conn_id, "region_name": args.region_name}
    return Reconciliation(
        bucket=bucket,
        prefix=prefix,
        inventory=args.inventory,
        routes=_routes(args),
        ledger=args.ledger,
        allow_url=True,
        ledger_settings=LedgerSettings(**{name: value for name, value in given.items() if value is not None}),
        settings=_settings(args),
        takes_turns=args.ordering == "per_key",
        name=_name(args),
        aws={**aws, "verify": None, "botocore_config": None},
    )


def _settings(args: argparse.Namespace) -> ReconcileSettings:
    from airflow_s3events.filters import EventFilter, everything
    from airflow_s3events.reconcile import ReconcileSettings, moment_of

    when = everything if args.when is None else EventFilter.deserialize(_json("--when", args.when))
    return ReconcileSettings(
        when=when.without_asking("a reconciliation"),
        modified_after=moment_of(args.modified_after),
        min_age_seconds=args.min_age_seconds,
        limit=args.limit,
        dry_run=args.dry_run,
    )


def _routes(args: argparse.Namespace) -> Routes:
    from airflow_s3events.reconcile import unasking
    from airflow_s3events.routing import Routes

    if bool(args.dag) == bool(args.routes):
        raise ConfigurationError("--dag or --routes: give one of them")
    if args.dag:
        return Routes(args.dag, mode="all")
    try:
        with open(args.routes, encoding="utf-8") as opened:
            text = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--routes: {args.routes}: {error}") from error
    return unasking(Routes.of(_json("--routes", text)))


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{option}: not JSON: {error}") from error


def _name(args: argparse.Namespace) -> str:
    """The same for the same command, so that it finds how far it had come when it was killed."""
    names = ("location", "dag", "routes", "inventory", "when", "modified_after", "limit")
    parts = json.dumps([getattr(args, name) for name in names])
    return sha256(parts.encode()).hexdigest()[:40]


@dataclass(slots=True)
class _Round:
    """One reconciliation, which goes on after each wait."""

    work: Reconciliation
    runs: NewRuns
    outage_seconds: float
    progress: Progress
    report: Mapping[str, Any] = field(default_factory=dict)

    def go_on(self) -> Closed | None:
        """Return why no run can be started now; None at the end."""
        from airflow_s3events.outages import through_outages

        until = time.time() + self.outage_seconds
        answer = asyncio.run(through_outages(self._attempt, until=until))
        if answer is None:
            raise OutageError(f"AWS, Airflow or the ledger has been away for {self.outage_seconds:.0f} s")
        closed, report = answer
        self.report = report.serialize()
        return closed

    async def _attempt(self) -> tuple[Closed | None, Report]:
        return await self.work.attempt(self.runs, self._say)

    def _say(self, report: Report) -> None:
        counts = report.serialize()
        self.progress.at(int(counts["listed"]), _counts(counts))


def _counts(report: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in report.items() if name != "examples")


def _tell(args: argparse.Namespace, report: Mapping[str, Any], closed: Closed | None) -> int:
    if args.json:
        print(json.dumps(report))
    else:
        print(_counts(report))
        for uri in report["examples"]:
            print(ascii(uri)[1:-1])
    if closed is not None:
        return CLOSED
    is_at_limit = args.limit is not None and report["started"] >= args.limit
    is_left = args.dry_run and (report["missing"] or report["late"])
    return LEFT if is_left or is_at_limit or report["refused"] else OK
