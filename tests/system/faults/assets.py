"""Kills triggerers in turn while objects come for many assets on one queue, and audits what became of them.

    python -m tests.system.faults.assets --objects 3000 --assets 10 --kills 6

Two triggerers share the watchers of the queue; each object is wanted by an asset of its own and by the last
asset, which wants all. Progress goes to stderr; the last line of stdout is one JSON object. Exit status 0:
the audit is clean.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from tests.system.faults.ground import Ground, prepared
from tests.system.postgres import Postgres

_ROOT = Path(__file__).parents[3]
_DAGS = """
import json
from hashlib import sha256
from pathlib import Path

from airflow.sdk import DAG, get_current_context, task

from airflow_s3events import events_of, s3_event_asset

for name, part in %(assets)r.items():
    when = {"glob": f"**/*{part}*"}
    asset = s3_event_asset(name, sqs_queue=%(queue)r, when=when, visibility_seconds=30)
    with DAG(dag_id=name, schedule=asset, max_active_runs=1):

        @task(retries=5, retry_delay=1)
        def note():
            context = get_current_context()
            folder = Path(%(notes)r) / context["dag"].dag_id
            folder.mkdir(parents=True, exist_ok=True)
            # By its run: a second try writes the same again.
            written = folder / f"{sha256(context['run_id'].encode()).hexdigest()}.new"
            written.write_text(json.dumps([event.key for event in events_of(context)]))
            written.rename(written.with_suffix(".json"))

        note()
"""
_TRIGGERERS = ("triggerer", "triggerer-2")
#: A dead triggerer's watchers go to the other after so long: 30 s by default, longer than between two kills.
_ENVIRONMENT = {
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    # So that both triggerers get some of the watchers; by default the first one there takes fifty at once.
    "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
}
_STARTED_SECONDS = 120.0
#: A triggerer has its row some seconds before it takes its first watcher.
_AT_WORK = """
    SELECT count(*) FROM job
    WHERE job_type = 'TriggererJob' AND state = 'running' AND start_date < now() - interval '15 seconds'
