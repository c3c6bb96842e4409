"""A group that is closed by a manifest, which a dispatcher reads from S3."""

from __future__ import annotations

import pytest

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.routing import Batch
from tests.core.batch_fakes import BY, Manifests, World, upload

BATCH = Batch(by=BY, idle_seconds=None, manifest="m.json")


def world_with(answer: bytes | Exception | None) -> World:
    world = World()
    world.manifests = Manifests(answer)
    world.start(BATCH)
    return world


async def test_a_group_is_closed_when_all_that_its_manifest_lists_has_come() -> None:
    world = world_with(b"in/2026-01-01/a\ns3://landing/in/2026-01-01/b\n")
    await world.dispatch(upload(1, "m.json"), upload(2, "a"))
    assert world.manifests.asked == ["s3://landing/in/2026-01-01/m.json"]
    assert world.batches == []
    await world.dispatch(upload(3, "b"))
    assert [closed_by for _, closed_by in world.batches] == ["manifest"]
    (conf,) = world.runs.confs.values()
    assert conf["s3_batch"]["manifest"] == {"listed": 2, "missing": 0, "fault": ""}


async def test_it_is_read_again_after_a_kill_only_if_it_was_not_noted() -> None:
    world = world_with(OutageError("away"))
    world.inbox.stop_after_waits = 1
    with pytest.raises(OutageError):
        await world.dispatch(upload(1, "m.json"))
    world.manifests.answer_ = b"in/2026-01-01/a"
    for _ in range(2):
        world.start(BATCH)
        await world.dispatch(upload(1, "m.json"))
    # Twice by the first, which waited; once by the second; not by the third.
    assert len(world.manifests.asked) == 3


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, "there no more"),
        (b"{", "is no manifest"),
        (ConfigurationError("aws_conn_id: not allowed"), "not allowed"),
    ],
)
async def test_one_that_cannot_be_read_closes_nothing_and_the_conf_says_why(
    answer: bytes | Exception | None, fault: str
) -> None:
    world = world_with(answer)
    await world.dispatch(upload(1, "m.json"))
    await world.dispatch(after=3_600)
    (conf,) = world.runs.confs.values()
    assert conf["s3_batch"]["closed_by"] == "age"
    assert fault in conf["s3_batch"]["manifest"]["fault"]
