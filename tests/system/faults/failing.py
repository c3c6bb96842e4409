"""The scenario ``failed-runs``: runs that fail once or always, malformed bodies, a DAG that is not there.

``acknowledge="run_succeeded"``; a worker and a triggerer are killed with messages in flight. Then the causes
are mended, one redrive command brings the dead letters back, and what can succeed does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from airflow_s3events.testing import object_created_body
from tests.system.faults import kills
from tests.system.faults.plan import Kill
from tests.system.faults.stage import SHORT, TARGET, Stage, Timeouts

#: Receives that the redrive policy allows: each try takes three, and a kill one more.
MAX_RECEIVES = 15
#: Short, but longer than a busy machine stands still for: a dispatcher that Airflow takes for dead each time
#: that it starts a hundred runs spends its messages' receives on that alone.
SHORT_TIMEOUTS = Timeouts(
    airflow={
        **SHORT.airflow,
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
    },
    dispatcher="dict(visibility_seconds=60, linger_seconds=3, retry_delay=timedelta(seconds=1))",
    freeze_seconds=75.0,
)
DAGS = """
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, get_current_context, task

from airflow_s3events import Route, Routes, events_of, s3_event_dispatcher
from airflow_s3events.filters import prefix

marks = Path(__file__).parent.parent / "marks"

dispatcher = s3_event_dispatcher(
    dag_id="dispatcher",
    sqs_queue=%(queue)r,
    routes=Routes([Route(dag_id="missing", when=prefix("gone/")), Route(dag_id="target")]),
    parallel=%(parallel)d,
    acknowledge="run_succeeded",
    on_redelivery=%(on_redelivery)r,
    retry_delay_seconds=5,
    give_up_seconds=60,
    **%(arguments)s,
)

with DAG("target", schedule=None, max_active_runs=16):

    @task(retries=0)
    def work():
        (event,) = events_of(get_current_context())
        kind, _, name = event.key.partition("/")
        mark = marks / name
        if kind == "always" and not (marks / "mended").exists():
            raise RuntimeError("this one always fails")
        if kind == "once" and not mark.exists():
            mark.touch()
            raise RuntimeError("this one fails once")

    work()
"""
_MISSING = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("missing", schedule=None):
    EmptyOperator(task_id="done")
"""


