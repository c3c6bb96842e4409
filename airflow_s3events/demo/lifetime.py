"""``Lifetime``: what runs for as long as a ``with`` block does."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Lifetime:
    """``with`` it, it is up; behind it, it is stopped. What came up in part is stopped, too."""

    def bring_up(self) -> None:
        """Start it, and return when it is up."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.bring_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
