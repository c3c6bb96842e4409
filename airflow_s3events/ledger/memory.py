"""Documents in memory: for tests, yours and ours, and for one look at a listing."""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from airflow_s3events.ledger.store import Counted, Document, IntervalCount


class MemoryStore:
    """Documents of this process; several ledgers may share one."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._about: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._documents)

    async def read(self, names: Sequence[str]) -> dict[str, Document]:
        """Return those that there are, as copies."""
        found = {name: self._documents[name] for name in names if name in self._documents}
        return {name: _copy(document) for name, document in found.items()}

    async def write(self, documents: Sequence[Document]) -> set[str]:
        """Write what is the next version; return the names that are not."""
        refused = set()
        for document in documents:
            stored = self._documents.get(document.name)
            if document.version != (1 if stored is None else stored.version + 1):
                refused.add(document.name)
                continue
            self._documents[document.name] = _copy(document)
            if document.subject:
                self._about[document.subject].add(document.name)
        return refused

    async def about(self, subject: str) -> list[Document]:
        """Return the documents of one subject."""
        return list((await self.read(sorted(self._about.get(subject, ())))).values())

    async def purge(self, before: float) -> int:
        """Remove what has expired."""
        old = [d for d in self._documents.values() if d.expires_at is not None and d.expires_at < before]
        for document in old:
            del self._documents[document.name]
            self._about[document.subject].discard(document.name)
        return len(old)

    async def latest(self, most: int) -> list[Document]:
        """Look through all of them."""
        timed = [(document.counted, name) for name, document in self._documents.items() if document.counted]
        return [_copy(self._documents[name]) for _, name in heapq.nlargest(most, timed)]

    async def counts(self, since: int, until: int, step_seconds: int) -> list[IntervalCount]:
        """Count through all of them."""
        documents: Counter[tuple[int, str]] = Counter()
        times: Counter[tuple[int, str]] = Counter()
        for one in self._counted(since, until):
            place = (one.moment - (one.moment - since) % step_seconds, one.label)
            documents[place] += 1
            times[place] += one.times
        return [IntervalCount(*place, documents[place], times[place]) for place in sorted(documents)]

    def _counted(self, since: int, until: int) -> list[Counted]:
        timed = (document.counted for document in self._documents.values())
        return [one for one in timed if one is not None and since <= one.moment < until]


def _copy(document: Document) -> Document:
    # As a database has it: what is written is not what is read, and only JSON comes back.
    return replace(document, body=json.loads(json.dumps(document.body)))
