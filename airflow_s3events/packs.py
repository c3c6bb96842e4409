"""Packs: many object events travel in one asset event, because storing one is what costs.

Airflow stores some fifty asset events a second, however much each holds, and gives every task of a run all of
them: so packs are as full as two limits allow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ConfigurationError
from airflow_s3events.identity import event_id
from airflow_s3events.messages import Message

#: The member of an asset event's payload that holds the object events: written here, read here.
PACK_MEMBER = "s3_events"
#: And the one that is there, and true, where some of them may have been stored before.
_AGAIN_MEMBER = "s3_events_again"
#: Object events of one asset event, by default: every task of the run gets all of them.
PACK_COUNT = 100
#: Bytes of JSON of one asset event, by default.
PACK_BYTES = 65_536
#: Airflow makes at most so many mapped tasks of one list, unless ``[core] max_map_length`` says otherwise.
MAX_MAP_LENGTH = 1024
#: Made once: ``json.dumps`` with arguments makes an encoder for each call.
_encoded = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class PackedEvent:
    """One object event in the form in which it travels: thousands are held at a time."""

    #: ``ObjectEvent.serialize()`` without its absent members, and the ``event_id``.
    data: Mapping[str, Any]
    #: Bytes of ``data`` as JSON.
    size: int
    #: What brought it, which whoever settles it holds anyway.
    message: Message | None = None

    @classmethod
    def of(cls, event: ObjectEvent, message: Message | None = None) -> PackedEvent:
        """Pack ``event``."""
        data = {key: value for key, value in event.serialize().items() if value not in (None, {})}
        data["event_id"] = event_id(event)
        return cls(data, len(_encoded(data).encode()), message)


def cut(events: Iterable[PackedEvent], *, most_count: int, most_bytes: int) -> Iterator[list[PackedEvent]]:
    """Cut ``events`` into packs of at most ``most_count`` of them and ``most_bytes`` bytes, in order.

    An event larger than that by itself is a pack of its own.
    """
    pack: list[PackedEvent] = []
    size = 0
    for event in events:
        if pack and (len(pack) == most_count or size + event.size > most_bytes):
            yield pack
            pack, size = [], 0
        pack.append(event)
        size += event.size
    if pack:
        yield pack


def payload_of(events: Sequence[PackedEvent], carrier: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the payload of the asset event that holds ``events``: plain data.

    ``carrier`` names the span that made it, where there is one.
    """
    payload: dict[str, Any] = {PACK_MEMBER: [dict(packed.data) for packed in events], **(carrier or {})}
    if any(packed.message is not None and packed.message.may_be_again for packed in events):
        payload[_AGAIN_MEMBER] = True
    return payload


def again(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``extra`` of an asset event for another one of the same events: they may have been there."""
    payload = extra.get("payload")
    if not isinstance(payload, Mapping):
        return dict(extra)
    return {**extra, "payload": {**payload, _AGAIN_MEMBER: True}}


@dataclass(frozen=True, slots=True)
class AssetPack:
    """What one stored asset event holds."""

    #: When Airflow stored it.
    stored_at: datetime
    #: By event id, in order.
    events: Mapping[str, ObjectEvent]
    #: Whether some of them may have been stored before, by what their messages said.
    may_be_again: bool = False


def read_pack(extra: Any, stored_at: datetime) -> AssetPack | None:
    """Return what an asset event with this ``extra`` holds; None where it is not one of this package.

    Raises:
        BodyError: It holds packed object events of another form.
    """
    payload = extra.get("payload") if isinstance(extra, Mapping) else None
    if not isinstance(payload, Mapping) or PACK_MEMBER not in payload:
        return None
    members = payload[PACK_MEMBER]
    if not isinstance(members, Sequence) or isinstance(members, (str, bytes)):
        raise BodyError(f"asset event: {PACK_MEMBER} should be a list, not {type(members).__name__}")
    events: dict[str, ObjectEvent] = {}
    for data in members:
        event = ObjectEvent.deserialize(data)
        events.setdefault(str(data.get("event_id") or event_id(event)), event)
    return AssetPack(stored_at, events, bool(payload.get(_AGAIN_MEMBER)))


def own_events(packs: Iterable[AssetPack], earlier: Iterable[AssetPack] = ()) -> list[ObjectEvent]:
    """Return the object events of one asset that belong to a run with ``packs``, each once and in order.

    A kill between storing an asset event and deleting its messages makes Airflow store the same object events
    once more, in another asset event, so that they can come to two runs. They belong to the first: an event
    id belongs to the earliest asset event that holds it, and what ``earlier`` ones hold is left out.
    """
    packs = sorted(packs, key=lambda pack: pack.stored_at)
    seen = {name for pack in earlier for name in pack.events}
    found: list[ObjectEvent] = []
    for pack in packs:
        found += [event for name, event in pack.events.items() if name not in seen]
        seen |= pack.events.keys()
    return found


def chunks_of(events: Sequence[ObjectEvent], size: int | None = None) -> list[list[dict[str, Any]]]:
    """Return ``events`` as plain data, in at most ``MAX_MAP_LENGTH`` lists: what a mapped task is given.

    Args:
        events: What ``events_of`` returned.
        size: Events of one list; as many as it takes to stay within the limit when None.

    Raises:
        ConfigurationError: ``size`` is less than 1, or gives more lists than Airflow would map.
    """
    least = max(1, -(-len(events) // MAX_MAP_LENGTH))
    size = least if size is None else size
    if size < least:
        raise ConfigurationError(
            f"size={size!r}: give at least {least}, since {len(events)} events would make more than"
            f" {MAX_MAP_LENGTH} mapped tasks ([core] max_map_length)"
        )

    plain = [event.serialize() for event in events]
    return [plain[first : first + size] for first in range(0, len(plain), size)]
