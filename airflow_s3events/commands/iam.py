"""``s3events iam``: the least that a role needs, as a policy to paste."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from airflow_s3events.arns import Arn, partition_of
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.facts import PARTS
from airflow_s3events.policies import PURPOSES, Resources, role_policy
from airflow_s3events.sqs import queue_arn
from airflow_s3events.terminal import note

OK = 0
REFUSED = 2

#: What a dispatcher without a dead letter queue is told.
NO_DEAD_LETTERS = (
    "no --dead-letter-queue: give the one of the queue's redrive policy, or what cannot be read stays in the"
    " queue until its retention ends"
)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "iam",
        help="the least that a role needs, as a policy to paste",
        description="Print the policy of a role that dispatches, watches for assets, waits (trigger, sensor,"
        " expect), sees to dead letters and failed runs (redrive, retry, notify, alert), acts on objects"
        " (tag, quarantine), starts what was missed (reconcile), looks (status, explain, tail), sets up"
        " (configure), checks, proves or removes, with what you name and nothing beside it. No AWS is asked."
        " Exit status: 0, or 2 when something is missing or wrong, with the reason on stderr.",
    )
    add = parser.add_argument
    add("--for", required=True, choices=PURPOSES, dest="purpose", help="what the role does")
    add_queue_options(parser)
    add("--topic", metavar="ARN", help="SNS topic between bucket and queue")
    add("--function", metavar="ARN", help="Lambda function that gets the events")
    add("--rule", metavar="ARN", help="EventBridge rule between bucket and queue")
    add("--archive", metavar="ARN", help="EventBridge archive")
    _add_asking_options(parser)
    add("--quarantine-bucket", metavar="NAME", help="where quarantined objects are copied to")
    add("--quarantine-prefix", default="quarantine/", help="what their keys begin with; default quarantine/")
    add("--data-events", action="store_true", help="of check: ask CloudTrail, too")
    add("--airflow-role", metavar="ARN", help="arn:aws:airflow:REGION:ACCOUNT:role/ENVIRONMENT/ROLE of MWAA")
    add("--json", action="store_true", help="as it is: a policy is JSON")
    return parser


def _add_asking_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--enrich",
        choices=PARTS,
        action="append",
        default=[],
        help="what the routes of a dispatcher ask S3 about the objects of --bucket; may be given twice",
    )
    add(
        "--manifest",
        action="append",
        default=[],
        dest="manifests",
        metavar="NAME",
        help="a manifest= of a dispatcher's batches, in --bucket; may be given several times",
    )
    add("--audit", metavar="ADDRESS", help="of dispatch or watch: s3://bucket/prefix or logs:<log group>")
    add(
        "--ledger",
        metavar="ADDRESS",
        help="of dispatch, reconcile or explain: dynamodb:<table>, in --region and --account or those of the"
        " queue; sql:<Airflow connection> needs nothing of AWS",
    )
    add(
        "--inventory",
        metavar="S3URI",
        help="of reconcile, instead of listing: manifest.json of an S3 Inventory, or what its reports' keys"
        " begin with",
    )


def add_queue_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name queues, their keys and a bucket: ``queue_resources`` reads them."""
    add = parser.add_argument
    add("--queue", metavar="QUEUE", help="ARN or URL; or the name, with --region and --account")
    add("--dead-letter-queue", metavar="QUEUE", help="of the queue's redrive policy, in the same forms")
    add("--queue-key", metavar="ARN", help="the customer's KMS key of the queue, if it has one")
    add("--dead-letter-key", metavar="ARN", help="the same of the dead letter queue")
    add("--bucket", metavar="NAME", help="bare, without s3://")
    add(
        "--prefix",
        default="",
        help="what sensor or dispatcher may read, or the proof may write, begins with this",
    )
    add("--region", help="for a queue given by its name; also tells the bucket's partition")
    add("--account", help="for a queue given by its name: twelve digits")


def run(args: argparse.Namespace) -> int:
    """Print one policy; return the exit status."""
    try:
        policy = role_policy(args.purpose, _resources(args))
    except ConfigurationError as error:
        return note("iam", str(error), REFUSED)
    print(json.dumps(policy, indent=2))
    if args.purpose in ("dispatch", "watch") and not args.dead_letter_queue:
        note("iam", NO_DEAD_LETTERS)
    return OK


def queue_resources(args: argparse.Namespace) -> Resources:
    """Return what the options of ``add_queue_options`` name.

    Raises:
        ConfigurationError: One of them cannot be read; the text names it.
    """
    queue = _queue(args.queue, args, "--queue")
    region = args.region or (queue.region if queue else "")
    return Resources(
        queue=queue,
        dead_letter_queue=_queue(args.dead_letter_queue, args, "--dead-letter-queue"),
        queue_key=_arn(args.queue_key, "kms", "--queue-key"),
        dead_letter_key=_arn(args.dead_letter_key, "kms", "--dead-letter-key"),
        bucket=args.bucket,
        prefix=args.prefix,
        partition=partition_of(region),
    )


def _resources(args: argparse.Namespace) -> Resources:
    return replace(
        queue_resources(args),
        topic=_arn(args.topic, "sns", "--topic"),
        function=_arn(args.function, "lambda", "--function"),
        rule=_arn(args.rule, "events", "--rule"),
        archive=_arn(args.archive, "events", "--archive"),
        enrich=tuple(args.enrich),
        manifests=tuple(args.manifests),
        quarantine_bucket=args.quarantine_bucket,
        quarantine_prefix=args.quarantine_prefix,
        audit=args.audit,
        ledger=args.ledger,
        region=args.region,
        account=args.account,
        inventory=args.inventory,
        data_events=args.data_events,
        airflow_role=_arn(args.airflow_role, "airflow", "--airflow-role"),
    )


def _queue(text: str | None, args: argparse.Namespace, option: str) -> Arn | None:
    return None if text is None else queue_arn(text, args.region, args.account, setting=option)


def _arn(text: str | None, service: str, option: str) -> Arn | None:
    return None if text is None else Arn.of_service(text, service, setting=option)
