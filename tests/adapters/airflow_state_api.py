"""The part of Airflow 3's REST API that ``status`` and ``tail`` ask, answering from memory."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from tests.adapters.airflow_api import AirflowApi

#: As Airflow writes moments; long ago.
THEN = "2025-11-25T12:00:00.123456Z"


class AirflowStateApi(AirflowApi):
    """A dispatcher that waits in its triggerer, and a target with one run."""

    def __init__(self) -> None:
        super().__init__("dispatcher", "process")
        self.scheduler = "healthy"
        self.triggerers = 1
        self.task: dict[str, Any] = {
            "task_id": "dispatch",
            "state": "deferred",
            "try_number": 1,
            "queued_when": THEN,
            "scheduled_when": THEN,
            "trigger": {"created_date": THEN, "triggerer_id": 1, "queue": None},
        }
        self.lists: dict[str, list[dict[str, Any]]] = {
            "dispatcher": [{"dag_run_id": "d 1", "state": "running", "end_date": None, "conf": {}}],
            "process": [run_of("in/b.csv", "2"), run_of("in/a.csv", "1")],
        }
        self.is_shut = False
        self.database = "healthy"
        #: Status of every answer about DAGs and jobs, where it is an error.
        self.broken = 0
        #: Whether variables and XComs may not be read.
        self.is_private = False
        #: XComs of the dispatcher's task, and variables, by their keys.
        self.xcoms: dict[str, str] = {}
        self.variables: dict[str, str] = {}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """See ``AirflowApi``."""
        path, _, query = path.partition("?")
        if self.is_shut:
            return (201, {"access_token": "token"}) if path == "/auth/token" else (403, {"detail": "no"})
        known: dict[str, Any] = {
            "/api/v2/monitor/health": {
                "metadatabase": {"status": self.database},
                "scheduler": {"status": self.scheduler},
            },
            # As Airflow does: those that are dead are counted, and not listed.
            "/api/v2/jobs": {
                "jobs": [{"id": number + 1} for number in range(self.triggerers)],
                "total_entries": 3,
            },
        }
        is_broken = self.broken and "/auth/" not in path and "/monitor/" not in path
        if is_broken or path in known:
            return (self.broken, {"detail": "broken"}) if is_broken else (200, known[path])
        if path.startswith("/api/v2/variables/") or "/xcomEntries" in path:
            return self._left(path)
        parts = [unquote(part) for part in path.removeprefix("/api/v2/dags/").split("/")]
        if parts[-1] == "taskInstances":
            return 200, {"task_instances": [self.task], "total_entries": 1}
        if parts[-1] == "dagRuns" and parts[0] in self.dag_ids:
            runs = [run for run in self.lists[parts[0]] if "state=" not in query or run["state"] == "queued"]
            return 200, {"dag_runs": runs, "total_entries": len(runs)}
        return super().answer(method, path, body)

    def _left(self, path: str) -> tuple[int, Any]:
        if self.is_private:
            return 403, {"detail": "no"}
        variable = path.removeprefix("/api/v2/variables/")
        if variable != path:
            return (200, {"value": self.variables[variable]}) if variable in self.variables else (404, {})
        key = path.partition("/xcomEntries")[2].strip("/")
        if key:
            return 200, {"key": key, "value": self.xcoms[key]}
        entries = [{"key": key, "task_id": "dispatch", "map_index": -1} for key in self.xcoms]
        return 200, {"xcom_entries": entries, "total_entries": len(entries)}


def run_of(key: str, number: str) -> dict[str, Any]:
    """Return a run as the API gives it."""
    event = {"bucket": "landing", "key": key, "event_type": "ObjectCreated:Put"}
    return {
        "dag_run_id": f"s3__{number}",
        "state": "success",
        "queued_at": f"2025-11-25T11:0{number}:00Z",
        "run_after": f"2025-11-25T11:0{number}:00Z",
        "end_date": f"2025-11-25T11:0{number}:30Z",
        "conf": {"s3_event": event},
    }
