"""What happens to a message, decided from what happened to its events: tables, not branches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, IntEnum
from types import MappingProxyType


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


#: (state of the run with this run id, does the message carry an attempt) to what is done about the run, for
#: ``acknowledge="run_stored"``. The message is then acknowledged in every row: each row leaves the run stored.
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
