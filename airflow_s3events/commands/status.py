"""``s3events status``: is it healthy, what is late, what failed, and what to do. Nothing is changed."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.terminal import logs_aside, note, print_table, printable

if TYPE_CHECKING:
    from airflow_s3events.watchdog import AirflowFacts, Alarm, QueueFacts

OK = 0
#: A setting is wrong, or Airflow refuses it.
REFUSED = 2
#: Something does not work.
ERRORS_FOUND = 3
#: AWS or Airflow is away.
AWAY = 5


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "status",
        help="is a queue read, what is late, what failed, and what to do",
        description="Print what SQS, CloudWatch and Airflow say of a queue, its dead letters and its"
        " dispatcher, and everything that is wrong with its reason and its remedy, the worst first. Nothing"
        " is changed; a look at the reasons of dead letters costs each one receive. Exit status: 0 nothing is"
        " wrong, or warnings alone; 2 a setting is wrong, or Airflow refuses it; 3 something does not work;"
        " 5 AWS or Airflow is away.",
    )
    add = parser.add_argument
    add("queue", metavar="QUEUE", help="URL, ARN or name of the queue")
    add("--dispatcher", metavar="DAG", help="the DAG that reads it")
    add("--target", metavar="DAG", action="append", default=[], help="a DAG it starts; may be repeated")
    add("--max-queued-runs", type=int, default=1_000, metavar="N", help="as in the routes; default 1000")
    add("--late-seconds", type=float, default=900.0, metavar="S", help="a message older is late; default 900")
    add("--no-reasons", action="store_true", help="do not look into the dead letters")
    add("--metrics", action="store_true", help="send each finding as a gauge through Airflow's stats, too")
    add("--airflow-conn-id", metavar="ID", help="HTTP connection to Airflow 3's REST API")
    add("--mwaa-environment", metavar="NAME", help="ask Airflow by MWAA's own InvokeRestApi")
    add("--aws-conn-id", metavar="ID", help="Airflow connection; without one boto3's own chain")
    add("--region", dest="region_name", help="AWS region, where QUEUE is a name")
    add("--json", action="store_true", help="as one JSON object")
    return parser


def run(args: argparse.Namespace) -> int:
    """Look, print, and return the exit status."""
    from airflow_s3events.watchdog import alarms

    try:
        with logs_aside():
            queue, airflow, last = _look(args)
            found = alarms(queue, airflow, time.time())
            if args.metrics:
                _send(args.queue, found)
    except ConfigurationError as error:
        return note("status", str(error), REFUSED)
    except OutageError as error:
        return note("status", str(error), AWAY)
    if args.json:
        print(json.dumps(_plain(queue, airflow, last, found)))
    else:
        _print(queue, airflow, last, found)
    if queue.is_away or (airflow is not None and airflow.is_away):
        return AWAY
    return ERRORS_FOUND if any(alarm.weight == "error" for alarm in found) else OK


def _look(args: argparse.Namespace) -> tuple[QueueFacts, AirflowFacts | None, dict[str, Any] | None]:
    from airflow_s3events.hooks.airflow_state import state_of_command
    from airflow_s3events.hooks.queue_state import queue_facts

    state = state_of_command(args)
    if state is None and (args.dispatcher or args.target):
        raise ConfigurationError("--dispatcher and --target: say how to ask Airflow, by --airflow-conn-id")
    aws = {"aws_conn_id": args.aws_conn_id, "region_name": args.region_name}
    aws |= {"verify": None, "botocore_config": None}
    queue = asyncio.run(
        queue_facts(args.queue, aws=aws, late_seconds=args.late_seconds, with_reasons=not args.no_reasons)
    )
    if state is None:
        return queue, None, None
    airflow = state.facts(
        args.dispatcher, args.target, max_queued_runs=args.max_queued_runs, sqs_queue=args.queue
    )
    return queue, airflow, None if airflow.is_away else state.last_event(args.target)


def _send(queue: str, found: Sequence[Alarm]) -> None:
    from airflow_s3events._compat.stats import emitter
    from airflow_s3events.metrics import Meter
    from airflow_s3events.watchdog import FINDINGS

    emit = emitter("command")
    if emit is None:
        raise ConfigurationError("--metrics: Airflow's stats are off; set statsd_on or otel_on in [metrics]")
    meter, codes = Meter(queue), {alarm.code for alarm in found}
    for code in FINDINGS:
        meter.gauge("finding", int(code in codes), code)
    emit(meter.drain())


def _plain(
    queue: QueueFacts, airflow: AirflowFacts | None, last: dict[str, Any] | None, found: Sequence[Alarm]
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "queue": asdict(queue),
        "airflow": None if airflow is None else asdict(airflow),
        "last_event": last,
        "findings": [alarm.serialize() for alarm in found],
    }


def _print(
    queue: QueueFacts, airflow: AirflowFacts | None, last: dict[str, Any] | None, found: Sequence[Alarm]
) -> None:
    print_table(("", "now"), [*_queue_rows(queue), *_airflow_rows(airflow, last)])
    print()
    for alarm in found:
        print(printable(f"{alarm.weight:<7}  {alarm.code}  {alarm.about}: {alarm.reason}"))
        print(printable(f"         {alarm.action}"))
    if not found:
        print("nothing is wrong")


def _queue_rows(queue: QueueFacts) -> list[tuple[str, object]]:
    attributes = queue.attributes
    if attributes is None:
        return [("queue", queue.name)]
    oldest = "not known" if queue.oldest_seconds is None else f"{queue.oldest_seconds:.0f} s"
    dead = "none to go to" if queue.dead_letters is None else queue.dead_letters
    return [
        ("queue", attributes.arn),
        ("waiting", attributes.waiting),
        ("in flight", attributes.in_flight),
        ("delayed", attributes.delayed),
        ("oldest message", oldest),
        ("dead letters", dead),
        *((f"  {count} of them", reason) for reason, count in queue.reasons.items()),
    ]


def _airflow_rows(airflow: AirflowFacts | None, last: dict[str, Any] | None) -> list[tuple[str, object]]:
    if airflow is None or airflow.is_away:
        return []
    rows: list[tuple[str, object]] = [
        ("scheduler", airflow.scheduler),
        ("triggerers alive", airflow.triggerers),
    ]
    if (dag := airflow.dispatcher) is not None:
        rows.append(
            ("dispatcher", ", ".join(f"{task.task_id} {task.state}" for task in dag.tasks) or "no task")
        )
    rows += [(f"runs waiting of {dag.dag_id}", dag.queued) for dag in airflow.targets]
    if last is not None:
        rows.append(
            ("last event", f"{last['object']} at {last['started']}, {last['dag_id']}: {last['state']}")
        )
    return rows
