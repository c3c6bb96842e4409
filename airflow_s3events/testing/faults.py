"""What goes wrong at a queue in memory, and when."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Literal

from airflow_s3events.exceptions import OutageError

Call = Literal["receive", "delete", "change_visibility", "send", "describe"]


class FaultPlan:
    """Faults for an ``InMemoryQueue``; each is used up by the calls that meet it."""

    def __init__(self) -> None:
        self._errors: dict[str, deque[Exception]] = defaultdict(deque)
        self._refusals: dict[str, deque[set[int] | None]] = defaultdict(deque)
        self._planned: Counter[str] = Counter()

    def fail(self, call: Call, times: int = 1, error: Exception | None = None) -> None:
        """Let the next ``times`` calls do nothing and raise ``error``, an ``OutageError`` by default."""
        self._errors[call].extend([error or OutageError(f"{call}: planned outage")] * times)

    def lose_answers(self, call: Call, times: int = 1) -> None:
        """Let the next ``times`` calls do their work and then raise ``OutageError``."""
        self._planned[call] += times

    def refuse_entries(
        self, call: Literal["delete", "change_visibility"], times: int = 1, indexes: set[int] | None = None
    ) -> None:
        """Let the next ``times`` batch calls refuse the entries at ``indexes`` (None: all)."""
        self._refusals[call].extend([indexes] * times)

    def ignore_deletes(self, times: int = 1) -> None:
        """Confirm the next ``times`` deletes of a message without deleting it, as SQS now and then does."""
        self._planned["ignored delete"] += times

    def duplicate(self, times: int = 1) -> None:
        """Leave the next ``times`` messages that are received visible: they are delivered again at once."""
        self._planned["duplicate"] += times

    def before(self, call: Call) -> None:
        """Raise what is planned for the beginning of ``call``."""
        if self._errors[call]:
            raise self._errors[call].popleft()

    def after(self, call: Call) -> None:
        """Raise what is planned for the end of ``call``."""
        if self.takes(call):
            raise OutageError(f"{call}: planned loss of the answer")

    def refused(self, call: Literal["delete", "change_visibility"]) -> Callable[[int], bool]:
        """Return which entries this batch call refuses."""
        if not self._refusals[call]:
            return lambda _: False
        indexes = self._refusals[call].popleft()
        return lambda index: indexes is None or index in indexes

    def takes(self, planned: str) -> bool:
        """Use up one fault of this kind; return whether there was one."""
        self._planned[planned] -= (is_planned := self._planned[planned] > 0)
        return is_planned
