"""Routing tables in TOML: the same model as Python, and errors that name the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import prefix, suffix, tag
from airflow_s3events.routing import Route, Routes
from airflow_s3events.routing_table import routes_from_toml, routes_of_toml

TABLE = """
mode = "all"
unmatched = "leave"

[default]
dag_id = "strays"

[[routes]]
dag_id = "orders"
priority = 5
enrich = ["tags"]
extra = { format = "csv" }
when = { prefix = "orders/", suffix = [".csv", ".tsv"] }

[[routes]]
dag_id = "gold"
[routes.when.tag]
key = "class"
value = "gold"
"""


def test_a_table_is_the_same_value_as_the_routes_written_in_python(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(TABLE)
    orders = prefix("orders/") & suffix(".csv", ".tsv")
    assert routes_from_toml(file) == Routes(
        [
            Route(dag_id="orders", priority=5, enrich=["tags"], extra={"format": "csv"}, when=orders),
            Route(dag_id="gold", when=tag("class", "gold")),
        ],
        mode="all",
        unmatched="leave",
        default=Route(dag_id="strays"),
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (TABLE.replace('"class"', '""'), r"r\.toml, line 15, route 2 \('gold'\): tag: the text is empty"),
        (TABLE.replace("priority = 5", "priorty = 5"), r"line 8, route 1 \('orders'\): .*'priorty'"),
        (TABLE.replace('dag_id = "gold"', ""), r"line 15, route 2: route: 'dag_id' is missing"),
        (TABLE.replace('"strays"', '"a b"'), r"r\.toml, default \('a b'\): dag_id"),
        (TABLE.replace('"leave"', '"drop"'), r"r\.toml: unmatched: 'drop'"),
        (TABLE.replace('"leave"', "leave"), r"r\.toml: not TOML: .*line 3"),
        ('routes = [{ dag_id = "a" }, { dag_id = 5 }]', r"r\.toml, route 2 \(5\): dag_id"),
        ("routes = [1]", r"r\.toml, route 1: route: 1 is not a mapping"),
        ("[routes]", r"r\.toml: no \[\[routes\]\]"),
        ("", r"r\.toml: no \[\[routes\]\]"),
    ],
)
def test_an_error_names_file_line_number_and_name(text: str, place: str) -> None:
    with pytest.raises(ConfigurationError, match=place):
        routes_of_toml(text, name="r.toml")


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read"):
        routes_from_toml(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"latin\.toml: cannot be read"):
        routes_from_toml(tmp_path / "latin.toml")
