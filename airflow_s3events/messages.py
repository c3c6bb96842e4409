"""One received SQS message, before anything is known of what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: Message attribute that a notifier, a replay or a park sets: the attempt number of the event, from 1.
ATTEMPT_ATTRIBUTE = "s3events.attempt"
#: Message attribute of a copy that was passed on: names of the watchers that have had it, by commas.
SERVED_ATTRIBUTE = "s3events.served"
#: Message attribute of a copy: SQS's id of the message that first brought the event.
ORIGIN_ATTRIBUTE = "s3events.message_id"

#: Of the largest attempt number that a run id takes.
_ATTEMPT_DIGITS = 9

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
    attributes: Mapping[str, str] = field(default_factory=lambda: _NO_ATTRIBUTES)
    #: When its receive had returned, in seconds since the epoch; None where nobody noted it.
    received_at: float | None = None
    #: ``AWSTraceHeader``: the X-Ray header of whoever sent it.
    trace_header: str | None = None

    @property
    def delivery_id(self) -> str:
        """SQS's id of the first message of this body, which a copy (a dead letter, a replay) still carries.

        An event that S3 gave neither sequencer nor request id is named by it.
        """
        return self.attributes.get(ORIGIN_ATTRIBUTE) or self.message_id

    @property
    def may_be_again(self) -> bool:
        """Whether somebody may have had its events before: it was received before, or is a copy.

        No proof of the opposite: S3, too, sends some events twice.
        """
        return self.receive_count > 1 or ORIGIN_ATTRIBUTE in self.attributes

    @property
    def attempt(self) -> int:
        """The attempt number that a notifier, replay or park put on the message; 0 for a plain delivery.

        What is no number of at most nine digits counts as a plain delivery: whoever may send to the queue may
        write anything there, and Python refuses to read a number of some thousand digits.
        """
        text = self.attributes.get(ATTEMPT_ATTRIBUTE, "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _ATTEMPT_DIGITS else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAttributes:
    """What ``GetQueueAttributes`` says of a queue; the three counts are approximate, as SQS gives them."""

    arn: str
    #: Visibility timeout of a receive that names none.
    visibility_seconds: int
    retention_seconds: int
    #: Where its redrive policy moves messages; None where it has none.
    dead_letter_arn: str | None = None
    #: The receive after this many moves the message there.
    max_receive_count: int | None = None
    waiting: int = 0
    in_flight: int = 0
    delayed: int = 0
    #: Longest body and attributes together.
    max_message_bytes: int = 1_048_576
