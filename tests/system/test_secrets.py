"""Receipt handles, bodies and keys stay where they belong: not in a log, not in Airflow's database."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from airflow_s3events.demo.aws import REGION, EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.system.recording_proxy import Recording, recording_proxy
from tests.system.scenes import TARGET, Scene

_SECRET_KEY = f"secret-{secrets.token_hex(16)}"
#: A member of S3's records that no event carries on.
_ONLY_IN_BODIES = f"only-in-bodies-{secrets.token_hex(8)}"


@pytest.fixture
def recording(aws: EmbeddedAws) -> Iterator[Recording]:
    with recording_proxy(aws.endpoint_url) as running:
        yield running


@pytest.fixture
def scene(aws: EmbeddedAws, cluster: Cluster, recording: Recording) -> Iterator[Scene]:
    name = f"secrets-{secrets.token_hex(3)}"
    extra = {"endpoint_url": recording.url, "region_name": REGION}
    connection = {
        "connection_id": name,
        "conn_type": "aws",
        "login": "AKIASECRETS",
        "password": _SECRET_KEY,
        "extra": json.dumps(extra),
    }
    cluster.api.call("POST", "/connections", connection)
    playing = Scene(name, aws, cluster, aws.notifying_bucket(name), [])
    yield playing
    playing.close()
    cluster.api.call("DELETE", f"/connections/{name}")


def _play(scene: Scene) -> None:
    """All that may tempt somebody to log a message: a start, a deferral, a wake-up, bad bodies."""
    scene.add_dags(scene.dispatcher(aws_conn_id=repr(scene.name)), TARGET)
    scene.put(2)
    scene.waits_until(scene.is_settled, "the first runs")
    scene.task_in("deferred")
    for body in (f"no JSON {_ONLY_IN_BODIES}", json.dumps({"Records": [{"x": _ONLY_IN_BODIES}]})):
        scene.aws.sqs.send_message(QueueUrl=scene.bucket.queue_url, MessageBody=body)
    scene.put(1, twice=True)
    scene.waits_until(scene.is_settled, "the runs after the wake-up")
    scene.waits_until(lambda: scene.aws.counts(scene.bucket.dlq_url) == (2, 0), "two dead letters")
    scene.task_in("deferred")


def _database_texts(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Every row of every table, as text."""
    url = cluster.variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        for table in sqlalchemy.inspect(connection).get_table_names():
            for row in connection.execute(sqlalchemy.text(f'SELECT * FROM "{table}"')):  # noqa: S608 - its own names
                yield f"table {table}", repr(tuple(row))
    engine.dispose()


def _log_texts(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for path in cluster.folder.rglob("*"):
        if path.is_file() and (path.suffix == ".log" or "logs" in path.parts):
            yield f"log {path.relative_to(cluster.folder)}", path.read_text(errors="replace")


def _places(needles: set[str], texts: Iterator[tuple[str, str]]) -> list[str]:
    return sorted({place for place, text in texts if any(needle in text for needle in needles)})


def test_no_handle_body_or_key_is_in_a_log_or_in_the_database(
    scene: Scene, cluster: Cluster, recording: Recording
) -> None:
    _play(scene)
    assert len(recording.handles) >= 5
    needles = {*recording.handles, *recording.bodies, _ONLY_IN_BODIES, _SECRET_KEY}
    assert _places(needles, _log_texts(cluster)) == []
    assert _places(needles, _database_texts(cluster)) == []
    # The search itself works: what may be seen is found.
    assert _places({scene.keys[0]}, _database_texts(cluster)) == ["table dag_run"]
    woken = _places({"Woken: messages"}, _log_texts(cluster))
    assert any(f"dag_id={scene.name}/" in place for place in woken)


def test_the_places_that_are_searched_are_those_where_airflow_writes(cluster: Cluster) -> None:
    assert any(Path(place).suffix == ".log" for place, _ in _log_texts(cluster))
    tables = {place for place, _ in _database_texts(cluster)}
    assert {"table dag", "table dag_run", "table serialized_dag", "table task_instance"} <= tables
