"""``S3EventAssetTrigger``: what Airflow 3 stores of it, and by what it knows it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import EventFilter, prefix, size, suffix
from airflow_s3events.packs import PackedEvent
from tests.core.filter_strategies import filters
from tests.lines import AIRFLOW
from tests.strategies import make_event

if AIRFLOW < (3, 0):
    pytest.skip("Airflow 2 has no asset watchers", allow_module_level=True)

from airflow.models.trigger import Trigger
from airflow.sdk import Asset, AssetAll, AssetAny
from airflow.triggers.base import BaseEventTrigger
from hypothesis import given

from airflow_s3events import S3EventAssetTrigger, s3_event_asset

if TYPE_CHECKING or AIRFLOW >= (3, 2):
    from airflow.serialization.encoders import encode_trigger
else:
    from airflow.serialization.serialized_objects import _encode_trigger as encode_trigger

EVERY_ARGUMENT: dict[str, Any] = {
    "sqs_queue": "https://sqs.eu-west-1.amazonaws.com/1/q",
    "when": prefix("in/") & ~suffix(".tmp"),
    "watcher": "landing",
    "pack_count": 7,
    "pack_bytes": 9_999,
    "unmatched": "discard",
    "dead_letter_queue": "q-dead",
    "visibility_seconds": 60,
    "max_in_flight": 500,
    "aws_conn_id": None,
    "region_name": "eu-west-1",
    "verify": "/etc/bundle.pem",
    "botocore_config": {"retries": {"mode": "standard", "max_attempts": 3}, "connect_timeout": 5},
}


def hash_in_dag(trigger: S3EventAssetTrigger) -> int:
    """As Airflow hashes the trigger of a DAG that it has just parsed."""
    encoded = encode_trigger(trigger)
    return BaseEventTrigger.hash(encoded["classpath"], encoded["kwargs"])


def hash_in_database(trigger: S3EventAssetTrigger) -> int:
    """As Airflow hashes a row, which the DAG processor made of the serialized DAG."""
    encoded = json.loads(json.dumps(encode_trigger(trigger)))
    row = Trigger(classpath=encoded["classpath"], kwargs=encoded["kwargs"])
    return BaseEventTrigger.hash(row.classpath, row.kwargs)


def test_survives_airflow_s_own_storage_with_every_argument() -> None:
    trigger = S3EventAssetTrigger(**EVERY_ARGUMENT)
    row = Trigger.from_object(trigger)
    again = S3EventAssetTrigger(**row.kwargs)
    assert row.classpath == f"{S3EventAssetTrigger.__module__}.{S3EventAssetTrigger.__qualname__}"
    assert again.serialize() == trigger.serialize()
    assert again.serialize()[1]["v"] == 1


@given(filters)
def test_a_row_is_found_again_at_the_next_parse(when: EventFilter) -> None:
    trigger = S3EventAssetTrigger(**{**EVERY_ARGUMENT, "when": when})
    assert hash_in_dag(trigger) == hash_in_database(trigger)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (prefix("a") & suffix("b"), suffix("b") & prefix("a")),
        ({"prefix": "a", "suffix": ["b", "c"]}, {"suffix": ("c", "b"), "prefix": "a"}),
        (~~size(min_bytes=1, max_bytes=2), {"size": {"max_bytes": 2, "min_bytes": 1}}),
        (None, prefix("")),
    ],
)
def test_two_spellings_of_one_filter_are_one_trigger(one: Any, other: Any) -> None:
    triggers = [S3EventAssetTrigger(sqs_queue="q", when=when) for when in (one, other)]
    assert len({hash_in_dag(trigger) for trigger in triggers}) == 1
    assert len({hash_in_database(trigger) for trigger in triggers}) == 1


def test_redacting_makes_another_trigger_only_where_it_is_wanted() -> None:
    plain, redacting = (
        S3EventAssetTrigger(sqs_queue="q"),
        S3EventAssetTrigger(sqs_queue="q", redact_keys=True),
    )
    assert "redact_keys" not in plain.serialize()[1]
    assert redacting.serialize()[1]["redact_keys"] is True
    assert plain.shared_stream_key() != redacting.shared_stream_key()


def test_the_order_of_a_botocore_configuration_does_not_matter() -> None:
    configs = [{"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}]
    triggers = [S3EventAssetTrigger(sqs_queue="q", botocore_config=config) for config in configs]
    assert len({hash_in_dag(trigger) for trigger in triggers}) == 1
    assert len({trigger.shared_stream_key() for trigger in triggers}) == 1


@pytest.mark.parametrize("name", sorted(EVERY_ARGUMENT))
def test_watchers_share_a_consumer_unless_it_would_be_another(name: str) -> None:
    own = {"when", "watcher", "pack_count", "pack_bytes"}
    one = S3EventAssetTrigger(**EVERY_ARGUMENT)
    other = S3EventAssetTrigger(**{**EVERY_ARGUMENT, name: _OTHERS.get(name, "other")})
    assert (one.shared_stream_key() == other.shared_stream_key()) == (name in own)


_OTHERS: dict[str, Any] = {
    "when": None,
    "pack_count": 8,
    "pack_bytes": 2_000,
    "unmatched": "leave",
    "visibility_seconds": 90,
    "max_in_flight": 90,
    "botocore_config": None,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sqs_queue", ""),
        ("when", {"perfix": "a"}),
        ("watcher", "a,b"),
        ("pack_count", 0),
        ("pack_bytes", 1.5),
        ("visibility_seconds", 5),
        ("max_in_flight", True),
        ("unmatched", "drop"),
    ],
)
def test_a_setting_that_cannot_work_is_named_when_the_dag_is_parsed(name: str, value: Any) -> None:
    arguments = {**EVERY_ARGUMENT, name: value}
    del arguments["watcher"]
    with pytest.raises(ConfigurationError, match=name if name != "when" else "perfix"):
        s3_event_asset("a,b" if name == "watcher" else "landing", **arguments)


def test_an_asset_is_an_ordinary_asset() -> None:
    landing = s3_event_asset("landing", sqs_queue="q", asset_arguments={"uri": "s3://landing/", "group": "g"})
    other = s3_event_asset("other", sqs_queue="q")
    assert isinstance(landing & other, AssetAll)
    assert isinstance(landing | other, AssetAny)
    assert (landing.name, landing.uri, landing.group) == ("landing", "s3://landing/", "g")
    assert isinstance(landing, Asset)


async def test_what_airflow_logs_of_an_event_is_a_count() -> None:
    trigger = S3EventAssetTrigger(sqs_queue="q", watcher="a")
    (event,) = trigger._events([PackedEvent.of(make_event(key="secret/key"))])
    assert repr(event) == str(event) == "PackEvent<1 object events>"
