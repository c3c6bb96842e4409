"""``s3events alarms``: CloudWatch alarms and a dashboard for queues, as a template on stdout."""

from __future__ import annotations

import argparse
import json
from typing import Any

from airflow_s3events.alarm_templates import AlarmSettings, WatchedQueue, alarm_template
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.terminal import note

OK = 0
REFUSED = 2


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "alarms",
        help="CloudWatch alarms and a dashboard for queues, as a template",
        description="Print a CloudFormation template with an alarm for late messages of each queue, one for"
        " each dead letter queue, one for deletions in each bucket, and a dashboard. No AWS is asked, and the"
        " same options give the same text. Apply it with aws cloudformation deploy, which is also how it is"
        " changed. Exit status: 0, or 2 when something is missing or wrong, with the reason on stderr.",
    )
    add = parser.add_argument
    add(
        "queues",
        nargs="+",
        metavar="QUEUE[=DLQ]",
        help="a queue and its dead letter queue, by name, ARN or URL",
    )
    add("--topic", metavar="ARN", help="SNS topic that is told; without one the alarms are only seen")
    add("--late-seconds", type=int, default=900, metavar="S", help="a message older is late; default 900")
    add(
        "--bucket",
        action="append",
        default=[],
        dest="buckets",
        metavar="NAME",
        help="watch its deletions: its request metrics must be on; may be repeated",
    )
    add("--metrics-filter", default="EntireBucket", metavar="ID", help="of the request metrics")
    add("--most-deletions", type=int, default=1_000, metavar="N", help="in five minutes; default 1000")
    add("--dashboard", metavar="NAME", help="make a dashboard of this name, too")
    add("--json", action="store_true", help="as it is: a template is JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the template; return the exit status."""
    names = ("late_seconds", "topic", "metrics_filter", "most_deletions", "dashboard")
    try:
        settings = AlarmSettings(buckets=tuple(args.buckets), **{name: getattr(args, name) for name in names})
        template = alarm_template([WatchedQueue.of(text) for text in args.queues], settings)
    except ConfigurationError as error:
        return note("alarms", str(error), REFUSED)
    print(json.dumps(template, indent=2))
    return OK
