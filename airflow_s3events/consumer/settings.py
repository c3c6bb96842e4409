"""How a consumer works: plain values, checked once."""

from __future__ import annotations

from dataclasses import dataclass, fields

from airflow_s3events.exceptions import ConfigurationError

_MIB = 1024 * 1024
#: Field to its lowest and highest value.
_LIMITS: dict[str, tuple[float, float]] = {
    "receivers": (1, 32),
    "wait_seconds": (0, 20),
    "visibility_seconds": (1, 43_200),
    "max_in_flight": (1, 100_000),
    "max_in_flight_bytes": (1, float("inf")),
    "batch_count": (1, 100_000),
    "batch_bytes": (1, float("inf")),
    "batch_seconds": (0, 43_200),
    "idle_seconds": (0, float("inf")),
    "life_seconds": (0, float("inf")),
    "settle_seconds": (0, 60),
    "stop_seconds": (0, 60),
    "close_seconds": (0, 600),
}
_WHOLE = {"receivers", "wait_seconds", "visibility_seconds", "max_in_flight", "batch_count"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """How a ``Consumer`` works.

    Attributes:
        receivers: Receive calls under way at the same time while messages come; one while the queue is quiet.
        wait_seconds: Longest long poll, 0 to 20 whole seconds
            (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html).
        visibility_seconds: A received message stays hidden so long if we die; extended at half of it. 1 to
            43,200.
        max_in_flight: Messages received and not settled, at most.
        max_in_flight_bytes: Receive no more while the bodies held are longer than this together; what is
            under way then (``receivers`` calls of ten messages of 1 MiB) may still come on top. Default 16
            MiB.
        batch_count: A batch that is handed over has at most so many messages,
        batch_bytes: is complete as soon as its bodies have so many bytes together (default 1 MiB),
        batch_seconds: and waits at most so long for more; 0 (the default) hands over at once what is there.
        idle_seconds: ``batches()`` ends after so long without a message; None never.
        life_seconds: ``batches()`` ends so long after the consumer was opened; None never.
        settle_seconds: A decision waits at most so long for nine others to share its call. Default 0.2.
        stop_seconds: A stop waits so long for receives under way before it cancels them.
        close_seconds: A stop spends at most so long on settling; what is not settled then lapses.

    Raises:
        ConfigurationError: A value is out of range; names the setting.
    """

    receivers: int = 2
    wait_seconds: int = 20
    visibility_seconds: int = 300
    max_in_flight: int = 100
    max_in_flight_bytes: int = 16 * _MIB
    batch_count: int = 10
    batch_bytes: int = _MIB
    batch_seconds: float = 0.0
    idle_seconds: float | None = None
    life_seconds: float | None = None
    settle_seconds: float = 0.2
    stop_seconds: float = 5.0
    close_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                _check(field.name, value)


def _check(name: str, value: object) -> None:
    kind = "a whole number" if name in _WHOLE else "a number"
    allowed = (int,) if name in _WHOLE else (int, float)
    low, high = _LIMITS[name]
    fits = isinstance(value, allowed) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        raise ConfigurationError(f"{name}={value!r}: give {kind} from {low:g} to {high:g}")
