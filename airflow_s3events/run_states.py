"""How runs fare, found out from counts alone: which questions to ask, and how often."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple

from airflow_s3events.settlement import RunState

#: Run ids in one question: they travel in a URL of some 160 bytes each, and servers take 64 KiB.
CHUNK = 200
#: Seconds between two rounds of questions: while runs end, and when none has ended for a while.
FIRST_ROUND_SECONDS = 10.0
LAST_ROUND_SECONDS = 60.0
_SLOWER = 1.5

#: What a run can be, most likely first, and what it is called then. Queued counts as running: both work.
_GROUPS = (
    ((RunState.QUEUED, RunState.RUNNING), RunState.RUNNING),
    ((RunState.SUCCESS,), RunState.SUCCESS),
    ((RunState.FAILED,), RunState.FAILED),
)
_Groups = Sequence[tuple[tuple[RunState, ...], RunState]]


class Question(NamedTuple):
    """How many of these runs are in one of these states?"""

    run_ids: Sequence[str]
    states: tuple[RunState, ...]


#: Yields questions, takes counts, returns the state of each run; queued runs as ``RUNNING``.
Inquiry = Generator[Question, int, dict[str, RunState]]


def inquire(run_ids: Sequence[str]) -> Inquiry:
    """Find out the state of each of ``run_ids`` (distinct, of one DAG) by counts alone.

    Airflow tells a trigger how many of some runs are in some states, not which ones. So the question whether
    all still work comes first, one call for ``CHUNK`` runs; where some have ended, halves are asked about.
    ``k`` runs that ended among ``n`` cost about ``2 k log2(n / k)`` calls. Runs change while they are
    counted, so nothing is concluded from what is left over, but that a run that is in no state is none: a
    success is always one that was counted as such.
    """
    found: dict[str, RunState] = {}
    for first in range(0, len(run_ids), CHUNK):
        yield from _sort(run_ids[first : first + CHUNK], _GROUPS, found)
    return found


def _sort(
    run_ids: Sequence[str], possible: _Groups, found: dict[str, RunState]
) -> Generator[Question, int, None]:
    left = len(run_ids)
    there: list[tuple[tuple[RunState, ...], RunState]] = []
    for states, name in possible:
        count = yield Question(run_ids, states)
        if count >= len(run_ids):
            found.update(dict.fromkeys(run_ids, name))
            return
        if count > 0:
            there.append((states, name))
        left -= count
        if left <= 0:
            break
    if not there:
        found.update(dict.fromkeys(run_ids, RunState.NONE))
        return
    middle = len(run_ids) // 2
    yield from _sort(run_ids[:middle], there, found)
    yield from _sort(run_ids[middle:], there, found)


class Pace:
    """When to ask again: 10 s after a round in which a run ended, then ever later, up to 60 s."""

    def __init__(self) -> None:
        self._seconds = FIRST_ROUND_SECONDS

    @property
    def seconds(self) -> float:
        """Seconds until the next round."""
        return self._seconds

    def round_ended(self, *, has_ended: bool) -> None:
        """Note a round; ``has_ended``: a run has ended since the one before, or a new one is waited for."""
        slower = min(self._seconds * _SLOWER, LAST_ROUND_SECONDS)
        self._seconds = FIRST_ROUND_SECONDS if has_ended else slower
