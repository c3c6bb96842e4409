"""What the copy of a message carries when it goes to a dead letter queue."""

from __future__ import annotations

import logging
import re

from airflow_s3events.messages import Message

log = logging.getLogger(__name__)

#: Why the message could not be processed.
REASON_ATTRIBUTE = "s3events.reason"
#: ``ApproximateReceiveCount`` of the message when it was given up.
RECEIVES_ATTRIBUTE = "s3events.receives"
#: Characters kept of a reason: it is read in a console's table; the log has all of it.
REASON_LENGTH = 256
#: SQS takes so many message attributes
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
_MOST_ATTRIBUTES = 10
#: What SQS does not take in text: anything outside XML 1.0's characters
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dead_letter_attributes(message: Message, reason: str) -> dict[str, str]:
    """Return the message attributes of a dead-lettered copy: reason and receives, then the message's own.

    At most ten; attributes of the message beyond that are left out, with a warning that names them.
    """
    text = _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", reason)[:REASON_LENGTH] or "no reason given"
    kept = {REASON_ATTRIBUTE: text, RECEIVES_ATTRIBUTE: str(message.receive_count)}
    own = {name: value for name, value in message.attributes.items() if name not in kept}
    for name in list(own)[: _MOST_ATTRIBUTES - len(kept)]:
        kept[name] = own.pop(name)
    if own:
        log.warning("Dead-lettered copy of message %s lacks attributes %s", message.message_id, sorted(own))
    return kept
