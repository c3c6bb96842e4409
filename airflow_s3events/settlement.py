"""What happens to a message, decided from what happened to its events: tables, not branches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, IntEnum
from types import MappingProxyType

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.messages import QueueAttributes


class Disposition(IntEnum):
    """The one fate of a message, ordered: of several events in a message the highest decides.

    Deleting is the lowest, because it may happen only when nothing else is asked for.
    """

    #: Delete: everything derived from it is stored.
    ACKNOWLEDGE = 0
    #: A copy with the reason goes to the dead letter queue; then delete.
    DEAD_LETTER = 1
    #: Keep in flight until the run has ended.
    HOLD = 2
    #: Make visible again after a delay.
    RELEASE = 3
    #: Do nothing; the visibility timeout redelivers.
    LAPSE = 4


class RunState(str, Enum):
    """What Airflow says of the run with this event's run id."""

    NONE = "none"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


class Start(str, Enum):
    """What to do about the run itself."""

    #: Create it, and read it back.
    CREATE = "create"
    #: Create it once more under the attempt number that the message carries.
    AGAIN = "again"
    #: It is there: nothing to do.
    NOTHING = "nothing"


#: (state of the run of this run id, does the message carry an attempt) to what is done about the run with
#: ``acknowledge="run_stored"``. The message is acknowledged in every row: each leaves the run stored.
RUN_STORED: Mapping[tuple[RunState, bool], Start] = MappingProxyType(
    {
        (RunState.NONE, False): Start.CREATE,
        (RunState.NONE, True): Start.CREATE,
        (RunState.QUEUED, False): Start.NOTHING,
        (RunState.QUEUED, True): Start.NOTHING,
        (RunState.RUNNING, False): Start.NOTHING,
        (RunState.RUNNING, True): Start.NOTHING,
        (RunState.SUCCESS, False): Start.NOTHING,
        (RunState.SUCCESS, True): Start.NOTHING,
        # A late duplicate must not restart a failed run; a replay must, once for each attempt number.
        (RunState.FAILED, False): Start.NOTHING,
        (RunState.FAILED, True): Start.AGAIN,
    }
)


def combine(dispositions: Iterable[Disposition]) -> Disposition:
    """Return the fate of a message whose events ask for ``dispositions``; none at all means acknowledge.

    A message is deleted only when every one of its events allows it.
    """
    return max(dispositions, default=Disposition.ACKNOWLEDGE)


#: A message costs two receives when all goes well: one wakes the task, one reads it. One more is to spare.
_LEAST_RECEIVES = 3


def check_redrive(attributes: QueueAttributes, *, dispatchers: int = 1) -> None:
    """Refuse a redrive policy that would dead-letter messages which nothing is wrong with.

    Args:
        attributes: Of the queue.
        dispatchers: How many wait on it side by side. Those that are idle all receive a new message to wake,
            before one of them reads it.

    Raises:
        ConfigurationError: ``maxReceiveCount`` is less than 3, or than two more than ``dispatchers``.
    """
    limit, least = attributes.max_receive_count, _LEAST_RECEIVES + dispatchers - 1
    if limit is not None and limit < least:
        raise ConfigurationError(
            f"maxReceiveCount={limit} in the redrive policy of {attributes.arn}: set it to 20, and to no less"
            f" than {least}, because waking each of {dispatchers} dispatchers and reading the message are"
            f" {dispatchers + 1} receives"
        )


#: Seconds: the longest delay where the receives that are left set no other.
_LONGEST_DELAY_SECONDS = 900.0
#: Seconds: the delay before the last receive that the redrive policy allows; SQS hides nothing beyond 12 h.
_LAST_DELAY_SECONDS = 11 * 3600.0


def release_delay_seconds(
    receive_count: int, max_receive_count: int | None, first_delay_seconds: float, *, share: float = 1.0
) -> float:
    """Return for how long to hide a message that is released, so that waiting never dead-letters it early.

    Doubles from ``first_delay_seconds`` to 15 minutes. SQS moves a message to the dead letter queue when it
    would be received more than ``max_receive_count`` times, without a reason and whoever was at fault
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html).
    So where few receives are left the delays grow faster, by a constant factor up to 11 hours before the last
    one: what was broken for a while is found mended after a few times that while.

    Messages put off together would come back together, to a DAG with room for some of them, time and again
    until their receives are used up. ``share`` spreads them over the upper half of each delay.

    Args:
        receive_count: How often the message has been received, this time included.
        max_receive_count: Of the queue's redrive policy; None where it has none.
        first_delay_seconds: The delay after the first receive.
        share: From 0 to 1, different for each message and receive.
    """
    return (0.5 + share / 2) * _longest_delay(receive_count, max_receive_count, first_delay_seconds)


def _longest_delay(receive_count: int, max_receive_count: int | None, first_delay_seconds: float) -> float:
    step = max(receive_count, 1) - 1
    doubled: float = min(first_delay_seconds * 2.0 ** min(step, 10), _LONGEST_DELAY_SECONDS)
    if max_receive_count is None:
        return doubled
    steps = max(max_receive_count - 2, 0)
    if step >= steps:
        return _LAST_DELAY_SECONDS
    spread: float = _LAST_DELAY_SECONDS ** (step / steps) * first_delay_seconds ** (1 - step / steps)
    return max(doubled, spread)
