"""What a ledger asks of a place to keep things: documents by name, each written only over what was read.

Everything a ledger must decide once ("was it the first", "is it the newest") is a function from one document
to its next version, in ``entries``. A store knows nothing of that: it refuses a version that is not the next
one. So all stores are alike, small, and held to one suite (``tests/contract/test_ledger_stores.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Document:
    """One version of one document.

    Attributes:
        name: At most 320 characters of ASCII; begins with its kind and a slash.
        version: From 1; each write gives the next.
        body: Plain data (JSON types only), at most some kilobytes.
        subject: What the document is about, for ``about``: an ``object_id``; empty for none.
        expires_at: Seconds since the epoch after which it may be purged; None: never.
    """

    name: str
    version: int
    body: dict[str, Any]
    subject: str = ""
    expires_at: int | None = None


class Store(Protocol):
    """A place for documents. Every call raises ``OutageError`` where waiting helps."""

    async def read(self, names: Sequence[str]) -> dict[str, Document]:
        """Return those of the documents that there are, each as its last accepted write left it."""
        ...

    async def write(self, documents: Sequence[Document]) -> set[str]:
        """Write each document, of distinct names, whose stored version is the one before; 1 is for a new one.

        Each by itself: one that is refused does not keep the others from being written. Returns the names of
        those that were refused.
        """
        ...

    async def about(self, subject: str) -> list[Document]:
        """Return the documents of one subject; those written in the last second may be missing."""
        ...

    async def purge(self, before: float) -> int:
        """Remove in bulk what expired before that moment (seconds since the epoch); return how many."""
        ...
