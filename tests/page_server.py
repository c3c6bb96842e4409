"""A web server of Airflow with the page, and logins: beside a whole Airflow, or on a database of its own.

python -m tests.page_server FOLDER [ROWS]      # keeps one running, with SQS emulated and a ledger filled
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.demo.lifetime import Lifetime
from airflow_s3events.demo.processes import Processes, free_port
from airflow_s3events.identity import object_id, run_id
from airflow_s3events.ledger import Decision, Document
from airflow_s3events.ledger.entries import counted_as, entry_name, recorded
from airflow_s3events.ledger.sql import SqlStore
from airflow_s3events.testing import object_created_body, object_event

#: What happens to a hundred events of a good day.
_FATES = ("started",) * 93 + ("unmatched",) * 4 + ("stale",) * 2 + ("put_off",)
_FOLDERS = ("orders", "invoices/2026/11", "telemetry/eu/plant-7", "returns")
_UP_IN_SECONDS = 90.0
_NAME = "api-server"
#: Who may log in, each with the password ``pw-of-NAME``, and in what role.
USERS = {"admin": "admin", "reader": "viewer"}


@dataclass
class PageServer(Lifetime):
    """``airflow api-server`` with the page, on whatever database the environment names.

    Args:
        folder: For its logs and passwords.
        variables: The environment of an Airflow 3 whose database is there.
        page: Options of section ``[s3events]``.
    """

    folder: Path
    variables: Mapping[str, str]
    page: Mapping[str, str]
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._processes = Processes(self.folder / "page-server")

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Of the server: everybody must log in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        passwords = self.folder / "passwords.json"
        passwords.write_text(json.dumps({name: f"pw-of-{name}" for name in USERS}))
        return {
            **self.variables,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{n}:{role}" for n, role in USERS.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            **{f"AIRFLOW__S3EVENTS__{name.upper()}": value for name, value in self.page.items()},
        }

    def bring_up(self) -> None:
        """Start the server, and wait until it answers."""
        command = [sys.executable, "-m", "airflow", "api-server"]
        self._processes.start(_NAME, command, self.environment)
        if not self._processes.wait_for_answer(_NAME, self._answers, _UP_IN_SECONDS):
            raise RuntimeError(f"the server does not answer\n{self.log()}")

    def stop(self) -> None:
        """End the server."""
        self._processes.stop_all()

    def log(self) -> str:
        """The last lines of its output."""
        return self._processes.log_tail(_NAME, 60)

    def token(self, user: str) -> str:
        """Log in."""
        login = {"username": user, "password": f"pw-of-{user}"}
        answer = httpx.post(f"{self.url}/auth/token", json=login, timeout=30)
        return str(answer.json()["access_token"])

    def get(self, path: str, user: str | None = None, **more: Any) -> httpx.Response:
        """Ask for a path of the page, with the cookie of a user who has logged in."""
        return self.ask("GET", path, user, **more)

    def ask(self, method: str, path: str, user: str | None = None, **more: Any) -> httpx.Response:
        """Ask for a path of the page."""
        cookies = {} if user is None else {"_token": self.token(user)}
        with httpx.Client(cookies=cookies, timeout=60) as client:
            return client.request(method, f"{self.url}/s3events/{path}", **more)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/version", timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


def fill_ledger(
    url: str,
    rows: int,
    *,
    now: float,
    seconds: float = 6 * 86_400,
    bucket: str = "landing",
    dag_id: str = "process_object",
) -> None:
    """Write entries of the last ``seconds`` into the ledger of a database, more of late than of old."""
    dice = random.Random(7)
    documents = [_document(dice, number, now - _age(dice, seconds), bucket, dag_id) for number in range(rows)]
    store = SqlStore(url)

    async def write() -> None:
        await store.write(documents)
        await store.close()

    asyncio.run(write())


def _age(dice: random.Random, seconds: float) -> float:
    """A day has busy hours."""
    while True:
        age = dice.random() ** 2 * seconds
        hour = (age / 3_600) % 24
        if dice.random() < (0.9 if 3 < hour < 14 else 0.25):
            return age


def _document(dice: random.Random, number: int, at: float, bucket: str, target: str) -> Document:
    key = f"{dice.choice(_FOLDERS)}/{number:07}.parquet"
    event = object_event("ObjectCreated:Put", bucket, key)
    what = dice.choice(_FATES)
    dag_id = "" if what == "unmatched" else target
    decision = Decision(
        event=event,
        what=what,
        dag_id=dag_id,
        run_id=run_id(event) if what == "started" else None,
        reason=f"DAG {target!r} is paused" if what == "put_off" else "",
        message_id=f"m-{number}",
    )
    body = {**recorded(None, decision, at), "seen": 2 if dice.random() < 0.04 else 1}
    body["late_seconds"] = round(0.4 + dice.random() ** 4 * 30, 3)
    name = entry_name(event, dag_id)
    return Document(name, 1, body, object_id(bucket, key), int(at) + 90 * 86_400, counted_as(name, body))


def put_dead_letters(
    aws: EmbeddedAws, landing: NotifyingBucket, letters: Mapping[str, str], *, dag_id: str = "process_object"
) -> None:
    """Put a dead letter for each key, with its reason."""
    for key, reason in letters.items():
        attributes = {"s3events.reason": reason, "s3events.dag_id": dag_id}
        aws.sqs.send_message(
            QueueUrl=landing.dlq_url,
            MessageBody=object_created_body(landing.bucket, key),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )


def page_options(queue: str, ledger: bool = True) -> dict[str, str]:
    """Options of section ``[s3events]`` for a queue with its DAGs and the ledger ``ledger_db``."""
    watched = {"queue": queue, "dispatcher": "landing_dispatcher", "targets": ["process_object"]}
    return {"page_queues": json.dumps([watched]), **({"page_ledger": "sql:ledger_db"} if ledger else {})}


@contextlib.contextmanager
def standing_alone(
    folder: Path, rows: int, **more: str
) -> Iterator[tuple[PageServer, EmbeddedAws, NotifyingBucket]]:
    """A page on a database of its own, without scheduler or DAGs, and a ledger of ``rows`` entries."""
    folder.mkdir(parents=True, exist_ok=True)
    with EmbeddedAws(folder / "aws") as aws:
        landing = aws.notifying_bucket("landing")
        fill_ledger(f"sqlite:///{folder}/ledger.db", rows, now=time.time())
        cluster = Cluster(folder / "airflow", dags_folder=folder / "dags")
        variables = {
            **cluster.variables,
            "AIRFLOW_CONN_AWS_DEFAULT": aws.connection,
            "AIRFLOW_CONN_LEDGER_DB": json.dumps({"conn_type": "sqlite", "schema": f"{folder}/ledger.db"}),
        }
        (folder / "airflow" / "tmp").mkdir(parents=True, exist_ok=True)
        (folder / "dags").mkdir(exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=variables,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        options = page_options(landing.queue_url.rpartition("/")[2])
        with PageServer(folder, variables, {**options, **more}) as server:
            yield server, aws, landing


def main() -> None:
    """Keep one running."""
    with standing_alone(Path(sys.argv[1]), int((sys.argv[2:] or ["2000"])[0])) as (server, aws, landing):
        put_dead_letters(aws, landing, {f"orders/{n}.csv": "Airflow refuses a run" for n in range(3)})
        print(f"{server.url}/s3events/ as {USERS}, password pw-of-NAME", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(10**6)


if __name__ == "__main__":
    main()
