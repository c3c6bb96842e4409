"""``ObjectFacts``: what S3 says of an event's object when it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from airflow_s3events.exceptions import BodyError

#: What can be asked: ``"tags"`` is one GetObjectTagging, ``"head"`` one HeadObject.
Part = Literal["tags", "head"]
PARTS: tuple[str, ...] = get_args(Part)
#: ``"found"``: S3 answered for the object of the event. ``"unverified"``: it answered, and nothing tells
#: whether for that object or a later one of its key. ``"newer"``: another object has the key by now.
#: ``"gone"``: there is none any more.
State = Literal["found", "unverified", "newer", "gone"]
STATES: tuple[str, ...] = get_args(State)

_TEXTS = ("version_id", "content_type", "storage_class", "encryption", "kms_key_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """What S3 said of an event's object, some time after the event.

    Of an object that is gone or newer than the event nothing is kept: every member but ``state`` and
    ``asked`` is None. What was not asked is None, too.
    """

    state: State
    #: What was asked, sorted: ``"head"``, ``"tags"``.
    asked: tuple[str, ...]
    version_id: str | None = None
    content_type: str | None = None
    #: ``STANDARD``, too, for which S3 sends nothing.
    storage_class: str | None = None
    #: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``; None where it was not asked or S3 says nothing.
    encryption: str | None = None
    kms_key_id: str | None = None
    #: User metadata, names in lower case and without ``x-amz-meta-``.
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    tags: Mapping[str, str] | None = field(default=None, hash=False)

    def has(self, part: str) -> bool:
        """Whether there is nothing more to learn about ``part``."""
        return part in self.asked or self.state in ("newer", "gone")

    def with_(self, other: ObjectFacts) -> ObjectFacts:
        """Return these facts and those of a later answer about another part of the same object."""
        asked = tuple(sorted({*self.asked, *other.asked}))
        if other.state in ("newer", "gone"):
            return ObjectFacts(state=other.state, asked=asked)
        mine, later = self.serialize(), other.serialize()
        members = {name: mine[name] if later[name] is None else later[name] for name in later}
        is_found = "found" in (self.state, other.state)
        members |= {"asked": asked, "state": "found" if is_found else "unverified"}
        return ObjectFacts.deserialize(members)

    def serialize(self) -> dict[str, Any]:
        """Return plain data (JSON types only), members in a fixed order, absent ones null."""
        return {
            "state": self.state,
            "asked": list(self.asked),
            **{name: getattr(self, name) for name in _TEXTS},
            "metadata": None if self.metadata is None else dict(self.metadata),
            "tags": None if self.tags is None else dict(self.tags),
        }

    @staticmethod
    def deserialize(data: Any) -> ObjectFacts:
        """Read back what ``serialize`` gave; unknown members are left behind, absent ones are None.

        Raises:
            BodyError: Not an object, or a member of the wrong type; the text names it.
        """
        if not isinstance(data, Mapping):
            raise BodyError(f"facts should be a JSON object, not {type(data).__name__}")
        state, asked = data.get("state"), data.get("asked")
        if state not in STATES:
            raise BodyError(f"facts: state {state!r:.60} is not one of {', '.join(STATES)}")
        if not isinstance(asked, (list, tuple)) or not all(isinstance(part, str) for part in asked):
            raise BodyError("facts: asked should be a list of texts")
        return ObjectFacts(
            state=state,
            asked=tuple(asked),
            **{name: _text(data, name) for name in _TEXTS},
            metadata=_texts(data, "metadata"),
            tags=_texts(data, "tags"),
        )


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise BodyError(f"facts: {name} should be text, not {type(value).__name__}")
    return value


def _texts(data: Mapping[str, Any], name: str) -> Mapping[str, str] | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise BodyError(f"facts: {name} should be a JSON object of texts")
    return MappingProxyType({str(key): text for key, text in value.items()})
