"""The judge of the fault harness sees what is wrong, and its plan is the seed's."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.system.aws_proxy import Call
from tests.system.faults import silence
from tests.system.faults.audit import (
    is_clean,
    judge,
    judge_dead_letters,
    judge_deletes,
    judge_ledger,
    judge_moves,
)
from tests.system.faults.ground import left_out
from tests.system.faults.plan import draw, without
from tests.system.faults.series import faults_of
from tests.system.faults.weather import skew
from tests.system.faults.witness import Witness

_OBJECTS = [{"key": "a", "version_id": "1", "size": 3}, {"key": "a", "version_id": "2", "size": 4}]
_MANIFEST = {"bucket": "landing", "dag_id": "target", "objects": _OBJECTS}
_EMPTY = {"visible": 0, "in_flight": 0, "delayed": 0}


def _conf(version_id: str, size: int, key: str = "a") -> dict[str, Any]:
    return {"s3_event": {"bucket": "landing", "key": key, "version_id": version_id, "size": size}}


def _verdict(*confs: dict[str, Any], **queues: dict[str, int]) -> bool:
    letters = judge_dead_letters([], ["?"] * queues.get("dlq", _EMPTY)["visible"])
    return is_clean({**judge(_MANIFEST, confs), **letters, "queue": _EMPTY, "dlq": _EMPTY, **queues})


def test_one_run_for_each_object_is_clean() -> None:
    assert _verdict(_conf("1", 3), _conf("2", 4))


@pytest.mark.parametrize(
    ("fault", "confs"),
    [
        ("lost", [_conf("1", 3)]),
        ("twice", [_conf("1", 3), _conf("1", 3), _conf("2", 4)]),
        ("of_no_object", [_conf("1", 3), _conf("2", 4), _conf("9", 4)]),
        ("of_no_object", [_conf("1", 3), _conf("2", 4), {}]),
        ("wrong_metadata", [_conf("1", 3), _conf("2", 5)]),
    ],
)
def test_a_fault_is_counted_and_not_clean(fault: str, confs: list[dict[str, Any]]) -> None:
    assert judge(_MANIFEST, confs)[fault] == 1
    assert not _verdict(*confs)


@pytest.mark.parametrize("queue", ["queue", "dlq"])
@pytest.mark.parametrize("where", ["visible", "in_flight", "delayed"])
def test_a_message_left_in_a_queue_is_not_clean(queue: str, where: str) -> None:
    assert not _verdict(_conf("1", 3), _conf("2", 4), **{queue: {**_EMPTY, where: 1}})


def test_what_is_malformed_belongs_in_the_dead_letter_queue_and_nothing_else_does() -> None:
    found = judge_dead_letters(["a", "b", "c"], ["b", "a", "a", "x"])
    assert found == {
        "malformed": 3,
        "not_dead_lettered": 1,
        "dead_lettered_again": 1,
        "wrongly_dead_lettered": 1,
        "dead": ["x"],
    }


def test_a_seed_draws_one_plan_and_another_seed_another() -> None:
    kinds = ["triggerer", "worker", "scheduler"]
    assert draw(100, 7, kinds) == draw(100, 7, kinds)
    assert draw(100, 7, kinds) != draw(100, 8, kinds)


def test_a_plan_holds_every_object_once_half_of_them_uploads_a_tenth_sent_twice() -> None:
    waves = draw(100, 7, ["triggerer", "worker"])
    planned = [one for wave in waves for one in wave.objects]
    assert [one.number for one in planned] == list(range(100))
    assert sum(one.is_upload for one in planned) == 50
    assert sum(one.copy_delay is not None for one in planned) == 10
    assert sum(one.has_bad_neighbour for one in planned) == 1
    assert Counter(wave.kill and wave.kill.kind for wave in waves) == {"triggerer": 1, "worker": 1, None: 1}


def test_silence_is_the_longest_gap_until_what_waited_has_its_runs() -> None:
    objects = [{"version_id": name, "at": 10.0} for name in ("a", "b", "c")]
    times = [(11.0, "a"), (40.0, "b"), (45.0, "late"), (46.0, "c"), (99.0, "later")]
    assert silence.after(20.0, {"objects": objects}, times) == {
        "waiting": 2,
        "caught_up_seconds": 26.0,
        "silence_seconds": 20.0,
    }


def test_silence_ends_at_the_next_fault() -> None:
    objects = [{"version_id": name, "at": 10.0} for name in ("a", "b")]
    found = silence.after(20.0, {"objects": objects}, [(25.0, "a"), (90.0, "b")], until=32.0)
    assert (found["silence_seconds"], found["caught_up_seconds"]) == (7.0, 70.0)


def test_what_never_got_a_run_is_never_caught_up() -> None:
    found = silence.after(20.0, {"objects": [{"version_id": "a", "at": 10.0}]}, [])
    assert found == {"waiting": 1, "caught_up_seconds": None, "silence_seconds": None}


def test_an_object_whose_run_was_removed_before_its_message_came_again_has_none() -> None:
    manifest = {**_MANIFEST, "forgotten": ["2"]}
    queues = {"queue": _EMPTY, "dlq": _EMPTY, **judge_dead_letters([], [])}
    assert is_clean({**judge(manifest, [_conf("1", 3)]), **queues})
    found = judge(manifest, [_conf("1", 3), _conf("2", 4)])
    assert found["started_again"] == 1
    assert not is_clean({**found, **queues})


def _entry(version_id: str, run_id: str | None) -> dict[str, Any]:
    return {"dag_id": "target", "event": {"version_id": version_id}, "run_id": run_id, "seen": 2}


@pytest.mark.parametrize(
    ("fault", "entries"),
    [
        ("", [_entry("1", "run 1"), _entry("2", "run 2")]),
        ("not_in_ledger", [_entry("1", "run 1")]),
        ("twice_in_ledger", [_entry("1", "run 1"), _entry("2", "run 2"), _entry("2", "run 2")]),
        ("ledger_names_no_run", [_entry("1", "run 1"), _entry("2", None)]),
        ("ledger_names_no_run", [_entry("1", "run 1"), _entry("2", "run 1")]),
    ],
)
def test_the_ledger_has_each_object_once_with_its_run(fault: str, entries: list[dict[str, Any]]) -> None:
    runs = [("run 1", _conf("1", 3)), ("run 2", _conf("2", 4))]
    found = judge_ledger(_MANIFEST, entries, runs)
    wrong = [name for name in ("not_in_ledger", "twice_in_ledger", "ledger_names_no_run") if found[name]]
    assert wrong == ([fault] if fault else [])
    assert found["seen_again"] == len(entries)


def test_a_message_deleted_early_or_unseen_and_a_run_that_has_not_succeeded_are_counted() -> None:
    found = judge_deletes({"looked": 3, "early": ["2"]}, 4, {"success": 3, "failed": 1})
    assert found == {"deletes_looked_at": 3, "deleted_early": 1, "deleted_unseen": 1, "not_succeeded": 1}


@pytest.mark.parametrize(
    ("after", "beats", "failed"),
    [
        ({"9": 2}, {1: 20.0, 2: 20.0}, 0),
        ({"9": 1}, {1: 20.0, 2: 20.0}, 1),  # it stayed
        ({}, {1: 20.0, 2: 20.0}, 1),  # it was gone
        ({"9": 2}, {1: 5.0, 2: 20.0}, 1),  # who had it did not live on
    ],
)
def test_a_trigger_has_moved_when_another_has_it_and_both_live(
    after: dict[str, int], beats: dict[int, float], failed: int
) -> None:
    moves = [{"before": {"9": 1}, "after": after, "resumed_at": 10.0}]
    assert judge_moves(moves, beats)["moves_that_failed"] == failed


_NOW = datetime(2026, 11, 26, 4, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("signed_at", "text"),
    [
        ("20261126T034600Z", ""),
        ("20261126T041400Z", ""),
        ("", ""),
        ("20261126T030000Z", "Signature expired"),
        ("20261126T050000Z", "Signature not yet current"),
    ],
)
def test_aws_refuses_what_was_signed_more_than_a_quarter_of_an_hour_off(signed_at: str, text: str) -> None:
    assert skew(signed_at, _NOW).startswith(text)
    assert bool(skew(signed_at, _NOW)) == bool(text)


def test_the_witness_sees_what_is_deleted_before_its_run_has_succeeded() -> None:
    witness = Witness("http://q/landing", lambda versions: set(versions) & {"1"})
    body = '{"Records": [{"s3": {"object": {"versionId": "%s"}}}]}'
    messages = [{"ReceiptHandle": name, "Body": body % name} for name in ("1", "2", "3")]
    witness.note(json.dumps({"Messages": messages}).encode())
    entries = [{"ReceiptHandle": "1"}, {"ReceiptHandle": "2"}]
    for action in ("SendMessage", "DeleteMessageBatch"):
        asked = json.dumps({"QueueUrl": "http://sqs/landing", "Entries": entries}).encode()
        witness.look(Call({"x-amz-target": f"AmazonSQS.{action}"}, asked))
    assert witness.report() == {"looked": 2, "early": ["2"], "unseen": 0}


def test_the_seeds_played_first_still_draw_what_they_drew() -> None:
    assert faults_of(1, 5) == ["scheduler", "stall-api-server", "worker", "freeze", "sqs-fails"]
    assert faults_of(10, 5) == [
        "stall-api-server",
        "triggerer",
        "database",
        "stall-scheduler",
        "sqs-throttles",
    ]


def test_a_plan_without_a_kind_is_the_same_but_for_it() -> None:
    waves = draw(90, 7, ["log-disk", "worker"])
    left = without(waves, {"log-disk": "no root"})
    assert [wave.objects for wave in left] == [wave.objects for wave in waves]
    assert Counter(wave.kill and wave.kill.kind for wave in left) == {"worker": 1, None: 2}


def test_what_cannot_be_played_here_is_named_with_its_reason() -> None:
    assert list(left_out(["worker", "triggerer-moves"], triggerers=1)) == ["triggerer-moves"]
    assert left_out(["worker", "triggerer-moves"], triggerers=2) == {}
