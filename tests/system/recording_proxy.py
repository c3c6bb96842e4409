"""A proxy in front of the embedded AWS that remembers what must never be seen again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.system.aws_proxy import aws_proxy


@dataclass
class Recording:
    """What went through."""

    url: str = ""
    handles: set[str] = field(default_factory=set)
    bodies: set[str] = field(default_factory=set)
    #: Bodies received, one after the other: when, in seconds since the epoch, and which.
    receives: list[tuple[float, str]] = field(default_factory=list)

    def note(self, answer: bytes) -> None:
        """Remember receipt handles and bodies of one answer."""
        try:
            messages = json.loads(answer).get("Messages") or []
        except (ValueError, AttributeError):
            return
        self.handles.update(message["ReceiptHandle"] for message in messages)
        self.bodies.update(message["Body"] for message in messages)
        self.receives.extend((time.time(), message["Body"]) for message in messages)


@contextmanager
def recording_proxy(target: str) -> Iterator[Recording]:
    """Hand every call on to ``target``; yield what was recorded and the proxy's URL."""
    recording = Recording()
    with aws_proxy(target, seen=recording.note) as url:
        recording.url = url
        yield recording
