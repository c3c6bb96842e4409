"""What a consumer holds: received and not yet settled, and until when. Time is passed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airflow_s3events.messages import Message

#: SQS refuses to hide a message for longer than this, counted in all from its receive
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html).
MAX_VISIBILITY_SECONDS = 43_200
#: SQS counts from when it chose the message, we from when it arrived: up to a long poll and a slow network
#: later.
SAFETY_SECONDS = 60
#: Messages due within this part of the visibility timeout are extended together, in fewer calls.
_TOGETHER = 0.1


@dataclass(slots=True, eq=False)
class Held:
    """One message that is held."""

    #: As last received: only its latest receipt handle is sure to delete it.
    message: Message
    #: UTF-8 length of the body.
    size: int
    received_at: float
    #: When SQS shows it to others, unless extended.
    visible_at: float
    #: When to extend it, or, where no extension is left, to let it lapse.
    extend_at: float
    #: The disposition it was given; None while whoever holds it has not decided.
    decision: str | None = None
    #: Whether it waits in the buffer to be handed over.
    is_buffered: bool = False


def seconds_left(held: Held, now: float) -> int:
    """Return how many seconds of SQS's 12 hours are left at ``now``; 0 at the end of them."""
    return max(0, int(held.received_at + MAX_VISIBILITY_SECONDS - SAFETY_SECONDS - now))


class InFlight:
    """The messages held, by message id, each extended at half of ``visibility_seconds``."""

    def __init__(self, visibility_seconds: int) -> None:
        self._visibility_seconds = visibility_seconds
        self._held: dict[str, Held] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._held.values()))

    @property
    def size(self) -> int:
        """UTF-8 length of all bodies held, in bytes."""
        return self._size

    def get(self, message: Message) -> Held | None:
        """Return what is held under this message's id, whichever of its deliveries ``message`` is."""
        return self._held.get(message.message_id)

    def add(self, messages: Sequence[Message], now: float) -> list[Held]:
        """Hold what was just received; return only what was not held already.

        A redelivery of a message that is held brings a newer receipt handle and a new 12 hours, nothing else.
        """
        new = []
        for message in messages:
            held = self._held.get(message.message_id)
            if held is None:
                held = Held(message, len(message.body.encode("utf-8", "surrogatepass")), now, now, now)
                self._held[message.message_id] = held
                self._size += held.size
                new.append(held)
            held.message = message
            held.received_at = now
            self.extended(held, self._visibility_seconds, now)
        return new

    def remove(self, held: Held) -> bool:
        """Hold it no longer; return whether it was held."""
        if self._held.get(held.message.message_id) is not held:
            return False
        del self._held[held.message.message_id]
        self._size -= held.size
        return True

    def next_extension(self) -> float | None:
        """When the next extension (or lapse) is due; None while nothing is held."""
        return min((held.extend_at for held in self._held.values()), default=None)

    def due(self, now: float) -> list[Held]:
        """Return what to extend now, the most urgent first, if any of it is due."""
        if not any(held.extend_at <= now for held in self._held.values()):
            return []
        horizon = now + self._visibility_seconds * _TOGETHER
        soon = [held for held in self._held.values() if held.extend_at <= horizon]
        return sorted(soon, key=lambda held: held.visible_at)

    def extension(self, held: Held, now: float) -> int:
        """For how many whole seconds from ``now`` this message may still be hidden; 0 or less: not at all."""
        seconds = min(self._visibility_seconds, seconds_left(held, now))
        return seconds if now + seconds > held.visible_at else 0

    def extended(self, held: Held, seconds: int, now: float) -> None:
        """Note that SQS hides this message for ``seconds`` from ``now``."""
        held.visible_at = now + seconds
        halfway = now + seconds / 2
        held.extend_at = halfway if self.extension(held, halfway) > 0 else held.visible_at
