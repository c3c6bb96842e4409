"""``S3EventRetryFailedRunsOperator``: finds failed runs that dispatchers started, and acts on them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from airflow_s3events._compat import BaseOperator, Context
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.failed_runs import FailedRun, attempts_around

if TYPE_CHECKING:
    from airflow_s3events.hooks.airflow_rest import AirflowRestHook

_PAGE = 100
_ACTIONS = ("clear", "new_run", "park")
#: Begins the note of a run whose event is in the dead letter queue, so that it is put there once.
_PARKED_NOTE = "s3events: parked"
#: Attempts before and behind a run that are looked at.
_REACH = 5
_NOT_FOUND = 404
_TAKEN = 409


class S3EventRetryFailedRunsOperator(BaseOperator):
    """Finds the failed runs of a DAG that a dispatcher started, and clears, repeats or parks them.

    For what a notifier missed (its callback was lost), and for a DAG that was broken for a day. It works over
    Airflow 3's public REST API and needs no access to the database: with an HTTP connection, or, on MWAA, by
    MWAA's own ``InvokeRestApi``. Runs that other people or schedules started are never touched, nor is a run
    that a later attempt has followed, or that was started again meanwhile: each is looked at once more right
    before anything is done.

    ``action="clear"`` starts a run again under its own name, ``"new_run"`` makes one whose name ends in the
    next attempt (as a replay does, so both together start one), ``"park"`` sends the event to
    ``dead_letter_queue`` with DAG, run and reason, and says so in the run's note.

    The value it returns is ``{"looked_at": 12, "matched": 3, "done": 3, "refused": {}, "runs": [...]}``.

    Args:
        failed_dag_id: The DAG whose failed runs are meant. Templated.
        action: See above. Default ``"clear"``.
        since: Runs that ended at this moment or later. Templated: ISO-8601, or a datetime with a time zone.
        key_prefix: Runs whose object key begins with it. Templated.
        error: Runs in whose failed tasks' logs this text stands; reads the log of each failed task.
        most: At most so many. Default 100.
        dry_run: Change nothing, and report what would be done.
        dead_letter_queue: For ``"park"``: URL, ARN or name. Templated.
        airflow_conn_id, mwaa_environment: As for ``AirflowRestHook``.
        aws_conn_id, region_name: As for every operator of the amazon provider.
    """

    template_fields: Sequence[str] = ("failed_dag_id", "since", "key_prefix", "dead_letter_queue")
    ui_color = "#f0a848"

    def __init__(
        self,
        *,
        failed_dag_id: str,
        action: Literal["clear", "new_run", "park"] = "clear",
        since: datetime | str | None = None,
        key_prefix: str = "",
        error: str | None = None,
        most: int = 100,
        dry_run: bool = False,
        dead_letter_queue: str | None = None,
        airflow_conn_id: str = "airflow_api",
        mwaa_environment: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.failed_dag_id = failed_dag_id
        self.action = action
        self.since = since
        self.key_prefix = key_prefix
        self.error = error
        self.most = most
        self.is_dry_run = dry_run
        self.dead_letter_queue = dead_letter_queue
        self.airflow_conn_id = airflow_conn_id
        self.mwaa_environment = mwaa_environment
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow passes it
        """Find, act, report.

        Raises:
            ConfigurationError: A setting is wrong, the API or a queue does not let us in, or some runs were
                refused; the text names them.
            OutageError: Airflow's API or SQS is away; what was done is done, and the next try goes on.
        """
        if self.action not in _ACTIONS:
            raise ConfigurationError(f"action={self.action!r}: give one of {', '.join(_ACTIONS)}")
        if self.action == "park" and self.dead_letter_queue is None:
            raise ConfigurationError("dead_letter_queue: action='park' needs one")
        api = self._api()
        report: dict[str, Any] = {"looked_at": 0, "matched": 0, "done": 0, "refused": {}, "runs": []}
        for found in self._failed(api):
            report["looked_at"] += 1
            run = self._match(api, found)
            if run is None or not self._is_due(api, run):
                continue
            report["matched"] += 1
            report["runs"].append(run.run_id)
            if not self.is_dry_run:
                self._act(api, run, report)
            if report["matched"] >= self.most:
                break
        return self._told(report)

    def _told(self, report: dict[str, Any]) -> dict[str, Any]:
        self.log.info("Failed runs of %s: %s", self.failed_dag_id, report)
        if report["refused"]:
            raise ConfigurationError(f"failed_dag_id: Airflow refused {report['refused']}")
        return report

    def _api(self) -> AirflowRestHook:
        from airflow_s3events.hooks.airflow_rest import AirflowRestHook

        return AirflowRestHook(
            airflow_conn_id=self.airflow_conn_id,
            mwaa_environment=self.mwaa_environment,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
        )

    def _failed(self, api: AirflowRestHook) -> Iterator[dict[str, Any]]:
        """All failed runs, read before anything is done to one: what is cleared leaves the list."""
        query: dict[str, Any] = {"state": "failed", "limit": _PAGE, "order_by": "id"}
        if self.since is not None:
            since = self.since.isoformat() if isinstance(self.since, datetime) else self.since
            query["end_date_gte"] = since
        found: list[dict[str, Any]] = []
        while True:
            answer = api.call("GET", self._path(), query=query | {"offset": len(found)})
            if not answer.is_there:
                raise ConfigurationError(
                    f"failed_dag_id={self.failed_dag_id!r}, since: Airflow answers {answer.status}"
                )
            page = answer.data["dag_runs"]
            found += page
            if len(page) < _PAGE:
                return iter(found)

    def _match(self, api: AirflowRestHook, found: dict[str, Any]) -> FailedRun | None:
        run = FailedRun.of(self.failed_dag_id, found["dag_run_id"], found.get("conf"))
        if run is None or not run.event.key.startswith(self.key_prefix):
            return None
        if _is_parked(found):
            return None
        return run if self.error is None or self._has_error(api, run, self.error) else None

    def _is_due(self, api: AirflowRestHook, run: FailedRun) -> bool:
        """Look once more, right before anything is done: the list is old, and reading logs takes its time.

        A later attempt counts, whatever became of it; of an earlier one, that it works or has succeeded.
        """
        own = self._run_now(api, run.run_id)
        if own is None or own["state"] != "failed" or _is_parked(own):
            return False
        others = attempts_around(run.attempt, _REACH)
        states = {other: self._run_now(api, run.run_id_of(other)) for other in others}
        return not any(
            state is not None and (other > run.attempt or state["state"] != "failed")
            for other, state in states.items()
        )

    def _run_now(self, api: AirflowRestHook, run_id: str) -> dict[str, Any] | None:
        """Return a run as Airflow has it now; None where it has none, and only there.

        Raises:
            ConfigurationError, OutageError: As ``execute``.
        """
        from airflow_s3events.hooks.airflow_rest import let_in

        path = self._path(run_id)
        answer = let_in(api.call("GET", path), "airflow_conn_id", f"GET {path}")
        if answer.status == _NOT_FOUND:
            return None
        if not answer.is_there:
            raise ConfigurationError(f"failed_dag_id: Airflow answers {answer.status} to GET {path}")
        run: dict[str, Any] = answer.data
        return run

    def _has_error(self, api: AirflowRestHook, run: FailedRun, text: str) -> bool:
        tasks = f"{self._path(run.run_id)}/taskInstances"
        answer = api.call("GET", tasks, query={"state": "failed", "limit": _PAGE})
        for task in answer.data["task_instances"] if answer.is_there else ():
            path = f"{tasks}/{quote(task['task_id'], safe='')}/logs/{task['try_number']}"
            query = {"full_content": "true", "map_index": task.get("map_index", -1)}
            if text in str(api.call("GET", path, query=query).data):
                return True
        return False

    def _act(self, api: AirflowRestHook, run: FailedRun, report: dict[str, Any]) -> None:
        if self.action == "clear":
            body: Any = {"dry_run": False}
            answer = api.call("POST", f"{self._path(run.run_id)}/clear", body=body)
        elif self.action == "new_run":
            body = {"dag_run_id": run.next_run_id, "logical_date": None, "conf": run.conf}
            answer = api.call("POST", self._path(), body=body)
        else:
            asyncio.run(self._park(run))
            answer = api.call("PATCH", self._path(run.run_id), body={"note": _PARKED_NOTE})
        if answer.is_there or answer.status == _TAKEN:  # somebody else made it just now
            report["done"] += 1
        else:
            report["refused"][run.run_id] = answer.status

    async def _park(self, run: FailedRun) -> None:
        from airflow_s3events.hooks.s3_events import hook_for

        queue_name = str(self.dead_letter_queue)
        hook = hook_for(
            queue_name,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=None,
            botocore_config=None,
        )
        letter = run.dead_letter(f"run {run.run_id} of DAG {run.dag_id!r} failed")
        async with hook.open_client() as client:
            queue = await hook.queue(client, queue_name)
            await queue.send(letter.body, attributes=letter.attributes)

    def _path(self, run_id: str | None = None) -> str:
        path = f"/dags/{quote(self.failed_dag_id, safe='')}/dagRuns"
        return path if run_id is None else f"{path}/{quote(run_id, safe='')}"


def _is_parked(run: dict[str, Any]) -> bool:
    return str(run.get("note") or "").startswith(_PARKED_NOTE)
