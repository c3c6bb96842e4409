"""Operators that act on the object of an event, against an emulated S3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest

from airflow_s3events import S3MergeObjectTagsOperator, S3QuarantineObjectOperator
from airflow_s3events._compat import AirflowFailException
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.hooks import objects
from airflow_s3events.hooks.objects import EventObjectHook
from airflow_s3events.policies import Request, Resources, evaluate, role_policy
from tests.emulators import moto_server
from tests.setup_world import Calls


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


class World:
    """A bucket, a quarantine, and events of what is uploaded."""

    def __init__(self, url: str, *, versioned: bool) -> None:
        self.s3 = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        self.bucket, self.quarantine = f"b-{uuid4().hex[:8]}", f"q-{uuid4().hex[:8]}"
        for name in (self.bucket, self.quarantine):
            self.s3.create_bucket(Bucket=name)
        if versioned:
            enabled = {"Status": "Enabled"}
            self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration=enabled)

    def put(self, body: bytes = b"1", key: str = "in/a b.csv", **more: Any) -> ObjectEvent:
        answer = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)
        return ObjectEvent(
            event_name="ObjectCreated:Put",
            event_type="ObjectCreated:Put",
            bucket=self.bucket,
            key=key,
            envelope="s3-records",
            etag=answer["ETag"].strip('"'),
            size=len(body),
            version_id=answer.get("VersionId"),
            sequencer=uuid4().hex[:18].upper(),
        )

    def tags(self, event: ObjectEvent) -> dict[str, str]:
        return tags_of(self.s3, event.bucket, event.key, event.version_id)

    def versions(self) -> list[str]:
        found = self.s3.list_object_versions(Bucket=self.bucket)
        return [version["VersionId"] for version in found.get("Versions", [])]

    def keys(self, bucket: str) -> list[str]:
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def merge(self, event: ObjectEvent, tags: Any = None, **more: Any) -> dict[str, Any]:
        operator = S3MergeObjectTagsOperator(task_id="tag", tags=tags or {"class": "gold"}, **more)
        (result,) = operator.execute(context_of(event))
        return result

    def isolate(self, event: ObjectEvent, **more: Any) -> dict[str, Any]:
        operator = S3QuarantineObjectOperator(task_id="q", quarantine_bucket=self.quarantine, **more)
        (result,) = operator.execute(context_of(event))
        return result


def tags_of(s3: Any, bucket: str, key: str, version_id: str | None = None) -> dict[str, str]:
    which = {} if version_id is None else {"VersionId": version_id}
    found = s3.get_object_tagging(Bucket=bucket, Key=key, **which)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def context_of(event: ObjectEvent) -> Any:
    """Of a run that a dispatcher started."""
    return {"dag_run": SimpleNamespace(conf={"s3_event": event.serialize()})}


@pytest.fixture
def make_world(endpoint: str) -> Callable[..., World]:
    return lambda *, versioned: World(endpoint, versioned=versioned)


@pytest.fixture(params=["versions", "no versions, by moto"])
def world(
    request: pytest.FixtureRequest, make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> World:
    if request.param == "versions":
        return make_world(versioned=True)
    url = request.getfixturevalue("moto_url")
    uri = {"conn_type": "aws", "login": "a", "password": "b", "extra": {"endpoint_url": url}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(uri))
    return World(url, versioned=False)


def test_tags_are_added_and_the_others_stay(world: World) -> None:
    event = world.put(Tagging="owner=me&class=none")
    result = world.merge(event)
    assert (result["outcome"], result["tags"]) == ("merged", {"owner": "me", "class": "gold"})
    assert world.tags(event) == {"owner": "me", "class": "gold"}
    assert world.merge(event)["outcome"] == "unchanged"


def test_the_events_version_is_tagged_and_no_later_one(make_world: Callable[..., World]) -> None:
    world = make_world(versioned=True)
    event, later = world.put(b"1"), world.put(b"22")
    assert world.merge(event)["outcome"] == "merged"
    assert (world.tags(event), world.tags(later)) == ({"class": "gold"}, {})


def test_an_object_that_was_written_over_is_left_alone(make_world: Callable[..., World]) -> None:
    world = make_world(versioned=False)
    event, later = world.put(b"1"), world.put(b"22")
    assert world.merge(event)["outcome"] == "changed"
    assert world.isolate(event)["outcome"] == "changed"
    assert world.tags(later) == {}
    assert world.keys(world.bucket) == [later.key]
    assert world.keys(world.quarantine) == []


def test_an_upload_between_the_look_and_the_tags_is_told_of(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(versioned=False)
    event = world.put(b"1")
    put_tags = EventObjectHook.put_tags

    def late(hook: Any, *arguments: Any) -> None:
        world.put(b"22")
        put_tags(hook, *arguments)

    monkeypatch.setattr(EventObjectHook, "put_tags", late)
    assert world.merge(event)["outcome"] == "changed"


def test_more_tags_than_s3_allows_are_refused_and_nothing_is_written(world: World) -> None:
    event = world.put(Tagging="&".join(f"t{number}=1" for number in range(10)))
    assert world.merge(event)["outcome"] == "too_many_tags"
    assert len(world.tags(event)) == 10
    assert world.merge(event, {"t3": "2"})["outcome"] == "merged"


def test_what_is_gone_is_told(world: World) -> None:
    event = world.put()
    which = {} if event.version_id is None else {"VersionId": event.version_id}
    world.s3.delete_object(Bucket=event.bucket, Key=event.key, **which)
    assert world.merge(event)["outcome"] == "gone"
    assert world.isolate(event)["outcome"] == "gone"


def test_a_refusal_fails_the_task_where_that_is_wanted(
    make_world: Callable[..., World],
) -> None:
    world = make_world(versioned=True)
    event = world.put()
    world.s3.delete_object(Bucket=event.bucket, Key=event.key, VersionId=event.version_id or "null")
    with pytest.raises(AirflowFailException, match="gone"):
        world.merge(event, fail_on_refused=True)


def test_an_object_is_moved_with_its_metadata_and_tags_and_no_other_version_is(world: World) -> None:
    kept = world.put(b"clean")
    bad = world.put(b"virus", Metadata={"from": "somebody"}, Tagging="owner=me")
    result = world.isolate(bad)
    assert (result["outcome"], result["size"], result["to_bucket"]) == ("quarantined", 5, world.quarantine)
    copy = world.s3.get_object(Bucket=world.quarantine, Key=result["to_key"])
    assert (copy["Body"].read(), copy["Metadata"]) == (b"virus", {"from": "somebody"})
    assert tags_of(world.s3, world.quarantine, result["to_key"]) == {"owner": "me"}
    if kept.version_id is None:
        assert world.keys(world.bucket) == []
    else:
        assert world.versions() == [kept.version_id]
        assert world.s3.get_object(Bucket=world.bucket, Key=kept.key)["Body"].read() == b"clean"


@pytest.mark.parametrize(
    ("killed_at", "versioned"),
    [("copy_version", False), ("copy_tags", True), ("delete_version", True), ("delete_version", False)],
)
def test_killed_before_any_step_and_tried_again_it_comes_to_the_same_end(
    make_world: Callable[..., World], killed_at: str, versioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(versioned=versioned)
    event = world.put(b"virus")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EventObjectHook, killed_at, killed)
        with pytest.raises(KeyboardInterrupt):
            world.isolate(event)
    first = world.isolate(event)
    assert first["outcome"] == "quarantined"
    assert world.keys(world.bucket) == []
    # Killed after the delete, before its result was stored.
    again = world.isolate(event)
    assert (again["outcome"], again["to_key"]) == ("quarantined", first["to_key"])
    assert world.keys(world.quarantine) == [first["to_key"]]


def test_an_upload_after_the_copy_is_not_deleted(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As S3 answers a DeleteObject with If-Match; the emulator does not look at it."""
    from botocore.exceptions import ClientError

    world = make_world(versioned=False)
    event = world.put(b"virus")
    made: list[dict[str, Any]] = []

    def refused(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation != "DeleteObject":
            return call(client, operation, parameters)
        made.append(parameters)
        raise ClientError({"Error": {"Code": "PreconditionFailed"}}, operation)

    from botocore.client import BaseClient

    call = BaseClient._make_api_call
    monkeypatch.setattr(BaseClient, "_make_api_call", refused)
    result = world.isolate(event)
    assert result["outcome"] == "changed"
    assert result["to_key"] in world.keys(world.quarantine)
    assert made == [{"Bucket": event.bucket, "Key": event.key, "IfMatch": f'"{event.etag}"'}]


def test_an_upload_before_the_copy_is_not_copied(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(versioned=False)
    event = world.put(b"virus")
    find = EventObjectHook.find

    def then_written_over(hook: Any, bucket: str, key: str, version_id: str | None = None) -> Any:
        found = find(hook, bucket, key, version_id)
        if bucket == world.bucket:
            world.put(b"clean again")
        return found

    monkeypatch.setattr(EventObjectHook, "find", then_written_over)
    assert world.isolate(event)["outcome"] == "changed"
    assert world.keys(world.bucket) == [event.key]
    assert world.keys(world.quarantine) == []


def test_a_big_object_is_copied_in_parts_with_its_metadata_and_tags(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(versioned=True)
    part = 5 * 1024**2
    monkeypatch.setattr(objects, "MOST_COPIED_BYTES", part)
    monkeypatch.setattr(objects, "PART_BYTES", part)
    event = world.put(b"x" * (part + 1), Metadata={"from": "me"}, ContentType="text/x", Tagging="owner=me")
    result = world.isolate(event)
    copy = world.s3.head_object(Bucket=world.quarantine, Key=result["to_key"])
    assert copy["ETag"].strip('"').endswith("-2"), "two parts"
    assert (copy["ContentLength"], copy["Metadata"], copy["ContentType"]) == (
        part + 1,
        {"from": "me"},
        "text/x",
    )
    assert tags_of(world.s3, world.quarantine, result["to_key"]) == {"owner": "me"}
    assert world.keys(world.bucket) == []


def test_the_event_of_a_copy_goes_round_in_no_circle(
    make_world: Callable[..., World],
) -> None:
    world = make_world(versioned=True)
    copy = world.put(key="quarantine/b/1/a")
    world.quarantine = world.bucket
    assert world.isolate(copy)["outcome"] == "in_quarantine"
    assert world.keys(world.bucket) == [copy.key]


def test_every_event_of_an_asset_run_or_of_a_list_has_its_outcome(
    make_world: Callable[..., World],
) -> None:
    world = make_world(versioned=True)
    events = [world.put(key="a").serialize(), world.put(key="b").serialize()]
    world.s3.delete_object(Bucket=world.bucket, Key="b", VersionId=events[1].get("version_id") or "null")
    operator = S3MergeObjectTagsOperator(task_id="tag", tags={"a": "b"}, s3_events=events)
    assert [result["outcome"] for result in operator.execute({})] == ["merged", "gone"]


def test_a_deletion_has_no_object() -> None:
    event = ObjectEvent(
        event_name="ObjectRemoved:Delete",
        event_type="ObjectRemoved:Delete",
        bucket="b",
        key="k",
        envelope="s3-records",
    )
    operator = S3MergeObjectTagsOperator(task_id="tag", tags={"a": "b"}, s3_events=event.serialize())
    assert operator.execute({})[0]["outcome"] == "gone"


@pytest.mark.parametrize(
    ("operator", "named"),
    [
        (S3MergeObjectTagsOperator(task_id="t", tags={}), "tags"),
        (S3QuarantineObjectOperator(task_id="t", quarantine_bucket="s3://q"), "quarantine_bucket"),
    ],
    ids=["tags", "quarantine"],
)
def test_a_setting_that_cannot_work_is_named_before_anything_is_asked(operator: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        operator.execute({})


def test_fields_are_templated() -> None:
    operator = S3QuarantineObjectOperator(
        task_id="t", quarantine_bucket="{{ a }}", quarantine_prefix="{{ a }}/", aws_conn_id="{{ a }}"
    )
    operator.render_template_fields(cast("Any", {"a": "x"}))
    assert (operator.quarantine_bucket, operator.quarantine_prefix, operator.aws_conn_id) == ("x", "x/", "x")
    tags = S3MergeObjectTagsOperator(task_id="t", tags={"run": "{{ a }}"})
    tags.render_template_fields(cast("Any", {"a": "x"}))
    assert tags.tags == {"run": "x"}


#: Operation to the actions that IAM looks for, on source and copy.
ACTIONS = {
    "HeadObject": "GetObject",
    "GetObjectTagging": "GetObjectTagging",
    "PutObjectTagging": "PutObjectTagging",
    "DeleteObject": "DeleteObject",
    "CopyObject": "PutObject",
}


@pytest.mark.parametrize("purpose", ["tag", "quarantine"])
def test_every_call_is_in_the_policy_of_its_role(
    world: World, purpose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, calls = world.put(), Calls()
    calls.watch(monkeypatch)
    world.merge(event) if purpose == "tag" else world.isolate(event)
    what = Resources(bucket=world.bucket, prefix="in/", quarantine_bucket=world.quarantine)
    policy = role_policy(purpose, what)
    assert calls.made
    for _, operation, parameters in calls.made:
        version = "Version" if "VersionId" in parameters else ""
        action = ACTIONS[operation].replace("Object", f"Object{version}", 1)
        action = f"{ACTIONS[operation]}{version}" if operation in ("HeadObject", "DeleteObject") else action
        resource = f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}"
        request = Request(action=f"s3:{action}", resource=resource, principal="role", context={})
        assert evaluate(policy, request).allowed, (action, resource)