"""
_KNOWN_SECONDS = 20.0
#: A run that Airflow has made by the clock of a triggerer that is ahead waits for its time to come: an hour
#: would only be waited for.
_JUMPS = (-3_600, -420, 420)
_TO_COME = "SELECT count(*) FROM dag_run WHERE state = 'queued' AND run_after > now()"
#: With nothing in the queue, what is missing so long does not come any more.
_GIVE_UP_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Stage(Ground):
    """Airflow with two triggerers, and the queue that they share."""

    aws: EmbeddedAws
    bucket: NotifyingBucket
    manifest: dict[str, Any]

    @property
    def components(self) -> tuple[str, ...]:
        """The second triggerer is one of them, whatever the cluster calls its own."""
        return tuple(dict.fromkeys((*self.cluster.components, *_TRIGGERERS)))

    def restart(self, name: str) -> None:
        """Start a component anew."""
        self.cluster.processes.stop(name)
        self.start(name)

    def start(self, name: str) -> None:
        """Start a component, be it one that the cluster does not have of itself."""
        kind = name if name in self.cluster.components else name.removesuffix("-2")
        self.cluster.start_component(kind, name)

    def watch(self) -> None:
        """Bring the DAGs once both triggerers are there, so that the watchers are split between them.

        Raises:
            TimeoutError: A triggerer, or a watcher, did not start.
        """
        if _TRIGGERERS[1] not in self.cluster.components:
            self.start(_TRIGGERERS[1])
        self.wait("two triggerers", lambda: self.rows(_AT_WORK)[0][0] >= len(_TRIGGERERS), _STARTED_SECONDS)
        values = {**self.manifest, "queue": self.bucket.queue_url}
        (self.cluster.dags_folder / "assets.py").write_text(_DAGS % values)
        for name in self.manifest["assets"]:
            self.cluster.wait_for_dag(name)
        self.wait("all watchers", self.is_watched, _STARTED_SECONDS)
        # A watcher is owed what comes once it has started and the other triggerer has heard of it.
        time.sleep(_KNOWN_SECONDS)

    def is_watched(self) -> bool:
        """Whether every watcher is in a triggerer."""
        owners = self.owners()
        return "None" not in owners and sum(owners.values()) == len(self.manifest["assets"])

    def feed(self, count: int, seconds: float) -> None:
        """Upload ``count`` objects within ``seconds``, each for one of the assets."""
        start = time.monotonic()
        for number in range(count):
            key = self.key_of(number)
            self.aws.s3.put_object(Bucket=self.bucket.bucket, Key=key, Body=b"1")
            self.manifest["keys"].append(key)
            time.sleep(max(0.0, start + (number + 1) * seconds / count - time.monotonic()))

    def key_of(self, number: int) -> str:
        """Name an object for the next of the assets but the last, which wants all."""
        names = list(self.manifest["assets"])[:-1]
        return f"in/{number:06}-{names[number % len(names)]}-.csv"

    def kill(self, name: str) -> None:
        """Kill one triggerer and start it anew."""
        self.cluster.kill(name)
        self.restart(name)

    def owners(self) -> dict[str, int]:
        """How many watchers each living triggerer has: it shows whether they are split."""
        rows = self.rows("SELECT triggerer_id, count(*) FROM trigger GROUP BY triggerer_id ORDER BY 1")
        return {str(owner): int(count) for owner, count in rows}

    def audit(self) -> dict[str, Any]:
        """What the audit, in a process of its own, says."""
        path = self.cluster.folder / "manifest.json"
        path.write_text(json.dumps({**self.manifest, "moves": self.moves}))
        command = [sys.executable, "-m", "tests.system.faults.audit_assets", str(path)]
        command += ["--database", self.database_url, "--endpoint", self.aws.endpoint_url]
        command += ["--queue", self.bucket.queue_url, "--dlq", self.bucket.dlq_url]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=_ROOT)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def wait_settled(self, seconds: float) -> bool:
        """Wait until all is well, or nothing moves any more; whether all is well."""
        deadline = busy = time.monotonic()
        last: dict[str, Any] = {}
        while time.monotonic() < deadline + seconds:
            result = self.audit()
            if result["clean"]:
                return True
            if result != last:
                last, busy = result, time.monotonic()
                self.say(str({name: value for name, value in result.items() if name != "named"}))
            is_due = result["queue"] or self.rows(_TO_COME)[0][0]
            if not is_due and time.monotonic() - busy > _GIVE_UP_SECONDS:
                return False
            time.sleep(5)
        return False


@contextmanager
def set_up(
    folder: Path,
    assets: int,
    *,
    say: Callable[[str], None],
    kinds: Sequence[str] = (),
    scale_out: bool = False,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Stage]:
    """Start everything; yield the stage when every asset of so many is watched.

    ``kinds`` are the faults to come, ``scale_out`` is Celery over Redis and two of all that may be two.
    """
    with Postgres() as postgres, EmbeddedAws(folder / "aws") as aws:
        bucket = aws.notifying_bucket("landing", max_receive_count=20)
        names = [f"asset{number}" for number in range(assets)]
        manifest = {
            "notes": str(folder / "notes"),
            "assets": {**{name: f"-{name}-" for name in names[:-1]}, names[-1]: "-"},
            "keys": [],
        }
        more: dict[str, Any] = {"aws": aws, "bucket": bucket, "manifest": manifest, "say": say}
        variables = {**environment, **_ENVIRONMENT}
        with (
            prepared(folder, aws, postgres, kinds, environment=variables, scale_out=scale_out) as ground,
            ground["cluster"],
        ):
            stage = Stage(**ground, jumps=_JUMPS, **more)
            stage.watch()
            yield stage


def main() -> int:
    """Play, audit, report."""
    options = _options()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    folder = options.folder or Path(tempfile.mkdtemp(prefix="s3events-assets-"))
    try:
        with set_up(folder, options.assets, say=say) as stage:
            report = _play(stage, options)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    report["seconds"] = round(time.monotonic() - started, 1)
    report["versions"] = {"apache-airflow": version("apache-airflow")}
    print(json.dumps(report, ensure_ascii=False))
    return 0 if report["audit"]["clean"] else 1


def _play(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(options.seed)
    feeding = threading.Thread(
        target=stage.feed, args=(options.objects, (options.kills + 1) * options.interval), daemon=True
    )
    feeding.start()
    owners = []
    for number in range(options.kills):
        time.sleep(options.interval * (0.75 + chance.random() / 2))
        owners.append(stage.owners())
        stage.say(f"kill {number + 1}; watchers by triggerer: {owners[-1]}")
        stage.kill(_TRIGGERERS[number % 2])
    feeding.join()
    stage.wait_settled(options.patience * 60)
    return {"seed": options.seed, "kills": options.kills, "owners": owners, "audit": stage.audit()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults.assets", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--objects", type=int, default=3000)
    parser.add_argument("--assets", type=int, default=10)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--interval", type=float, default=20.0, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=1, help="draws the moments of the kills")
    parser.add_argument("--patience", type=float, default=30.0, help="minutes to wait for the end")
    parser.add_argument("--folder", type=Path, help="work here and leave the logs; default: a temporary one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
