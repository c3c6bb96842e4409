"""Operators that act on the object of an event: on that version, and on no other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import AirflowFailException, BaseOperator, Context

if TYPE_CHECKING:
    from airflow_s3events.events import ObjectEvent
    from airflow_s3events.hooks.objects import EventObjectHook, Found
    from airflow_s3events.object_actions import Acted


class _ObjectOperator(BaseOperator):
    """Does something to the object of each event."""

    def __init__(
        self,
        *,
        s3_events: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        fail_on_refused: bool = False,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.s3_events = s3_events
        self.fail_on_refused = fail_on_refused
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Act on the object of each event, and return what came of it.

        Raises:
            AirflowFailException: ``fail_on_refused`` is set, and something was refused.
            ConfigurationError: A setting cannot work, or S3 refuses a call; names it.
            OutageError: S3 is away or throttling: Airflow's retry does the rest, and nothing twice.
        """
        self._check()
        hook = self._hook()
        results = [self._act(event, hook) for event in self._events(context)]
        for result in results:
            log = self.log.warning if result.is_refused else self.log.info
            log("Object of bucket %s, version %s: %s", result.bucket, result.version_id, result.outcome)
        refused = sorted({result.outcome for result in results if result.is_refused})
        if refused and self.fail_on_refused:
            raise AirflowFailException(f"refused: {', '.join(refused)}; the log says for which objects")
        return [result.serialize() for result in results]

    @abstractmethod
    def _check(self) -> None: ...

    @abstractmethod
    def _act(self, event: ObjectEvent, hook: EventObjectHook) -> Acted: ...

    def _events(self, context: Context) -> list[ObjectEvent]:
        from airflow_s3events._compat.asset_events import events_in
        from airflow_s3events.events import ObjectEvent

        if self.s3_events is None:
            return events_in(context)
        given = [self.s3_events] if isinstance(self.s3_events, Mapping) else self.s3_events
        return [ObjectEvent.deserialize(data) for data in given]

    def _hook(self) -> EventObjectHook:
        from airflow_s3events.hooks.objects import EventObjectHook

        return EventObjectHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )


def _found(event: ObjectEvent, hook: EventObjectHook) -> tuple[Found | None, bool]:
    """Return the event's object as S3 has it, and whether another has taken its key."""
    from airflow_s3events.enrich import state_of

    if event.is_removed:
        return None, False
    found = hook.find(event.bucket, event.key, event.version_id)
    if found is None or event.version_id not in (None, "null"):
        return found, False
    # A version called null is written over, as an object of a bucket without versions is.
    by_etag = state_of(_unversioned(event), etag=found.etag, modified=found.modified)
    return found, by_etag == "newer"


def _unversioned(event: ObjectEvent) -> ObjectEvent:
    from dataclasses import replace

    return replace(event, version_id=None)


