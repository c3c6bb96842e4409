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
    #: A repeat is wanted of a run that still works: look again later, when it has ended.
    WAIT = "wait"


#: (state of the run of this run id, does the message carry an attempt) to what is done about the run with
#: ``acknowledge="run_stored"``. The message is acknowledged in every row but ``WAIT``: each leaves the run
#: stored.
RUN_STORED: Mapping[tuple[RunState, bool], Start] = MappingProxyType(
    {
        (RunState.NONE, False): Start.CREATE,
        (RunState.NONE, True): Start.CREATE,
        (RunState.QUEUED, False): Start.NOTHING,
        # A notifier of a task speaks before its run has failed: acknowledged now, its message would be lost.
        (RunState.QUEUED, True): Start.WAIT,
        (RunState.RUNNING, False): Start.NOTHING,
        (RunState.RUNNING, True): Start.WAIT,
        (RunState.SUCCESS, False): Start.NOTHING,
        (RunState.SUCCESS, True): Start.NOTHING,
        # A late duplicate must not restart a failed run; a replay must, once for each attempt number.
        (RunState.FAILED, False): Start.NOTHING,
        (RunState.FAILED, True): Start.AGAIN,
    }
)


#: The same with ``acknowledge="run_succeeded"``, and what becomes of the message meanwhile. A plain delivery
#: and one that carries an attempt are alike: a failed run is started again, since its message is here.
RUN_SUCCEEDED: Mapping[RunState, tuple[Start, Disposition]] = MappingProxyType(
    {
        RunState.NONE: (Start.CREATE, Disposition.HOLD),
        RunState.QUEUED: (Start.NOTHING, Disposition.HOLD),
        RunState.RUNNING: (Start.NOTHING, Disposition.HOLD),
        RunState.SUCCESS: (Start.NOTHING, Disposition.ACKNOWLEDGE),
        RunState.FAILED: (Start.AGAIN, Disposition.HOLD),
    }
)

