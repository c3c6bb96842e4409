"""What a sensor waits for, and whether it has come: decided from what S3 answers, and from nothing else.

An object counts while it is in the bucket. That an event told of it is not asked: events can be lost, come
twice, come late, and speak of what is gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import EventFilter, everything
from airflow_s3events.looks import SCHEME, Content, Head, Location, Look, Page, Question, Seen
from airflow_s3events.manifests import keys_of_manifest

#: Objects that one sensor waits for or returns, at most: they all lie in one XCom.
MAX_OBJECTS = 10_000


class Awaited(ABC):
    """What is waited for. Make one of the classes below, or read one with ``deserialize``."""

    __slots__ = ()

    #: What all objects that count must match.
    when: EventFilter

    @abstractmethod
    def look(self, first: Location | None = None) -> Look:
        """Ask S3 whether all has come; ``first`` is what the look before found to be absent."""

    @abstractmethod
    def concerns(self, event: ObjectEvent) -> bool:
        """Whether ``event`` may change the answer, so that another look is worth its calls.

        Deletes may, too: deleting a delete marker brings an object back, and S3 names both alike.
        """

    @abstractmethod
    def serialize(self) -> dict[str, Any]:
        """Return plain data (JSON types only) from which ``deserialize`` makes it again."""

    @abstractmethod
    def __str__(self) -> str:
        """Return it in words."""

    @staticmethod
    def deserialize(data: Mapping[str, Any]) -> Awaited:
        """Read back what ``serialize`` gave, from this release or an earlier one."""
        members = dict(data)
        kind: type[Awaited] = _KINDS[members.pop("kind")]
        members["when"] = EventFilter.deserialize(members["when"])
        if "keys" in members:
            members["keys"] = tuple(Location(*each) for each in members["keys"])
        if "location" in members:
            members["location"] = Location(*members["location"])
        return kind(**members)


@dataclass(frozen=True, slots=True)
class Keys(Awaited):
    """All of these objects, each of which ``when`` matches, at one look."""

    keys: tuple[Location, ...]
    when: EventFilter = everything

    def look(self, first: Location | None = None) -> Look:
        """See ``Awaited``."""
        return _all_there(self.keys, self.when, first)

    def concerns(self, event: ObjectEvent) -> bool:
        """See ``Awaited``."""
        return (event.bucket, event.key) in self.keys

    def serialize(self) -> dict[str, Any]:
        """See ``Awaited``."""
        return {"kind": "keys", "keys": [list(each) for each in self.keys], "when": self.when.serialize()}

    def __str__(self) -> str:
        first, others = self.keys[0].uri, len(self.keys) - 1
        return f"{first} and {others} more" if others else first


@dataclass(frozen=True, slots=True)
class Objects(Awaited):
    """``count`` objects under a prefix that ``when`` matches; folder markers are none."""

    bucket: str
    prefix: str = ""
    count: int = 1
    when: EventFilter = everything

    def look(self, first: Location | None = None) -> Look:  # noqa: ARG002 - a listing has no first
        """See ``Awaited``."""
        found = yield from _under(self.bucket, self.prefix, self._counts, self.count)
        if len(found) == self.count:
            return Seen(events=found)
        return Seen(missing=f"{self.count - len(found)} of {self}")

    def concerns(self, event: ObjectEvent) -> bool:
        """See ``Awaited``."""
        return event.bucket == self.bucket and event.key.startswith(self.prefix)

    def serialize(self) -> dict[str, Any]:
        """See ``Awaited``."""
        return {
            "kind": "objects",
            "bucket": self.bucket,
            "prefix": self.prefix,
            "count": self.count,
            "when": self.when.serialize(),
        }

    def __str__(self) -> str:
        return f"{self.count} objects under {Location(self.bucket, self.prefix).uri}"

    def _counts(self, event: ObjectEvent) -> bool:
        return not event.is_folder_marker and self.when(event)


@dataclass(frozen=True, slots=True)
class Marker(Awaited):
    """An object such as ``_SUCCESS`` that says that its folder is complete; found with the folder's objects.

    Its parts are all objects in its folder and the folders below that ``when`` matches. Names that begin with
    ``_`` or ``.`` are hidden, those of folders too, as in Hadoop and Spark. There may be no parts at all: a
    job with no output writes its marker, too.
    """

    location: Location
    when: EventFilter = everything

    def look(self, first: Location | None = None) -> Look:  # noqa: ARG002 - there is only the marker
        """See ``Awaited``."""
        marker = yield Head(self.location)
        if marker is None:
            return Seen(missing=str(self), absent=self.location)
        parts = yield from _under(self.location.bucket, self._folder, self._is_part, MAX_OBJECTS + 1)
        if len(parts) > MAX_OBJECTS:
            raise _too_many("marker_key", self.location)
        return Seen(events=(marker, *parts))

    def concerns(self, event: ObjectEvent) -> bool:
        """See ``Awaited``."""
        return (event.bucket, event.key) == self.location

    def serialize(self) -> dict[str, Any]:
        """See ``Awaited``."""
        return {"kind": "marker", "location": list(self.location), "when": self.when.serialize()}

    def __str__(self) -> str:
        return self.location.uri

    @property
    def _folder(self) -> str:
        folder, slash, _ = self.location.key.rpartition("/")
        return folder + slash

    def _is_part(self, event: ObjectEvent) -> bool:
        names = event.key[len(self._folder) :].split("/")
        is_hidden = any(name.startswith(("_", ".")) for name in names)
        is_marker = event.key == self.location.key or event.is_folder_marker
        return not is_hidden and not is_marker and self.when(event)


@dataclass(frozen=True, slots=True)
class Manifest(Awaited):
    """An object that lists others: found with all of them, each of which ``when`` matches."""

    location: Location
    when: EventFilter = everything

    def look(self, first: Location | None = None) -> Look:
        """See ``Awaited``."""
        answer = yield Content(self.location)
        if answer is None:
            return Seen(missing=str(self), absent=self.location)
        manifest, content = answer
        parts = locations(keys_of_manifest(content, self.location.uri), self.location.bucket, "manifest_key")
        if len(parts) > MAX_OBJECTS:
            raise _too_many("manifest_key", self.location)
        seen = yield from _all_there(parts, self.when, first)
        return Seen(events=(manifest, *seen.events)) if seen.has_arrived else seen

    def concerns(self, event: ObjectEvent) -> bool:  # noqa: ARG002 - its parts are known to the look alone
        """See ``Awaited``."""
        return True

    def serialize(self) -> dict[str, Any]:
        """See ``Awaited``."""
        return {"kind": "manifest", "location": list(self.location), "when": self.when.serialize()}

    def __str__(self) -> str:
        return f"{self.location.uri} and what it lists"


_KINDS: Mapping[str, Any] = {"keys": Keys, "objects": Objects, "marker": Marker, "manifest": Manifest}


def _all_there(wanted: tuple[Location, ...], when: EventFilter, first: Location | None) -> Look:
    """Ask for each, that which was absent before all others; end at the first that is not there."""
    there: dict[Location, ObjectEvent] = {}
    for location in sorted(wanted, key=lambda each: each != first):
        event = yield Head(location)
        if event is None or not when(event):
            unfit = "" if event is None else f", which is there but does not match: {when}"
            return Seen(missing=location.uri + unfit, absent=location)
        there[location] = event
    return Seen(events=tuple(there[each] for each in wanted))


def _under(
    bucket: str, prefix: str, counts: Callable[[ObjectEvent], bool], most: int
) -> Generator[Question, Any, tuple[ObjectEvent, ...]]:
    """List objects that count, ``most`` of them at most, in order of their keys."""
    found: list[ObjectEvent] = []
    page: Page | None = Page(bucket, prefix)
    while page is not None and len(found) < most:
        listed = yield page
        found += [event for event in listed.events if counts(event)][: most - len(found)]
        page = None if listed.next is None else Page(bucket, prefix, listed.next)
    return tuple(found)


def _too_many(setting: str, location: Location) -> ConfigurationError:
    return ConfigurationError(
        f"{setting}: {location.uri} has more than {MAX_OBJECTS:,} parts; wait for it alone with bucket_key,"
        " and list its parts in a task of your own"
    )


# From settings ----------------------------------------------------------------------------------------------


def awaited_of(
    *,
    bucket_key: str | Iterable[str] | None = None,
    prefix: str | None = None,
    marker_key: str | None = None,
    manifest_key: str | None = None,
    bucket_name: str | None = None,
    count: int = 1,
    when: EventFilter | Mapping[str, Any] | None = None,
) -> Awaited:
    """Return what the settings of a sensor say; ``S3EventSensor`` says what each of them means.

    Raises:
        ConfigurationError: They say nothing, two things, or something that never comes; names the setting.
    """
    named = {
        "bucket_key": bucket_key,
        "prefix": prefix,
        "marker_key": marker_key,
        "manifest_key": manifest_key,
    }
    given = [setting for setting, value in named.items() if value is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"{' and '.join(given) or 'nothing to wait for'}: give one of {', '.join(named)}"
        )
    matching = _checked_filter(when)
    if prefix is not None:
        return _objects(prefix, bucket_name, count, matching)
    if count != 1:
        raise ConfigurationError(f"count={count!r}: it goes with prefix; with {given[0]} leave it out")
    if marker_key is not None:
        return Marker(_location(marker_key, bucket_name, "marker_key"), matching)
    if manifest_key is not None:
        return Manifest(_location(manifest_key, bucket_name, "manifest_key"), matching)
    keys = [bucket_key] if isinstance(bucket_key, str) else list(bucket_key or ())
    if not 1 <= len(keys) <= MAX_OBJECTS:
        raise ConfigurationError(f"bucket_key: {len(keys)} keys; give from 1 to {MAX_OBJECTS:,}")
    return Keys(locations(keys, bucket_name, "bucket_key"), matching)


def locations(keys: Iterable[str], bucket_name: str | None, setting: str) -> tuple[Location, ...]:
    """Return where ``keys`` are, each once: full ``s3://`` URLs, or keys in ``bucket_name``.

    Raises:
        ConfigurationError: One of them is neither; names ``setting``.
    """
    return tuple(dict.fromkeys(_location(key, bucket_name, setting) for key in keys))


def _location(key: Any, bucket_name: str | None, setting: str, *, is_prefix: bool = False) -> Location:
    if not isinstance(key, str):
        raise ConfigurationError(f"{setting}={key!r}: give text")
    bucket: str | None = bucket_name
    if key.startswith(SCHEME):
        bucket, _, key = key.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise ConfigurationError(f"{setting}={key!r}: give a full s3://bucket/key, or bucket_name beside it")
    if not key and not is_prefix:
        raise ConfigurationError(f"{setting}: the key in bucket {bucket!r} is empty")
    return Location(bucket, key)


def _objects(prefix: str, bucket_name: str | None, count: int, when: EventFilter) -> Objects:
    if type(count) is not int or not 1 <= count <= MAX_OBJECTS:
        raise ConfigurationError(f"count={count!r}: give a whole number from 1 to {MAX_OBJECTS:,}")
    bucket, start = _location(prefix, bucket_name, "prefix", is_prefix=True)
    return Objects(bucket, start, count, when)


#: Kinds of filters on the request that made an object.
_OF_REQUESTS = ("event_type", "principal", "requester", "source_network")


def _checked_filter(when: EventFilter | Mapping[str, Any] | None) -> EventFilter:
    matching = everything if when is None else EventFilter.deserialize(when)
    for kind in _OF_REQUESTS:
        if _names(matching.serialize(), kind):
            raise ConfigurationError(
                f"when: the bucket does not say which request made an object, so leave {kind} out"
            )
    return matching.without_asking("a sensor")


def _names(data: Any, kind: str) -> bool:
    """Whether a filter of this kind is anywhere in the plain data of a filter."""
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return (isinstance(data, dict) and kind in data) or any(_names(each, kind) for each in inner)
