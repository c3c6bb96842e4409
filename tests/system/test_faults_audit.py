"""The judge of the fault harness sees what is wrong, and its plan is the seed's."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.system.faults import silence
from tests.system.faults.audit import is_clean, judge, judge_dead_letters
from tests.system.faults.plan import draw

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
