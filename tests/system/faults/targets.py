"""What a seed plays with: how the dispatcher is set, what its runs do, and which faults can meet it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lines import DAG_IMPORTS
from tests.system.faults.plan import KINDS, MORE_KINDS

_DISPATCHER = f"""{DAG_IMPORTS}
from datetime import timedelta


from airflow_s3events import s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="dispatcher", sqs_queue=%(queue)r, routes="target", parallel=%(parallel)d, **%(arguments)s%(more)s
)
"""
_EMPTY = """
with DAG("target", schedule=None, max_active_runs=100) as target:
    EmptyOperator(task_id="done")
"""
#: One in twenty fails once: its message comes again, and its run is cleared.
_WORK = """
import time
from pathlib import Path

from airflow_s3events import events_of

marks = Path(__file__).parent.parent / "marks"

with DAG("target", schedule=None, max_active_runs=16) as target:

    @task(retries=2, retry_delay=timedelta(seconds=1))
    def work():
        (event,) = events_of(get_current_context())
        number = event.key.split("/")[1]
        mark = marks / f"{number}-{event.version_id}"
        if int(number) %% 20 == 3 and not mark.exists():
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
            raise AirflowFailException("this one fails once")
        time.sleep(0.5)

    work()
"""
_FAIL = "from airflow.sdk.exceptions import AirflowFailException\n"


@dataclass(frozen=True)
class Target:
    """One of them.

    Attributes:
        dags: Source of the DAG file; the ``%`` gets queue, parallel, arguments and more.
        more: Source of further arguments of ``s3_event_dispatcher``, after a comma.
        kinds: Of fault, that can meet it.
        holds: A message is deleted only when its run has succeeded, which a witness looks at.
        has_ledger: Each event is in a ledger, and none starts again what Airflow has forgotten.
    """

    dags: str = _DISPATCHER + _EMPTY
    more: str = ""
    kinds: tuple[str, ...] = KINDS
    holds: bool = False
    has_ledger: bool = False


#: A watcher has no task process: what is done to one cannot be done to it. Nor may the clock of a scheduler
#: jump: a run that it makes for an asset an hour ahead waits for that hour, by Airflow's own rules.
_OF_A_TASK = ("task", "worker", "freeze", "clock-scheduler")

DISPATCHER = Target()
TARGETS = {
    "dispatcher": DISPATCHER,
    "run_succeeded": Target(
        dags=_FAIL + _DISPATCHER + _WORK,
        more=", acknowledge='run_succeeded', retry_delay_seconds=5",
        kinds=KINDS + MORE_KINDS,
        holds=True,
    ),
    "ledger": Target(more=", ledger='sql:ledger_db'", kinds=KINDS + MORE_KINDS, has_ledger=True),
    #: Played by ``assets``.
    "assets": Target(kinds=tuple(kind for kind in KINDS + MORE_KINDS if kind not in _OF_A_TASK)),
}
