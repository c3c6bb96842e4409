"""``AirflowState``: what Airflow 3's REST API says of itself, of a dispatcher and of the DAGs it starts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.hooks.airflow_rest import AirflowRestHook, Api
from airflow_s3events.signs import SIGNS_KEY, Sign
from airflow_s3events.watchdog import AirflowFacts, DagFacts, TaskFacts
from airflow_s3events.watchers import raised_in, roll_key

#: A watcher that nobody has seen for so long tells nothing.
SEEN_SECONDS = 300.0
#: Runs that are looked at, the newest first.
_RUNS = 10
#: Triggerers that are looked at, the last ones that were started.
_JOBS = 100
_UNENDED = ("queued", "running")
#: The member of a task instance that says since when it is in a state.
_SINCE = {"queued": "queued_when", "scheduled": "scheduled_when"}
_ENDED_TASKS = ("success", "failed", "skipped", "upstream_failed", "removed")


class AirflowState:
    """Reads, and changes nothing. Needs the right to read DAGs, their runs and tasks, and jobs.

    Args:
        api: The API.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def facts(
        self,
        dispatcher: str | None,
        targets: Sequence[str],
        *,
        max_queued_runs: int = 1_000,
        sqs_queue: str = "",
    ) -> AirflowFacts:
        """Return what there is to know; where the API is away, that it is.

        Args:
            dispatcher: The DAG that reads the queue; None: watchers of assets do, perhaps.
            targets: The DAGs that it starts.
            max_queued_runs: As in the routes.
            sqs_queue: The queue, named as its watchers name it.

        Raises:
            ConfigurationError: The API does not let us in.
        """
        try:
            return self._facts(dispatcher, targets, max_queued_runs, sqs_queue)
        except OutageError as error:
            return AirflowFacts(error=str(error))

    def _facts(
        self, dispatcher: str | None, targets: Sequence[str], max_queued_runs: int, sqs_queue: str
    ) -> AirflowFacts:
        health = self._get("/monitor/health")
        scheduler, database = (
            str((health.get(part) or {}).get("status", otherwise))
            for part, otherwise in (("scheduler", None), ("metadatabase", "healthy"))
        )
        if database != "healthy":
            return AirflowFacts(database=database)
        alive = self._triggerers()
        return AirflowFacts(
            scheduler=scheduler,
            triggerers=len(alive),
            raising={} if dispatcher or not sqs_queue else self.raising(sqs_queue),
            dispatcher=None if dispatcher is None else self._dispatcher(dispatcher, alive),
            targets=[self.dag(dag_id) for dag_id in targets],
            max_queued_runs=max_queued_runs,
        )

    def _triggerers(self) -> set[int]:
        """Return the ids of those that are alive: the API's own count has the dead ones in it, too."""
        jobs = self._get("/jobs", job_type="TriggererJob", is_alive="true", order_by="-id", limit=_JOBS)
        return {int(job["id"]) for job in jobs["jobs"]}

    def _dispatcher(self, dag_id: str, alive: Collection[int]) -> DagFacts:
        """Return a dispatcher; a trigger stays with a dead triggerer until another takes it: it has none."""
        dag = self.dag(dag_id, with_tasks=True)
        tasks = [
            task if task.triggerer_id in alive else replace(task, triggerer_id=None) for task in dag.tasks
        ]
        return replace(dag, tasks=tasks)

    def raising(self, sqs_queue: str) -> dict[str, str]:
        """Return which watchers of a queue raise, and why; none where variables may not be read."""
        try:
            answer = self._api.call("GET", f"/variables/{roll_key(sqs_queue)}")
        except ConfigurationError:
            return {}
        return raised_in(answer.data.get("value"), time.time(), SEEN_SECONDS) if answer.is_there else {}

    def dag(self, dag_id: str, *, with_tasks: bool = False) -> DagFacts:
        """Return what there is to know of one DAG."""
        answer = self._api.call("GET", _path(dag_id))
        if not answer.is_there:
            return DagFacts(dag_id=dag_id, exists=False)
        runs = self.runs(dag_id)
        queued = self._get(f"{_path(dag_id)}/dagRuns", state="queued", limit=1)["total_entries"]
        under_way = [run for run in runs if run["state"] in _UNENDED]
        ends = [seconds_of(run["end_date"]) for run in runs if run.get("end_date")]
        tasks = [task for run in under_way for task in self._tasks(dag_id, run)] if with_tasks else []
        return DagFacts(
            dag_id=dag_id,
            is_paused=bool(answer.data["is_paused"]),
            is_broken=bool(answer.data.get("has_import_errors")),
            queued=int(queued),
            states=tuple(str(run["state"]) for run in runs),
            idle_since=None if under_way else max(ends, default=None),
            tasks=tasks,
            signs=self._signs(dag_id, runs) if with_tasks else (),
        )

    def runs(self, dag_id: str, *, most: int = _RUNS) -> list[Mapping[str, Any]]:
        """Return the last runs of a DAG, the newest first, as the API has them; of an unknown one none."""
        answer = self._api.call(
            "GET", f"{_path(dag_id)}/dagRuns", query={"order_by": "-run_after", "limit": most}
        )
        return list(answer.data["dag_runs"]) if answer.is_there else []

    def seen(self, dag_id: str, *, most: int = _RUNS) -> list[dict[str, Any]]:
        """Return the last runs of a DAG that an event started, the newest first, as rows to show."""
        rows = []
        for run in self.runs(dag_id, most=most):
            event = (run.get("conf") or {}).get("s3_event")
            if event is not None:
                rows.append(
                    {
                        "started": run.get("queued_at") or run.get("run_after"),
                        "object": f"s3://{event['bucket']}/{event['key']}",
                        "event_type": event.get("event_type"),
                        "dag_id": dag_id,
                        "run_id": run["dag_run_id"],
                        "state": run["state"],
                        "url": self._api.run_url(dag_id, str(run["dag_run_id"])),
                    }
                )
        return rows

    def last_event(self, dag_ids: Sequence[str]) -> dict[str, Any] | None:
        """Return the newest run of these DAGs that an event started, as a row to show."""
        seen = [row for dag_id in dag_ids for row in self.seen(dag_id, most=1)]
        return max(seen, key=lambda row: str(row["started"]), default=None)

    def _signs(self, dag_id: str, runs: Sequence[Mapping[str, Any]]) -> list[Sign]:
        """Return what the tasks of the last two runs left word of: one has just begun, perhaps.

        None where XComs may not be read: all else is told as well.
        """
        try:
            return self._left(dag_id, runs[:2])
        except ConfigurationError:
            return []

    def _left(self, dag_id: str, runs: Sequence[Mapping[str, Any]]) -> list[Sign]:
        signs = []
        for run in runs:
            path = _tasks_path(dag_id, run)
            answer = self._api.call("GET", f"{path}/~/xcomEntries", query={"limit": 100})
            entries = answer.data["xcom_entries"] if answer.is_there else ()
            signs += [self._sign(path, one) for one in entries if str(one["key"]).startswith(SIGNS_KEY)]
        return [sign for sign in signs if sign is not None]

    def _sign(self, path: str, entry: Mapping[str, Any]) -> Sign | None:
        key = str(entry["key"])
        answer = self._api.call(
            "GET",
            f"{path}/{quote(str(entry['task_id']), safe='')}/xcomEntries/{key}",
            query={"map_index": entry.get("map_index", -1), "deserialize": "false"},
        )
        return Sign.deserialize(key, answer.data.get("value")) if answer.is_there else None

    def _tasks(self, dag_id: str, run: Mapping[str, Any]) -> list[TaskFacts]:
        path = _tasks_path(dag_id, run)
        found = self._get(path, limit=100)["task_instances"]
        return [_task(one) for one in found if one.get("state") not in _ENDED_TASKS]

    def _get(self, path: str, **query: Any) -> Any:
        answer = self._api.call("GET", path, query=query)
        if not answer.is_there:
            raise ConfigurationError(f"airflow_conn_id: Airflow answers {answer.status} to GET {path}")
        return answer.data


