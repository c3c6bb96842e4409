"""Filters on what the event itself says."""

from __future__ import annotations

from airflow_s3events.filters.algebra import EventFilter, any_leaf, leaf


def event_type(*types: str) -> EventFilter:
    """Match events of any of ``types``, in S3's terms, with or without ``s3:``.

    ``"ObjectCreated:Put"`` is that type; ``"ObjectCreated:*"`` (or ``"ObjectCreated"``) is all of its family.
    There is no ``s3:*`` in S3. EventBridge events match by the S3 type that they stand for. Deletion by
    lifecycle rules is ``LifecycleExpiration:*`` and not in ``ObjectRemoved:*``
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html).

    Raises ``ConfigurationError`` for an EventBridge name (``"Object Created"``) or a slip of case.
    """
    return any_leaf("event_type", types)


def bucket(*names: str) -> EventFilter:
    """Match events of any of the buckets ``names`` (the bare name: no ``s3://``, no ARN, no wildcard)."""
    return any_leaf("bucket", names)


def prefix(*texts: str) -> EventFilter:
    """Match decoded keys that begin with any of ``texts``; ``""`` is ``everything``, as in S3's filters."""
    return any_leaf("prefix", texts)


def suffix(*texts: str) -> EventFilter:
    """Match decoded keys that end with any of ``texts``; ``""`` is ``everything``, as in S3's filters."""
    return any_leaf("suffix", texts)


def glob(*patterns: str) -> EventFilter:
    """Match keys that are, as a whole and case for case, like any of ``patterns``.

    ============ ===================================================================================
    ``*``        any characters except ``/``, none included
    ``**``       alone between slashes: ``**/`` any number of folders, none included; at the end anything
    ``?``        one character except ``/``
    ``[abc]``    one of these; ``[a-z]`` a range, ``[!abc]`` one of all others; never ``/``
    ============ ===================================================================================

    All else is itself, the backslash too; ``[*]`` is a star. ``docs/reference/filters.md`` has examples.
    Matching takes no more than quadratic time in the length of the key, whatever the pattern.
    """
    return any_leaf("glob", patterns)


def regex(*patterns: str) -> EventFilter:
    r"""Match keys in which ``re.search`` finds any of ``patterns``; anchor with ``\A`` and ``\Z``.

    Keys are other people's text, and Python's engine can take for ever on a key made for it. So a pattern
    that can take longer than some milliseconds on any key is refused, such as ``(a+)+$`` and
    ``.*a.*b``; ``docs/reference/filters.md`` says which are. Patterns have at most 1024 bytes.

    Raises ``ConfigurationError`` for a pattern that does not compile, or that can take long.
    """
    return any_leaf("regex", patterns)


def size(*, min_bytes: int | None = None, max_bytes: int | None = None) -> EventFilter:
    """Match objects of at least ``min_bytes`` and at most ``max_bytes`` bytes, both included.

    An event without a size (S3 gives none for deletes, tags and ACLs) does **not** match, so ``~size(...)``
    does; ``size(min_bytes=0)`` matches exactly the events that have one.
    """
    return leaf("size", {"min_bytes": min_bytes, "max_bytes": max_bytes})


def predicate(*paths: str) -> EventFilter:
    """Match what any of your own functions at ``paths`` (``"package.module:function"``) says True to.

    The function takes an ``ObjectEvent`` and returns a ``bool``. It is imported on first use, on the worker,
    never while a DAG file is parsed. It should depend on nothing but the event: a redelivery asks again.

    ``matches`` raises ``RouteError`` (the event is kept and tried again) when the function cannot be
    imported, raises, or returns anything but a ``bool``.
    """
    return any_leaf("predicate", paths)
