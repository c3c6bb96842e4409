"""One received SQS message, before anything is known of what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: Message attribute that a notifier, a replay or a park sets: the attempt number of the event, from 1.
ATTEMPT_ATTRIBUTE = "s3events.attempt"

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One SQS message as one receive returned it.

    ``receipt_handle`` and ``body`` stay out of ``repr``: a receipt handle lets its holder delete the
    message, and a body can hold personal data, so neither may reach a log.
    """

    message_id: str
    receipt_handle: str = field(repr=False)
    body: str = field(repr=False)
    #: ``ApproximateReceiveCount``: every receive by anybody, this one included.
    receive_count: int = 1
    #: ``SentTimestamp`` in seconds since the epoch; None where the queue did not say.
    sent_at: float | None = None
    #: Message attributes of type String or Number, as text.
    attributes: Mapping[str, str] = _NO_ATTRIBUTES

    @property
    def attempt(self) -> int:
        """The attempt number that a notifier, replay or park put on the message; 0 for a plain delivery."""
        text = self.attributes.get(ATTEMPT_ATTRIBUTE, "0")
        return int(text) if text.isascii() and text.isdigit() else 0
