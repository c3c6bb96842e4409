"""One real Airflow, one embedded AWS and one PostgreSQL behind every system test.

Fixtures for tests, the fault harness and the benchmarks:

``cluster``
    The ``Cluster``: kill, restart, pause and resume components, read runs. A test that breaks a component
    puts it back before it ends.
``aws``
    The ``EmbeddedAws``: ``aws.s3`` and ``aws.sqs`` are boto3 clients.
``bucket``
    A bucket of the test's own with its queue (visibility timeout 30 s, five receives) and DLQ.
``add_dags``
    ``add_dags(source)`` puts a DAG file into Airflow's folder, waits until each of its DAGs is known, and
    returns their ids; the file goes when the test ends. In the source ``%(name)s`` becomes a name of the
    test's own, and ``dag_id="..."`` names each DAG.
``statsd``
    The ``StatsdServer`` that gets Airflow's metrics.
``otlp``
    The ``OtlpServer`` that gets Airflow's traces.
``eventually``
    ``eventually(probe, timeout_seconds=60)`` asks until the answer is true, and fails with Airflow's logs.

``S3EVENTS_TEST_DATABASE`` is ``postgresql`` or ``sqlite``; without it PostgreSQL where its binaries are,
since that is what users run. A requested PostgreSQL that is missing is an error, never a skip.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from tests.emulators import free_port
from tests.otlp import OtlpServer
from tests.statsd import StatsdServer
from tests.system.postgres import Postgres, PostgresMissingError

T = TypeVar("T")
AddDags = Callable[[str], list[str]]

#: What the embedded AWS has not.
OTHER_SERVICES = ("athena", "codebuild", "events", "glue", "kinesis", "lambda", "sns", "stepfunctions")

_without_postgres: list[str] = []


class Eventually(Protocol):
    """Asks until the answer is true."""

    def __call__(self, probe: Callable[[], T], timeout_seconds: float = 60.0) -> T: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A real Airflow is slower than the 120 s of the whole suite: its start alone can take half of that."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so where the tests could not run as on a user's PostgreSQL."""
    for reason in _without_postgres:
        terminalreporter.write_line(f"Airflow of the system tests ran on SQLite: {reason}")


@pytest.fixture(scope="session")
def system_folder() -> Iterator[Path]:
    """Everything these tests write, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="s3events-system-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def database_url() -> Iterator[str | None]:
    """SQLAlchemy URL of a fresh database; None for SQLite."""
    wanted = os.environ.get("S3EVENTS_TEST_DATABASE")
    if wanted not in {None, "sqlite", "postgresql"}:
        pytest.fail(f"S3EVENTS_TEST_DATABASE is {wanted!r}: say sqlite or postgresql")
    try:
        postgres = None if wanted == "sqlite" else Postgres()
    except PostgresMissingError as missing:
        if wanted is not None:
            pytest.fail(f"S3EVENTS_TEST_DATABASE asks for PostgreSQL, but {missing}")
        _without_postgres.append(str(missing))
        postgres = None
    if postgres is None:
        yield None
        return
    with postgres:
        yield postgres.create_database("airflow")


@pytest.fixture(scope="session")
def aws(system_folder: Path) -> Iterator[EmbeddedAws]:
    """S3 and SQS for the whole suite."""
    with EmbeddedAws(system_folder / "aws") as running:
        yield running


@pytest.fixture(scope="session")
def services_port() -> int:
    """Port where ``aws_default`` looks for ``OTHER_SERVICES``: a test that needs them serves them there."""
    return free_port()


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdServer]:
    """What the whole Airflow sends as its metrics."""
    server = StatsdServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def otlp() -> Iterator[OtlpServer]:
    """What the whole Airflow sends as its traces."""
    server = OtlpServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def cluster(  # noqa: PLR0917 - fixtures
    system_folder: Path,
    database_url: str | None,
    aws: EmbeddedAws,
    services_port: int,
    statsd: StatsdServer,
    otlp: OtlpServer,
) -> Iterator[Cluster]:
    """A whole Airflow for the whole suite; its ``aws_default`` connection leads to ``aws``."""
    running = Cluster(
        system_folder / "airflow",
        dags_folder=system_folder / "dags",
        database_url=database_url,
        environment={
            "AIRFLOW_CONN_AWS_DEFAULT": _connection(aws, services_port),
            **statsd.settings,
            **otlp.settings,
        },
        remove_folder=system_folder,
    )
    with running:
        yield running


def _connection(aws: EmbeddedAws, services_port: int) -> str:
    connection = json.loads(aws.connection)
    elsewhere = {"endpoint_url": f"http://127.0.0.1:{services_port}"}
    connection["extra"]["service_config"] = dict.fromkeys(OTHER_SERVICES, elsewhere)
    return json.dumps(connection)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own that buckets, queues and DAGs can have: a-z, 0-9 and ``-``."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"{words[:43].strip('-')}-{secrets.token_hex(3)}"


@pytest.fixture
def bucket(aws: EmbeddedAws, name: str) -> NotifyingBucket:
    """A bucket of the test's own whose events go to a queue of its own."""
    return aws.notifying_bucket(name)


@pytest.fixture
def add_dags(cluster: Cluster, name: str) -> Iterator[AddDags]:
    """Puts DAG files into Airflow's folder for the time of one test."""
    files: list[Path] = []
    dag_ids: list[str] = []

    def add(source: str) -> list[str]:
        file = cluster.dags_folder / f"{name}_{len(files)}.py"
        added = re.findall(r"""dag_id=["']([^"']+)["']""", source.replace("%(name)s", name))
        assert added, 'say dag_id="..." in the source, so that Airflow can be asked for it'
        # In one step: Airflow must not parse half a file.
        written = file.with_suffix(".new")
        written.write_text(source.replace("%(name)s", name))
        written.rename(file)
        files.append(file)
        for dag_id in added:
            cluster.wait_for_dag(dag_id)
        dag_ids.extend(added)
        return added

    yield add
    for dag_id in dag_ids:
        cluster.api.set_paused(dag_id, True)
    for file in files:
        file.unlink(missing_ok=True)


@pytest.fixture
def eventually(cluster: Cluster) -> Eventually:
    """Asks until the answer is true; fails with the logs of every component."""

    def wait(probe: Callable[[], T], timeout_seconds: float = 60.0) -> T:
        deadline = time.monotonic() + timeout_seconds
        while not (answer := probe()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {timeout_seconds} s: {answer!r}\n{cluster.logs()}")
            time.sleep(0.2)
        return answer

    return wait