def state_of_command(args: argparse.Namespace) -> AirflowState | None:
    """Return what a command's options lead to; None where they name no way to Airflow's API."""
    if args.airflow_conn_id is None and args.mwaa_environment is None:
        return None
    return AirflowState(
        AirflowRestHook(
            airflow_conn_id=args.airflow_conn_id or "airflow_api",
            mwaa_environment=args.mwaa_environment,
            aws_conn_id=args.aws_conn_id,
            region_name=args.region_name,
        )
    )


def _task(found: Mapping[str, Any]) -> TaskFacts:
    trigger = found.get("trigger") or {}
    state = str(found.get("state"))
    since = trigger.get("created_date") if state == "deferred" else found.get(_SINCE.get(state, ""))
    return TaskFacts(
        task_id=str(found["task_id"]),
        state=state,
        since=None if since is None else seconds_of(since),
        triggerer_id=trigger.get("triggerer_id"),
        # Airflow before 3.2 has no queues of triggers.
        trigger_queue=trigger.get("queue"),
        try_number=int(found.get("try_number") or 1),
    )


def seconds_of(text: str) -> float:
    """Return a moment as the API writes it, in seconds since the epoch."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _path(dag_id: str) -> str:
    return f"/dags/{quote(dag_id, safe='')}"


def _tasks_path(dag_id: str, run: Mapping[str, Any]) -> str:
    return f"{_path(dag_id)}/dagRuns/{quote(str(run['dag_run_id']), safe='')}/taskInstances"