#: What becomes of a message that is held, by the state of a run it waits for; the highest decides.
RUN_ENDED: Mapping[RunState, Disposition] = MappingProxyType(
    {
        RunState.QUEUED: Disposition.HOLD,
        RunState.RUNNING: Disposition.HOLD,
        RunState.SUCCESS: Disposition.ACKNOWLEDGE,
        # Somebody deleted the run: the message comes again and starts it anew.
        RunState.NONE: Disposition.RELEASE,
        # Start again after a while, or give up: ``after_failure``.
        RunState.FAILED: Disposition.RELEASE,
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


#: Receives of a message that waits for its turn: each look takes two, with delays that grow to hours.
_LEAST_RECEIVES_OF_TURNS = 10


def check_turns(attributes: QueueAttributes, *, dispatchers: int = 1) -> None:
    """Refuse a redrive policy that would dead-letter what only waits for its turn (``ordering="per_key"``).

    Raises:
        ConfigurationError: ``maxReceiveCount`` is less than 10, or than nine more than ``dispatchers``.
    """
    limit, least = attributes.max_receive_count, _LEAST_RECEIVES_OF_TURNS + dispatchers - 1
    if limit is not None and limit < least:
        raise ConfigurationError(
            f"maxReceiveCount={limit} in the redrive policy of {attributes.arn}: ordering='per_key' has"
            f" messages wait in the queue for their turn; set it to 20 or more, and to no less than {least}"
        )


def check_batches(
    attributes: QueueAttributes, *, open_seconds: float, life_seconds: float, dispatchers: int = 1
) -> None:
    """Refuse a queue that would lose what waits for its group to be closed.

    Each start of the dispatcher's task within ``open_seconds`` receives it once more.

    Raises:
        ConfigurationError: ``maxReceiveCount`` leaves too few receives, or messages are kept for less than
            twice ``open_seconds``.
    """
    starts = int(open_seconds // life_seconds) + 1
    limit, least = attributes.max_receive_count, _LEAST_RECEIVES + dispatchers - 1 + starts
    if limit is not None and limit < least:
        raise ConfigurationError(
            f"maxReceiveCount={limit} in the redrive policy of {attributes.arn}: set it to 20, and to no less"
            f" than {least}, because a group may be open for {open_seconds:g} s (open_seconds of batch), and"
            f" each start of the dispatcher, every {life_seconds:g} s (life_seconds), is a receive"
        )
    if attributes.retention_seconds < 2 * open_seconds:
        raise ConfigurationError(
            f"MessageRetentionPeriod={attributes.retention_seconds} of {attributes.arn}: set it to"
            f" {int(2 * open_seconds)} or more, twice open_seconds of batch"
        )


#: One try of a run costs its message so many receives: the trigger finds it, the task starts the run, and the
#: trigger takes it over when the task defers.
_RECEIVES_OF_A_TRY = 3
#: Least tries that a redrive policy must leave room for.
_LEAST_TRIES = 3
#: Stands in for a redrive policy's limit where the queue has none.
_RECEIVES_WITHOUT_POLICY = 20
#: SQS hides a message for so long at most, counted from its receive; a longer run costs one receive more.
_LONGEST_HOLD_SECONDS = 43_200


def receives_for_tries(max_receive_count: int | None, dispatchers: int) -> int | None:
    """Return how many receives of a message its tries may use up; None where the queue has no policy.

    What one of several dispatchers' triggers gives back for its task, the triggers of the others may receive
    before the task does: one receive is kept for each of them.
    """
    return None if max_receive_count is None else max_receive_count - (dispatchers - 1)


def check_hold(
    attributes: QueueAttributes, *, has_dead_letters: bool, expected_hold_seconds: float, dispatchers: int = 1
) -> None:
    """Refuse a queue that cannot hold messages until their runs have succeeded.

    Raises:
        ConfigurationError: No dead letter queue, a retention shorter than twice ``expected_hold_seconds``, or
            a ``maxReceiveCount`` that leaves no room for three tries.
    """
    if not has_dead_letters:
        raise ConfigurationError(
            f"acknowledge='run_succeeded': {attributes.arn} has no dead letter queue, so an event whose run"
            " always fails would be lost when its retention ends; give the queue a redrive policy, or set"
            " dead_letter_queue"
        )
    if attributes.retention_seconds < 2 * expected_hold_seconds:
        raise ConfigurationError(
            f"MessageRetentionPeriod={attributes.retention_seconds} of {attributes.arn}: set it to"
            f" {int(2 * expected_hold_seconds)} or more, twice expected_hold_seconds"
        )
    each = _RECEIVES_OF_A_TRY + dispatchers - 1
    least = _LEAST_TRIES * each + int(expected_hold_seconds // _LONGEST_HOLD_SECONDS)
    limit = attributes.max_receive_count
    if limit is not None and limit < least:
        raise ConfigurationError(
            f"maxReceiveCount={limit} in the redrive policy of {attributes.arn}: set it to 20, and to no less"
            f" than {least}, because each try of a run costs its message {each} receives"
        )


def after_failure(
    receive_count: int, max_receive_count: int | None, first_delay_seconds: float
) -> float | None:
    """Return for how long to hide a message whose run has failed; None: give up, too few receives are left.

    Doubles with each try from ``first_delay_seconds`` to 15 minutes.
    """
    limit = _RECEIVES_WITHOUT_POLICY if max_receive_count is None else max_receive_count
    if receive_count + _RECEIVES_OF_A_TRY > limit:
        return None
    tries = max(0, receive_count - 1) // _RECEIVES_OF_A_TRY
    delay: float = min(first_delay_seconds * 2.0 ** min(tries, 20), _LONGEST_DELAY_SECONDS)
    return delay


def may_start_again(receive_count: int, max_receive_count: int | None) -> bool:
    """Return whether a message that was just received leaves a receive for the trigger that takes it over."""
    limit = _RECEIVES_WITHOUT_POLICY if max_receive_count is None else max_receive_count
    return receive_count < limit


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
