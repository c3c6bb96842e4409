"""What is measured of an event on its way: that it was read, its lag, the age of its message. Pure."""

from __future__ import annotations

from airflow_s3events.events import ObjectEvent
from airflow_s3events.messages import Message
from airflow_s3events.metrics import Meter

#: S3's clock and ours differ by less than this where both are kept right.
_CLOCKS_SECONDS = 1.0


def note_read(meter: Meter, event: ObjectEvent, message: Message) -> None:
    """Note an event that was read, and its receive."""
    meter.count("events.read")
    note_receive(meter, event, message)


def note_receive(meter: Meter, event: ObjectEvent, message: Message) -> None:
    """Note how old a message is, and an event's lag when its message came for the first time.

    A message that is received again has waited for us, not for S3 or SQS.
    """
    if message.received_at is None:
        return
    if message.sent_at is not None:
        meter.peak("queue.oldest_seconds", message.received_at - message.sent_at)
    if event.event_time is not None and message.receive_count == 1:
        seconds = message.received_at - event.event_time.timestamp()
        if seconds < -_CLOCKS_SECONDS:
            meter.count("lag.negative")
            meter.remark("clock_wrong", f"an event came {-seconds:.0f} s before its own time")
        meter.time("lag.event_to_receive", max(0.0, seconds))


def note_run(meter: Meter, event: ObjectEvent, message: Message, now: float) -> None:
    """Note that the run of an event was made, at ``now`` (seconds since the epoch): once for each run."""
    if message.received_at is not None:
        meter.time("lag.receive_to_run", max(0.0, now - message.received_at))
    if event.event_time is not None:
        meter.time("lag.event_to_run", max(0.0, now - event.event_time.timestamp()))