def play(stage: Stage, objects: int, patience_seconds: float) -> dict[str, Any]:
    """Send everything, kill, wait until all is settled, mend, redrive, wait again; what was where."""
    once, always, malformed, gone = (
        objects // 10,
        objects // 20,
        max(1, objects // 50),
        max(1, objects // 100),
    )
    marks = stage.cluster.dags_folder.parent / "marks"
    marks.mkdir()
    keys = [f"once/{n}" for n in range(once)] + [f"always/{n}" for n in range(always)]
    keys += [f"good/{n}" for n in range(objects - once - always)]
    fed = keys + [f"gone/{n}" for n in range(gone)]
    _send(stage, fed, malformed)
    report: dict[str, Any] = {"objects": objects, "once": once, "always": always}
    report |= {"malformed": malformed, "gone": gone}
    report["faults"] = [_kill(stage, "worker"), _kill(stage, "triggerer")]
    wanted = {"success": objects - always, "dlq": always + malformed + gone}
    report["before"] = _settled(stage, wanted, patience_seconds)
    (marks / "mended").touch()
    (stage.cluster.dags_folder / "missing.py").write_text(_MISSING)
    stage.cluster.wait_for_dag("missing")
    report["redrive"] = _redrive(stage)
    wanted = {"success": objects + gone, "dlq": malformed}
    report["after"] = _settled(stage, wanted, patience_seconds)
    report["overlaps"] = _overlaps(stage)
    report["audit"] = {"clean": _is_clean(report)}
    return report


def _send(stage: Stage, keys: Sequence[str], malformed: int) -> None:
    url = stage.bucket.queue_url
    for number in range(malformed):
        stage.aws.sqs.send_message(QueueUrl=url, MessageBody=f"malformed {number}")
    for key in keys:
        body = object_created_body(stage.bucket.bucket, key)
        stage.aws.sqs.send_message(QueueUrl=url, MessageBody=body)


def _kill(stage: Stage, kind: str) -> dict[str, Any]:
    """Strike when the dispatcher holds messages: on its worker, or in the triggerer."""
    state = "deferred" if kind == "triggerer" else "running"

    def moment() -> dict[str, Any] | None:
        now, pid, tries = stage.dispatcher()
        counts = stage.counts()
        ended = stage.runs_by_state().get("success", 0)
        if (
            now != state
            or not counts["in_flight"]
            or not ended
            or (kind == "triggerer" and not stage.is_watched())
        ):
            return None
        return {"succeeded": ended, **counts, "dispatcher": now, "pid": pid, "try": tries}

    found = stage.wait(f"the moment to kill the {kind}", moment, 1_800)
    return kills.strike(stage, Kill(kind, share=0.0, down_seconds=4.0), found)


def _settled(stage: Stage, wanted: dict[str, int], patience_seconds: float) -> dict[str, Any]:
    """Wait until so many events have succeeded and so many letters are dead, and nothing else is anywhere."""
    started = said = time.monotonic()
    while time.monotonic() - started < patience_seconds:
        counts, succeeded = stage.counts(), stage.succeeded()
        left = counts["visible"] + counts["in_flight"] + counts["delayed"]
        if not left and succeeded == wanted["success"] and counts["dlq"] == wanted["dlq"]:
            break
        if time.monotonic() - said > 30:
            stage.say(f"{succeeded} of {wanted['success']} succeeded; {counts}; {stage.runs_by_state()}")
            said = time.monotonic()
        time.sleep(1.0)
    return {
        "seconds": round(time.monotonic() - started, 1),
        "wanted": wanted,
        "succeeded": stage.succeeded(),
        "queues": stage.counts(),
        "reasons": _reasons(stage),
        "runs": stage.runs_by_state(),
    }


def _reasons(stage: Stage) -> dict[str, int]:
    """Dead letters by their reasons, run ids and numbers left out."""
    found: Counter[str] = Counter()
    for letter in _command(stage, "list", "--json"):
        reason = letter["reason"]
        kind = letter["events"][0]["key"].partition("/")[0] if letter["events"] else "malformed"
        for known in ("failed; the message was received", "not found", "not JSON"):
            if known in reason:
                reason = known
        found[f"{kind}: {reason}"] += 1
    return dict(found)


def _redrive(stage: Stage) -> dict[str, Any]:
    (report,) = _command(stage, "redrive", "--json", "--to", stage.bucket.queue_url)
    return {name: report[name] for name in ("looked_at", "matched", "done")}


def _command(stage: Stage, action: str, *options: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "airflow_s3events", "dead-letters", action, stage.bucket.dlq_url]
    command += ["--region", "us-east-1", "--endpoint-url", stage.aws.endpoint_url, *options]
    keys = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=keys)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _overlaps(stage: Stage) -> int:
    """Pairs of runs of one event that were active at the same time."""
    sql = """
        SELECT count(*) FROM dag_run a JOIN dag_run b ON a.dag_id = b.dag_id AND a.id < b.id
        AND a.conf -> 's3_event' ->> 'event_id' = b.conf -> 's3_event' ->> 'event_id'
        WHERE a.dag_id = :dag AND b.queued_at < COALESCE(a.end_date, now())
        AND a.queued_at < COALESCE(b.end_date, now())
    """
    return int(stage.rows(sql, dag=TARGET)[0][0])


def _is_clean(report: dict[str, Any]) -> bool:
    phases = [report["before"], report["after"]]
    counts = [
        phase["succeeded"] == phase["wanted"]["success"]
        and phase["queues"] == {"visible": 0, "in_flight": 0, "delayed": 0, "dlq": phase["wanted"]["dlq"]}
        for phase in phases
    ]
    kinds = {"always": "failed; the message was received", "gone": "not found", "malformed": "not JSON"}
    letters = {f"{kind}: {reason}": report[kind] for kind, reason in kinds.items()}
    reasons = [report["before"]["reasons"] == letters]
    reasons.append(report["after"]["reasons"] == {"malformed: not JSON": report["malformed"]})
    return all(counts) and all(reasons) and report["overlaps"] == 0
