"""``HaulProducer``: one consumer for all watchers of a queue, on Airflow 3.3's shared stream in ack mode.

The promise: a message is deleted only after Airflow has stored the asset events of every watcher that wants
part of it. Airflow says so by ``advance``; which of its words may be believed is in
``docs/decisions/0009-assets.md``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Sequence

from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from airflow_s3events.hauls import Haul, HaulStream
from airflow_s3events.triggers.watching.source import HaulSource


class HaulProducer(SharedStreamProducer):
    """Feeds Airflow's shared stream with hauls, and settles them as it is told.

    Args:
        source: Gives the hauls.
    """

    def __init__(self, source: HaulSource) -> None:
        self._source = source

    async def open_stream(self) -> AsyncIterator[tuple[Haul, tuple[HaulStream, Haul]]]:
        """Yield hauls for ever."""
        async for stream, haul in self._source.hauls():
            yield haul, (stream, haul)

    def get_advance_lane(self, broker_payload: tuple[HaulStream, Haul]) -> Hashable:
        """A lane of its own for each haul: one that is stored late holds nobody up."""
        return id(broker_payload[1])

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Hand over to the settler, without waiting: Airflow awaits one such call at a time."""
        for (stream, haul), outcome in batch:
            failed = outcome.failed + (not outcome.is_clean and not outcome.rejected)
            stream.resolve(haul, failed=failed, rejected=outcome.rejected)

    async def aclose(self) -> None:
        """Settle what is decided, give the rest back."""
        await self._source.aclose()
