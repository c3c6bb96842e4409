"""``s3events tail``: the last events and their runs, or what waits in a queue. Nothing is consumed."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_s3events.exceptions import BodyError, ConfigurationError, OutageError
from airflow_s3events.terminal import logs_aside, note, print_table, printable

if TYPE_CHECKING:
    from airflow_s3events.hooks.airflow_state import AirflowState
    from airflow_s3events.messages import Message, QueueAttributes
    from airflow_s3events.sqs import SqsQueue

OK = 0
#: A setting is wrong, a right is missing, or a look would endanger messages.
REFUSED = 2
#: There is nothing to show.
NOTHING = 4
#: AWS or Airflow is away.
AWAY = 5

_FOLLOW_SECONDS = 5.0
#: A queue whose redrive policy allows fewer receives is not looked into.
_LEAST_RECEIVES = 10
#: Nor is a message shown, or looked for further, that has used up this part of its receives.
_SHARE = 0.5
_COLUMNS = ("started", "object", "dag_id", "run_id", "state")
_WAITING_COLUMNS = ("sent", "object", "receives", "message_id")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "tail",
        help="the last events and their runs, or what waits in a queue",
        description="Print the last events that started runs of the DAGs, as Airflow has them: this costs the"
        " queue nothing. With --queue, what waits there instead: SQS has no way to look without receiving, so"
        " each message shown is one receive nearer to the dead letter queue; it stays visible to all."
        " Refused where maxReceiveCount is less than 10; ends at a message that has used up half of it."
        " Exit status: 0 something was shown; 2 a setting is wrong, a right is missing, or a look would"
        " endanger messages; 4 there is nothing to show; 5 AWS or Airflow is away.",
    )
    add = parser.add_argument
    add("--dag", action="append", default=[], metavar="DAG", help="a DAG that events start; may be repeated")
    add("--queue", metavar="QUEUE", help="look into this queue: URL, ARN or name")
    add("--most", type=int, default=20, metavar="N", help="at most so many; default 20")
    add("--follow", action="store_true", help="go on showing new runs until interrupted")
    add("--airflow-conn-id", metavar="ID", help="HTTP connection to Airflow 3's REST API")
    add("--mwaa-environment", metavar="NAME", help="ask Airflow by MWAA's own InvokeRestApi")
    add("--aws-conn-id", metavar="ID", help="Airflow connection; without one boto3's own chain")
    add("--region", dest="region_name", help="AWS region, where QUEUE is a name")
    add("--json", action="store_true", help="one JSON object a line")
    return parser


def run(args: argparse.Namespace) -> int:
    """Show; return the exit status."""
    try:
        _check(args)
        if args.queue is not None:
            with logs_aside():
                rows = asyncio.run(_waiting(args))
            return _show(args, _WAITING_COLUMNS, rows)
        return _runs(args)
    except ConfigurationError as error:
        return note("tail", str(error), REFUSED)
    except OutageError as error:
        return note("tail", str(error), AWAY)


def _check(args: argparse.Namespace) -> None:
    if (args.queue is None) == (not args.dag):
        raise ConfigurationError("give --dag, to see runs, or --queue, to see what waits; not both")
    if args.queue is not None and args.follow:
        raise ConfigurationError("--follow: not with --queue, each look costs its messages a receive")
    if args.most < 1:
        raise ConfigurationError(f"--most {args.most}: give a number from 1")


def _show(args: argparse.Namespace, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> int:
    if args.json:
        for row in rows:
            print(json.dumps(row), flush=True)
    else:
        print_table(columns, [[row[name] for name in columns] for row in rows])
    return OK if rows else NOTHING


# Runs


def _runs(args: argparse.Namespace) -> int:
    from airflow_s3events.hooks.airflow_state import state_of_command

    state = state_of_command(args)
    if state is None:
        raise ConfigurationError("--dag: say how to ask Airflow, by --airflow-conn-id or --mwaa-environment")
    with logs_aside():
        rows = _latest(state, args)
    status = _show(args, _COLUMNS, rows)
    known = {row["run_id"] for row in rows}
    while args.follow:
        time.sleep(_FOLLOW_SECONDS)
        with logs_aside():
            rows = [row for row in _latest(state, args) if row["run_id"] not in known]
        known.update(row["run_id"] for row in rows)
        for row in rows:
            line = json.dumps(row) if args.json else printable("  ".join(str(row[name]) for name in _COLUMNS))
            print(line, flush=True)
    return status


def _latest(state: AirflowState, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the last runs, the oldest of them first."""
    rows = [row for dag_id in args.dag for row in state.seen(dag_id, most=args.most)]
    return sorted(rows, key=lambda row: str(row["started"]))[-args.most :]


# What waits


async def _waiting(args: argparse.Namespace) -> list[dict[str, Any]]:
    from airflow_s3events.hooks.s3_events import hook_for

    hook = hook_for(
        args.queue,
        aws_conn_id=args.aws_conn_id,
        region_name=args.region_name,
        verify=None,
        botocore_config=None,
    )
    async with hook.open_client() as client:
        queue = await hook.queue(client, args.queue)
        messages = await looked_at(queue, await queue.describe(), most=args.most)
    return [row for message in messages for row in _rows(message)]


async def looked_at(queue: SqsQueue, attributes: QueueAttributes, *, most: int) -> list[Message]:
    """Return up to ``most`` messages that wait, each seen once; all stay visible to everybody.

    Raises:
        ConfigurationError: The redrive policy allows so few receives that a look would endanger messages.
        OutageError: SQS is away.
    """
    limit = attributes.max_receive_count
    if limit is not None and limit < _LEAST_RECEIVES:
        raise ConfigurationError(
            f"--queue: maxReceiveCount is {limit}, and each look costs the messages shown one receive; set it"
            f" to {_LEAST_RECEIVES} or more (20 is right), or see the runs by --dag"
        )
    found: dict[str, Message] = {}
    while len(found) < most:
        wanted = min(10, most - len(found))
        messages = await queue.receive(max_messages=wanted, wait_seconds=1, visibility_seconds=0)
        is_endangered = any(limit and message.receive_count >= limit * _SHARE for message in messages)
        is_repeat = any(message.message_id in found for message in messages)
        found |= {message.message_id: message for message in messages}
        if not messages or is_endangered or is_repeat:
            break
    return list(found.values())


def _rows(message: Message) -> Iterator[dict[str, Any]]:
    sent = None if message.sent_at is None else time.strftime("%FT%TZ", time.gmtime(message.sent_at))
    common = {"sent": sent, "receives": message.receive_count, "message_id": message.message_id}
    for text in _objects(message):
        yield {**common, "object": text}


def _objects(message: Message) -> list[str]:
    from airflow_s3events.envelopes import parse_body

    try:
        parsed = parse_body(message.body, message_id=message.delivery_id)
    except BodyError as error:
        return [f"no S3 event: {error}"]
    bad = [f"record {one.index} is bad: {one.reason}" for one in parsed.bad]
    return [f"s3://{event.bucket}/{event.key}" for event in parsed.events] + bad or ["no object event"]
