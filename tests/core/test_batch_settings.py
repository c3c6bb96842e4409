"""``Batch``: what its settings may be, its plain form, in Python and in TOML; which queues it can work on."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.messages import QueueAttributes
from airflow_s3events.reconcile import unasking
from airflow_s3events.routing import Batch, Route, Routes
from airflow_s3events.routing_table import routes_of_toml
from airflow_s3events.settlement import check_batches

BY = r"orders/(?P<day>\d{4}-\d{2}-\d{2})/"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"by": 5}, "batch: by: 5"),
        ({"by": "orders/("}, "batch: by: regex"),
        ({"by": "(?P<day>(a+)+)$"}, "could take long"),
        ({"by": "orders/([0-9]+)/"}, "no group with a name"),
        ({"count": 0}, "batch: count: 0"),
        ({"count": 2_001}, "batch: count: 2001"),
        ({"count": 5.0}, "batch: count: 5.0 is not a whole number"),
        ({"count": True}, "batch: count: True"),
        ({"count": None}, "batch: count: None"),
        ({"object_bytes": 0}, "batch: object_bytes: 0"),
        ({"idle_seconds": 0}, "batch: idle_seconds: 0"),
        ({"open_seconds": 40_000}, "batch: open_seconds: 40000"),
        ({"open_seconds": "60"}, "batch: open_seconds: '60'"),
        ({"after_marker_seconds": -1}, "batch: after_marker_seconds: -1"),
        ({"conf_bytes": 100}, "batch: conf_bytes: 100"),
        ({"marker": "orders/_SUCCESS"}, "batch: marker: 'orders/_SUCCESS'"),
        ({"manifest": 5}, "batch: manifest: 5"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Batch(**{"by": BY, **settings})
    assert named in str(refused.value)


@pytest.mark.parametrize("setting", ["object_bytes", "idle_seconds"])
def test_what_needs_not_close_a_group_may_be_none(setting: str) -> None:
    batch = Batch(**{"by": BY, setting: None})  # type: ignore[arg-type]
    assert getattr(batch, setting) is None


def test_the_captured_values_and_the_names_of_marker_and_manifest_are_found_in_keys() -> None:
    batch = Batch(by=BY, marker="_SUCCESS", manifest="m.json")
    assert batch.values_of("in/orders/2026-01-01/a.csv") == {"day": "2026-01-01"}
    assert batch.values_of("in/orders/january/a.csv") is None
    assert [batch.is_marker(f"orders/{name}") for name in ("_SUCCESS", "x_SUCCESS")] == [True, False]
    assert [batch.is_manifest(f"orders/{name}") for name in ("m.json", "_SUCCESS")] == [True, False]
    assert not Batch(by=BY).is_marker("orders/")
    assert not Batch(by=BY).is_manifest("orders/")


def test_its_plain_form_stands_for_it_in_a_route() -> None:
    batch = Batch(by=BY, count=10, marker="_SUCCESS")
    data = json.loads(json.dumps(batch.serialize()))
    assert Batch.deserialize(data) == batch
    assert Batch.deserialize(batch) is batch
    route = Route(dag_id="load", batch=data)
    assert route == Route(dag_id="load", batch=batch)
    assert hash(route) == hash(Route(dag_id="load", batch=batch))
    assert pickle.loads(pickle.dumps(Routes([route]))) == Routes([route])  # noqa: S301 - our own bytes
    assert list(data) == sorted(data)


@pytest.mark.parametrize(
    ("batch", "named"),
    [
        ("orders/", "batch: 'orders/' is not a mapping"),
        ({"count": 5}, "batch: 'by' is missing"),
        ({"by": BY, "idle": 5}, "batch: unknown member 'idle'"),
    ],
)
def test_other_data_is_refused(batch: Any, named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Route(dag_id="load", batch=batch)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"label": "{key}"}, "label: "),
        ({"extra": {"s3_events": []}}, "'s3_events' is taken"),
        ({"templates": {"s3_batch": "{key}"}}, "'s3_batch' is taken"),
    ],
)
def test_what_a_batch_run_has_itself_cannot_be_set(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Route(dag_id="load", batch=Batch(by=BY), **settings)
    assert named in str(refused.value)


def test_the_conf_of_a_batch_run_has_all_events_and_what_the_route_adds_of_the_first() -> None:
    route = Route(dag_id="load", batch=Batch(by=BY), extra={"a": 1}, templates={"file": "{file}"})
    conf = route.batch_conf([{"key": "x/a"}, {"key": "x/b"}], {"number": 1})
    assert conf == {
        "s3_events": [{"key": "x/a"}, {"key": "x/b"}],
        "s3_batch": {"number": 1},
        "a": 1,
        "file": "a",
    }


def test_routes_know_whether_they_have_batches_and_manifests() -> None:
    assert not Routes.of("load").has_batches
    assert not Routes.of("load").has_manifests
    plain = Routes([Route(dag_id="load", batch=Batch(by=BY))])
    assert (plain.has_batches, plain.has_manifests) == (True, False)
    assert Routes([Route(dag_id="load", batch=Batch(by=BY, manifest="m.json"))]).has_manifests


def test_a_toml_table_has_batches_too_and_its_errors_name_the_place() -> None:
    text = """
    [[routes]]
    dag_id = "load"
    [routes.batch]
    by = 'orders/(?P<day>[0-9-]+)/'
    count = 10
    """
    (route,) = routes_of_toml(text, name="routes.toml")
    assert route.batch == Batch(by="orders/(?P<day>[0-9-]+)/", count=10)
    with pytest.raises(ConfigurationError) as refused:
        routes_of_toml(text.replace("10", "0"), name="routes.toml")
    assert "routes.toml, line 2, route 1 ('load'): batch: count: 0" in str(refused.value)


def test_a_reconciliation_refuses_a_route_with_a_batch() -> None:
    with pytest.raises(ConfigurationError, match="a route has a batch"):
        unasking(Routes([Route(dag_id="load", batch=Batch(by=BY))]))


def attributes_of(receives: int | None, retention_seconds: int) -> QueueAttributes:
    return QueueAttributes(
        arn="arn", visibility_seconds=30, retention_seconds=retention_seconds, max_receive_count=receives
    )


@pytest.mark.parametrize(("receives", "dispatchers"), [(4, 1), (None, 1), (5, 2)])
def test_a_queue_that_can_wait_for_a_group_is_taken(receives: int | None, dispatchers: int) -> None:
    attributes = attributes_of(receives, 345_600)
    check_batches(attributes, open_seconds=600, life_seconds=3_600, dispatchers=dispatchers)


@pytest.mark.parametrize(
    ("receives", "retention_seconds", "dispatchers", "named"),
    [
        (3, 345_600, 1, "to no less than 4"),
        (4, 345_600, 2, "to no less than 5"),
        (20, 1_000, 1, "MessageRetentionPeriod=1000"),
    ],
)
def test_a_queue_that_would_lose_what_waits_for_its_group_is_refused(
    receives: int, retention_seconds: int, dispatchers: int, named: str
) -> None:
    attributes = attributes_of(receives, retention_seconds)
    with pytest.raises(ConfigurationError, match=named):
        check_batches(attributes, open_seconds=600, life_seconds=3_600, dispatchers=dispatchers)
