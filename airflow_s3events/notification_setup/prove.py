"""Writes one small object and waits for its event: the proof that the whole way is open."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from airflow_s3events.arns import Arn
from airflow_s3events.bucket_notifications import Rule, members_of
from airflow_s3events.envelopes import Parsed, parse_body
from airflow_s3events.exceptions import BodyError, ConfigurationError
from airflow_s3events.notification_setup.calls import Aws, Queues
from airflow_s3events.notification_setup.changes import Place
from airflow_s3events.notification_setup.findings import Finding, error, note

_WAIT_SECONDS = 5
_PUT = "s3:ObjectCreated:Put"


def probe_key(rule: Rule, prefix: str | None) -> str:
    """Return a key that no other object has and that the rule means.

    Args:
        rule: Of the bucket.
        prefix: Where the probe may be written; the rule's own when None.

    Raises:
        ConfigurationError: The rule would not send an event of such a key.
    """
    begins = rule.prefix if prefix is None else prefix
    if not begins.startswith(rule.prefix):
        raise ConfigurationError(
            f"prove_prefix: {begins!r} is not under {rule.prefix!r}, which rule {rule.id!r} watches"
        )
    if not any(_PUT in members_of(name) for name in rule.events):
        raise ConfigurationError(f"prove: rule {rule.id!r} does not send {_PUT}, so a probe tells nothing")
    return f"{begins}s3events-probe-{uuid4().hex}{rule.suffix}"


def prove(
    aws: Aws,
    place: Place,
    key: str,
    queue: Arn,
    *,
    aws_conn_id: str | None,
    timeout_seconds: float,
    tell: Callable[[float], None],
) -> Finding:
    """Write the probe, wait for its event in ``queue``, measure the delay, delete both.

    Other messages that are received on the way are given back at once; each has one receive more then. S3's
    test events are deleted: no object is meant, and a queue with one is not empty. Where a dispatcher reads
    the same queue it may take the probe's message first: pause it. ``tell`` is told for how many seconds it
    has waited, before each look.
    """
    queues, buckets = aws.queues(aws_conn_id, queue.region), aws.buckets()
    begun = time.monotonic()
    version_id = buckets.put_probe(place.bucket, key)
    try:
        while (waited := time.monotonic() - begun) < timeout_seconds:
            tell(waited)
            if _is_found(queues, queue, place.bucket, key):
                seconds = time.monotonic() - begun
                return note(queue, f"the event of a probe object arrived after {seconds:.1f} s")
        return error(
            queue,
            f"no event of s3://{place.bucket}/{key} within {waited:.0f} s. A new configuration takes up to"
            " five minutes; a dispatcher that reads this queue may have taken it",
        )
    finally:
        buckets.delete_probe(place.bucket, key, version_id)


def _is_found(queues: Queues, queue: Arn, bucket: str, key: str) -> bool:
    found = False
    for message in queues.receive(queue, _WAIT_SECONDS):
        parsed = _parsed(str(message["Body"]))
        is_probe = (
            any((event.bucket, event.key) == (bucket, key) for event in parsed.events) if parsed else False
        )
        if is_probe or (parsed is not None and parsed.kind == "test"):
            queues.delete_message(queue, message["ReceiptHandle"])
        else:
            queues.release(queue, message["ReceiptHandle"])
        found = found or is_probe
    return found


def _parsed(body: str) -> Parsed | None:
    try:
        return parse_body(body)
    except BodyError:
        return None