class S3MergeObjectTagsOperator(_ObjectOperator):
    """Adds tags to the object of each of the run's events, and leaves its other tags as they are.

    It works on the event's version. Without a version id it works on what the key holds now, if that is the
    event's object still, by ETag and time. Tags are read, merged and written: two tasks that merge into one
    object at the same moment can lose one's tags. Done twice it changes nothing.

    S3 cannot tag on condition. In a bucket without versions an upload between the look and the write would
    get the tags; the operator looks again, and says ``changed`` then.

    What it needs of AWS: ``s3:GetObject``, ``GetObjectVersion``, ``GetObjectTagging``,
    ``GetObjectVersionTagging``, ``PutObjectTagging``, ``PutObjectVersionTagging`` on the object and
    ``s3:ListBucket`` on the bucket: ``s3events iam --for tag``.

    Args:
        tags: Names and texts, 10 at most; one that the object has is overwritten. Templated.
        s3_events: Plain data of an event, or of several; those of the run when None. Templated.
        fail_on_refused: Fail, without a retry, where something was refused; else the value says so. Default
            False.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.

    Returns:
        For each event ``outcome``, ``bucket``, ``key``, ``version_id`` and ``tags``. The outcome is
        ``merged``, ``unchanged`` (it had them), or a refusal: ``gone``, ``changed`` (another upload has taken
        the key), ``too_many_tags`` (more than 10 with those it has).
    """

    template_fields: Sequence[str] = ("tags", "s3_events", "aws_conn_id", "region_name")
    ui_color = "#f0a848"

    def __init__(self, *, tags: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tags = tags

    def _check(self) -> None:
        from airflow_s3events.object_actions import check_tags

        check_tags(self.tags)

    def _act(self, event: ObjectEvent, hook: EventObjectHook) -> Acted:
        from airflow_s3events.object_actions import MOST_TAGS, acted

        found, is_taken = _found(event, hook)
        if found is None or is_taken:
            return acted(event, "gone" if found is None else "changed")
        before = hook.tags(event, found)
        tags = {**before, **self.tags}
        if tags == before:
            return acted(event, "unchanged", tags=tags)
        if len(tags) > MOST_TAGS:
            return acted(event, "too_many_tags", tags=before)
        hook.put_tags(event.bucket, event.key, found.version_id, tags)
        if not found.is_fixed and hook.find(event.bucket, event.key, found.version_id) != found:
            return acted(event, "changed")
        return acted(event, "merged", version_id=found.version_id, tags=tags)


class S3QuarantineObjectOperator(_ObjectOperator):
    """Moves the object of each of the run's events out of reach: copies that version, looks, deletes it.

    Only the event's version is copied and deleted; where it was the current one, the version before it is
    current again. Without a version id it is what the key holds now, if that is the event's object still: the
    copy is made of this ETag or not at all, and S3 deletes what has this ETag or nothing. A copy takes
    metadata and tags along; above 5 GiB it is made in parts.

    Killed at any point and tried again it comes to the same end: the copy's key is made of the event, and
    what was copied and deleted before is found there.

    What it needs of AWS: ``s3events iam --for quarantine`` prints it.

    Args:
        quarantine_bucket: Where to; nobody else should read it. Templated.
        quarantine_prefix: What the copies' keys begin with; bucket, event id and key follow. Default
            ``"quarantine/"``. Templated.
        s3_events: Plain data of an event, or of several; those of the run when None. Templated.
        fail_on_refused: Fail, without a retry, where something was refused; else the value says so. Default
            False.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.

    Returns:
        For each event ``outcome``, ``bucket``, ``key``, ``version_id``, ``to_bucket``, ``to_key``,
        ``to_version_id`` and ``size``. The outcome is ``quarantined``, or a refusal: ``gone``, ``changed``
        (another upload has taken the key; where it came after the copy, the copy stays), ``in_quarantine``
        (the event is of a copy).
    """

    template_fields: Sequence[str] = (
        "quarantine_bucket",
        "quarantine_prefix",
        "s3_events",
        "aws_conn_id",
        "region_name",
    )
    ui_color = "#f0a848"

    def __init__(
        self, *, quarantine_bucket: str, quarantine_prefix: str = "quarantine/", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.quarantine_bucket = quarantine_bucket
        self.quarantine_prefix = quarantine_prefix

    def _check(self) -> None:
        from airflow_s3events.object_actions import check_quarantine

        check_quarantine(self.quarantine_bucket, self.quarantine_prefix)

    def _act(self, event: ObjectEvent, hook: EventObjectHook) -> Acted:
        from airflow_s3events.object_actions import acted, is_in_quarantine, quarantine_key

        bucket = self.quarantine_bucket
        if is_in_quarantine(event, bucket, self.quarantine_prefix):
            return acted(event, "in_quarantine")
        key = quarantine_key(event, self.quarantine_prefix)
        found, is_taken = _found(event, hook)
        copy = hook.find(bucket, key)
        if found is None or is_taken:
            # A try before this one may have come as far as the delete.
            outcome = "quarantined" if copy is not None else "gone" if found is None else "changed"
            return acted(event, outcome, **_copied(bucket, key, copy))  # type: ignore[arg-type]
        # What a version id does not name for good may be other content than what was copied before.
        if copy is None or copy.size != found.size or not found.is_fixed:
            if not hook.copy_version(event, found, bucket, key):
                return acted(event, "changed")
            copy = self._looked_at(hook, found, key)
        hook.copy_tags(event, found, bucket, key)
        outcome = "quarantined" if hook.delete_version(event, found) else "changed"
        return acted(event, outcome, **{**_copied(bucket, key, copy), "version_id": found.version_id})  # type: ignore[arg-type]

    def _looked_at(self, hook: EventObjectHook, found: Found, key: str) -> Found:
        from airflow_s3events.exceptions import OutageError

        copy = hook.find(self.quarantine_bucket, key)
        if copy is None or copy.size != found.size:
            raise OutageError(
                f"the copy in bucket {self.quarantine_bucket} is not there whole; nothing was deleted"
            )
        return copy


def _copied(bucket: str, key: str, copy: Found | None) -> dict[str, Any]:
    if copy is None:
        return {}
    return {"to_bucket": bucket, "to_key": key, "to_version_id": copy.version_id, "size": copy.size}
