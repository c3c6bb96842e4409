"""``s3events dead-letters``: list, show, redrive, park and purge what a dispatcher could not process."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from airflow_s3events.dead_letters import Criteria, DeadLetter
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.redrive import MOST_LOOKED_AT, DeadLetterQueue, Report, only_source
from airflow_s3events.sqs import MoveProgress, SqsQueue, queue_url, region_of
from airflow_s3events.terminal import Progress, note

OK = 0
#: A setting is wrong, or AWS refuses it: nothing was changed, unless the report says otherwise.
REFUSED = 2
#: SQS refused the copies of some letters; they are where they were.
SOME_REFUSED = 3
#: No letter meets the criteria.
NOTHING_MATCHED = 4
#: AWS is away. What was not reported is where it was; do the same again.
AWAY = 5
#: The questions before a purge were not answered.
NOT_CONFIRMED = 6

#: Seconds between two looks at a move of SQS.
_MOVE_LOOK_SECONDS = 2.0

_ACTIONS = {
    "list": "one line for each letter: reason, DAG, object; costs each letter one receive",
    "show": "as list, with the body and all attributes, as JSON lines",
    "redrive": "send letters back to be processed; a run that has succeeded meanwhile is left alone",
    "park": "put letters into another queue",
    "purge": "delete letters for good; asks twice",
}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command, its actions and their options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "dead-letters",
        help="look at dead letters, send them back, park or purge them",
        description="Exit status: 0 done; 2 a setting is wrong or AWS refuses it; 3 SQS refused some copies,"
        " which stay where they were; 4 no letter meets the criteria; 5 AWS is away; 6 a purge was not"
        " confirmed.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in _ACTIONS.items():
        _add_options(actions.add_parser(name, help=text, description=text), name)
    return parser


def _add_options(parser: argparse.ArgumentParser, action: str) -> None:
    parser.add_argument("queue", metavar="QUEUE", help="URL, ARN or name of the dead letter queue")
    parser.add_argument("--reason", help="part of the reason")
    parser.add_argument("--dag", dest="dag_id", help="the DAG that refused the event or whose run failed")
    parser.add_argument("--key", help="pattern of the object key, such as 'in/*.csv'")
    for age, text in (("older", "sent longer ago than that"), ("younger", "sent since then")):
        name = f"{age}_than_seconds"
        parser.add_argument(f"--{age}-than", type=float, metavar="SECONDS", dest=name, help=text)
    parser.add_argument("--id", action="append", default=[], dest="message_ids", help="SQS's message id")
    parser.add_argument("--most", type=int, default=MOST_LOOKED_AT, help="at most so many letters")
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    parser.add_argument("--region", help="AWS region, where QUEUE is a name")
    parser.add_argument("--endpoint-url", help="of an emulator or a VPC endpoint")
    if action in ("redrive", "park", "purge"):
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    if action in ("redrive", "park"):
        parser.add_argument(
            "--to", required=action == "park", help="URL, ARN or name; redrive: the queue it came from"
        )
    if action == "redrive":
        parser.add_argument("--max-per-second", type=float, help="at most so many a second")
        parser.add_argument(
            "--move", action="store_true", help="by SQS's own move task: every letter, as it is, no criteria"
        )
    if action == "park":
        parser.add_argument("--new-reason", help="replaces the reason")
    if action == "purge":
        parser.add_argument(
            "--confirm", nargs=2, metavar=("QUEUE", "COUNT"), help="answers to the two questions"
        )


def run(args: argparse.Namespace) -> int:
    """Carry out one action; return the exit status."""
    try:
        return asyncio.run(_run(args))
    except ConfigurationError as error:
        return note("dead-letters", str(error), REFUSED)
    except OutageError as error:
        return note("dead-letters", str(error), AWAY)


async def _run(args: argparse.Namespace) -> int:
    from aiobotocore.session import get_session

    session = get_session()
    async with AsyncExitStack() as stack:
        region = args.region or region_of(args.queue)
        client = await stack.enter_async_context(
            session.create_client("sqs", region_name=region, endpoint_url=args.endpoint_url)
        )
        queue = SqsQueue(client, await queue_url(client, args.queue))
        status: int = await _RUN[args.action](args, client, queue)
        return status


def _criteria(args: argparse.Namespace) -> Criteria:
    names = ("reason", "dag_id", "key", "older_than_seconds", "younger_than_seconds")
    chosen = {name: getattr(args, name) for name in names}
    return Criteria(**chosen, message_ids=tuple(args.message_ids))


async def _list(args: argparse.Namespace, client: Any, queue: SqsQueue) -> int:  # noqa: ARG001
    async with _reading(queue) as reader:
        letters, _ = await reader.look(_criteria(args), most=args.most)
    for letter in letters:
        print(json.dumps(letter.serialize()) if args.json else _line(letter))
    return OK if letters else NOTHING_MATCHED


async def _show(args: argparse.Namespace, client: Any, queue: SqsQueue) -> int:  # noqa: ARG001
    async with _reading(queue) as reader:
        letters, _ = await reader.look(_criteria(args), most=args.most)
    for letter in letters:
        message = letter.message
        whole = {"attributes": dict(message.attributes), "body": message.body}
        print(json.dumps(letter.serialize() | whole))
    return OK if letters else NOTHING_MATCHED


async def _redrive(args: argparse.Namespace, client: Any, queue: SqsQueue) -> int:
    if args.move:
        return await _move(args, client, queue)
    to = await _destination(args, client, queue)
    async with _reading(queue) as reader:
        report = await reader.replay(
            to, _criteria(args), most=args.most, max_per_second=args.max_per_second, dry_run=args.dry_run
        )
    return _tell(args, report, "sent back")


async def _park(args: argparse.Namespace, client: Any, queue: SqsQueue) -> int:
    to = SqsQueue(client, await queue_url(client, args.to))
    async with _reading(queue) as reader:
        report = await reader.park(
            to, _criteria(args), most=args.most, reason=args.new_reason, dry_run=args.dry_run
        )
    return _tell(args, report, "parked")


async def _purge(args: argparse.Namespace, client: Any, queue: SqsQueue) -> int:  # noqa: ARG001
    async with _reading(queue) as reader:
        meant = await reader.purge(_criteria(args), most=args.most, dry_run=True)
    if args.dry_run or not meant.matched:
        return _tell(args, meant, "purged")
    name = (await queue.describe()).arn.rpartition(":")[2]
    if not _is_confirmed(args, name, meant.matched):
        return note("dead-letters", "nothing was deleted", NOT_CONFIRMED)
    # No more than was confirmed, whatever has come since.
    async with _reading(queue) as reader:
        report = await reader.purge(_criteria(args), most=meant.matched)
    return _tell(args, report, "purged")


@asynccontextmanager
async def _reading(queue: SqsQueue) -> AsyncIterator[DeadLetterQueue]:
    """Yield the dead letter queue, and say how far its letters have been looked at."""
    total = (await queue.describe()).waiting
    with Progress("dead-letters") as progress:

        def tell(report: Report) -> None:
            seen = report.looked_at
            text = f"{seen} of about {max(seen, total)} looked at, {report.matched} of them match"
            progress.at(seen, text, max(seen, total))

        yield DeadLetterQueue(queue=queue, tell=tell)


def _is_confirmed(args: argparse.Namespace, name: str, count: int) -> bool:
    if args.confirm is not None:
        return bool(args.confirm == [name, str(count)])
    if sys.stdin is None or not sys.stdin.isatty():
        note("dead-letters", f"no terminal to ask: confirm with --confirm {name} {count}", NOT_CONFIRMED)
        return False
    return _asked(f"{count} letters would be deleted. Name their queue: ", name) and _asked(
        "There is no way back. How many letters are to be deleted? ", str(count)
    )


def _asked(question: str, answer: str) -> bool:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == answer


async def _destination(args: argparse.Namespace, client: Any, queue: SqsQueue) -> SqsQueue:
    if args.to is not None:
        return SqsQueue(client, await queue_url(client, args.to))
    return SqsQueue(client, await only_source(queue))


async def _move(args: argparse.Namespace, client: Any, queue: SqsQueue) -> int:
    if _criteria(args) != Criteria() or args.dry_run:
        raise ConfigurationError("--move: SQS moves every letter; leave the criteria and --dry-run out")
    to = None if args.to is None else (await (await _destination(args, client, queue)).describe()).arn
    rate = None if args.max_per_second is None else int(args.max_per_second)
    await queue.start_move(to, rate)
    with Progress("dead-letters", line_seconds=0.0) as bar:
        while (progress := await queue.latest_move()) is None or not progress.is_over:
            if progress is not None:
                bar.at(progress.moved, _progress_line(progress), progress.to_move)
            await asyncio.sleep(_MOVE_LOOK_SECONDS)
    print(json.dumps({"status": progress.status, "moved": progress.moved}) if args.json else progress.status)
    return OK if progress.status == "COMPLETED" else note("dead-letters", progress.failure, SOME_REFUSED)


def _progress_line(progress: MoveProgress) -> str:
    of = "" if progress.to_move is None else f" of about {progress.to_move}"
    return f"{progress.status}: {progress.moved}{of} moved"


def _line(letter: DeadLetter) -> str:
    """One letter for people; keys and reasons are somebody else's text, so only printable ASCII."""
    objects = ", ".join(f"s3://{event.bucket}/{event.key}" for event in letter.events) or letter.problem
    return ascii("  ".join((letter.message.message_id, letter.dag_id or "-", objects, letter.reason)))[1:-1]


def _tell(args: argparse.Namespace, report: Report, done: str) -> int:
    if args.json:
        print(json.dumps(report.serialize()))
    else:
        back = f"; came back meanwhile, and left there: {report.came_back}" if report.came_back else ""
        print(f"{report.done} {done}, of {report.matched} that match and {report.looked_at} looked at{back}")
    for message_id, why in report.refused.items():
        note("dead-letters", f"{message_id}: {why}", SOME_REFUSED)
    if report.refused:
        return SOME_REFUSED
    return OK if report.matched else NOTHING_MATCHED


_RUN: dict[str, Callable[[argparse.Namespace, Any, SqsQueue], Any]] = {
    "list": _list,
    "show": _show,
    "redrive": _redrive,
    "park": _park,
    "purge": _purge,
}
