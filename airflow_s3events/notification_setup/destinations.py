"""Where events go, as values: what is to be there, not yet what is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace

from airflow_s3events.exceptions import ConfigurationError

#: SQS's own bounds (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html).
_BOUNDS = {
    "visibility_seconds": (0, 43_200),
    "retention_seconds": (60, 1_209_600),
    "dead_letter_retention_seconds": (60, 1_209_600),
    "max_receive_count": (3, 1_000),
    "archive_days": (0, 36_500),
}


def _check_bounds(values: object, *names: str) -> None:
    for name in names:
        value, (least, most) = getattr(values, name), _BOUNDS[name]
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigurationError(f"{name}={value!r}: give a whole number from {least:,} to {most:,}")


@dataclass(frozen=True, slots=True)
class QueueDestination:
    """An SQS queue with its dead letter queue; both are created where they are not there.

    What is there already keeps its own settings, except what would lose events, and what is given here. None
    means this package's default for a new queue, and "as it is" for one that is there.

    Args:
        queue: Name, ARN or URL of a standard queue. An ARN may be of another account: see ``aws_conn_id``.
        dead_letter_queue: Name or ARN. New queues get ``<queue>-dlq``; a queue with a redrive policy keeps
            its own.
        max_receive_count: Receives before SQS moves a message to the dead letter queue. Default 20: waking
            the dispatcher and reading are two receives, and each outage or restart of it costs some more, so
            AWS's usual 3 to 5 dead-letter messages that nothing is wrong with.
        visibility_seconds: The queue's own visibility timeout. Default 300. The dispatcher brings its own
            with each receive.
        retention_seconds: How long a message may wait. Default 7 days: a long weekend and what follows.
        dead_letter_retention_seconds: The same there. Default 14 days, SQS's most: a message that SQS moves
            keeps the date of its first arrival, so this must be longer than ``retention_seconds``.
        kms_key: Id, alias or ARN of a customer's KMS key. Without one a new queue has SSE-SQS. The key that
            AWS manages (``alias/aws/sqs``) is refused: its policy cannot let S3 in.
        tls_only: Refuse requests without TLS.
        manage: False: look at the queue, change nothing of it (Terraform owns it, say).
        aws_conn_id: Connection with a role in the queue's account; the operator's when None.
        region_name: Region of a queue given by name; the bucket's when None.
    """

    queue: str
    _: KW_ONLY
    dead_letter_queue: str | None = None
    max_receive_count: int | None = None
    visibility_seconds: int | None = None
    retention_seconds: int | None = None
    dead_letter_retention_seconds: int | None = None
    kms_key: str | None = None
    tls_only: bool = True
    manage: bool = True
    aws_conn_id: str | None = None
    region_name: str | None = None

    def check(self) -> None:
        """Look at every member that can be judged alone.

        Raises:
            ConfigurationError: One of them cannot work; names it.
        """
        if not self.queue:
            raise ConfigurationError("queue: give the name, the ARN or the URL of a queue")
        for name in (self.queue, self.dead_letter_queue or ""):
            if name.endswith(".fifo"):
                raise ConfigurationError(
                    f"queue: {name} is FIFO, and S3 sends to standard queues only; use a standard queue"
                    " (events carry a sequencer, so their order is known), or let an EventBridge rule of your"
                    " own feed it"
                )
        _check_bounds(
            self,
            "max_receive_count",
            "visibility_seconds",
            "retention_seconds",
            "dead_letter_retention_seconds",
        )
        wait, dead = self.retention_seconds, self.dead_letter_retention_seconds
        if wait is not None and dead is not None and wait >= dead:
            raise ConfigurationError(
                f"dead_letter_retention_seconds={dead}: give more than retention_seconds ({wait}), because a"
                " dead letter keeps the date of its first arrival"
            )


@dataclass(frozen=True, slots=True)
class TopicDestination:
    """An SNS topic, and the queues that subscribe to it: fan-out, or one queue in each of several regions.

    An event that reaches two queues starts one run all the same: both messages carry its identity.

    Args:
        topic: Name or ARN of a standard topic in the bucket's region; created where it is not there.
        queues: Queues to subscribe.
        raw: Deliver S3's body as it is, without SNS's envelope. Both are understood.
        kms_key: As for a queue; ``alias/aws/sns`` is refused.
        tls_only: Refuse requests without TLS.
        aws_conn_id, region_name: As for a queue.
    """

    topic: str
    _: KW_ONLY
    queues: Sequence[QueueDestination] = ()
    raw: bool = True
    kms_key: str | None = None
    tls_only: bool = True
    aws_conn_id: str | None = None
    region_name: str | None = None

    def check(self) -> None:
        """Look at every member that can be judged alone; raises ``ConfigurationError``."""
        if not self.topic or self.topic.endswith(".fifo"):
            raise ConfigurationError(
                f"topic: {self.topic!r}: give a standard topic; S3 sends to no FIFO topic, only through"
                " EventBridgeDestination"
            )
        for queue in self.queues:
            queue.check()


@dataclass(frozen=True, slots=True)
class FunctionDestination:
    """A Lambda function that is there already; S3 is let in.

    Args:
        function: ARN, of the function, a version or an alias.
        aws_conn_id: As for a queue.
    """

    function: str
    _: KW_ONLY
    aws_conn_id: str | None = None

    def check(self) -> None:
        """Look at every member that can be judged alone; raises ``ConfigurationError``."""
        if not self.function.startswith("arn:"):
            raise ConfigurationError(f"function: {self.function!r}: give the function's ARN")


@dataclass(frozen=True, slots=True)
class EventBridgeDestination:
    """The bucket's EventBridge switch, and a rule on the default bus that sends what matches to a queue.

    Args:
        rule: Name of the rule; the notification's id and the bucket's name when None.
        queue: Its target. None: the switch alone.
        archive: Name of an archive for the same events, from which they can be replayed.
        archive_days: How long the archive keeps them; 0 is for ever.
    """

    rule: str | None = None
    _: KW_ONLY
    queue: QueueDestination | None = None
    archive: str | None = None
    archive_days: int = 14

    def check(self) -> None:
        """Look at every member that can be judged alone; raises ``ConfigurationError``."""
        _check_bounds(self, "archive_days")
        if self.queue is not None:
            self.queue.check()


Destination = QueueDestination | TopicDestination | FunctionDestination | EventBridgeDestination


def destinations_of(given: object, *, rule: str | None = None) -> tuple[Destination, ...]:
    """Return the destinations that ``given`` means, each one checked.

    Args:
        given: One destination or a list of them; text is a queue's name, ARN or URL, or the ARN of a topic or
            a function.
        rule: Name of an EventBridge rule that has none of its own.

    Raises:
        ConfigurationError: It is none of these, or none at all.
    """
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    found = tuple(_named(_destination(one), rule) for one in listed)
    if not found:
        raise ConfigurationError("destinations: give at least one")
    for one in found:
        one.check()
    return found


def queues_of(destination: Destination) -> tuple[QueueDestination, ...]:
    """Return the queues in which events end that go to ``destination``."""
    if isinstance(destination, QueueDestination):
        return (destination,)
    if isinstance(destination, TopicDestination):
        return tuple(destination.queues)
    if isinstance(destination, FunctionDestination) or destination.queue is None:
        return ()
    return (destination.queue,)


def _named(destination: Destination, rule: str | None) -> Destination:
    if isinstance(destination, EventBridgeDestination) and destination.rule is None:
        return replace(destination, rule=rule)
    return destination


def _destination(given: object) -> Destination:
    if isinstance(given, (QueueDestination, TopicDestination, FunctionDestination, EventBridgeDestination)):
        return given
    if not isinstance(given, str) or not given:
        raise ConfigurationError(
            f"destinations: {given!r}: give a queue's name, ARN or URL, QueueDestination, TopicDestination,"
            " FunctionDestination or EventBridgeDestination"
        )
    service = given.split(":")[2] if given.startswith("arn:") and given.count(":") > 1 else "sqs"
    if service == "sns":
        return TopicDestination(given)
    return FunctionDestination(given) if service == "lambda" else QueueDestination(given)
