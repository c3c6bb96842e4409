"""What a run is given by packs of different sizes, and two ways to a run for each object."""

import json
import os
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, get_current_context, task

from airflow_s3events import events_of, s3_event_asset, s3_event_dispatcher
from airflow_s3events.identity import run_id


def queue(name: str) -> str:
    """Url of the queue that the benchmark made for this DAG."""
    return os.environ[f"BENCHMARK_{name.upper()}"]


def pack(name: str, count: int) -> None:
    """A DAG whose run comes when all is stored: it waits for a second asset, its gate."""
    asset = s3_event_asset(name, sqs_queue=queue(name), pack_count=count, pack_bytes=1_048_576)
    with DAG(name, schedule=asset & Asset(f"gate-{name}")):

        @task
        def note() -> None:
            context = get_current_context()
            extras = [
                event.extra for stored in context["triggering_asset_events"].values() for event in stored
            ]
            found = {
                "objects": len(events_of(context)),
                "asset events": len(extras) - 1,  # the gate's
                "bytes": sum(len(json.dumps(extra)) for extra in extras),
            }
            (Path(os.environ["BENCHMARK_FOLDER"]) / f"{name}.json").write_text(json.dumps(found))

        note()


for number in (1, 100, 1_000):
    pack(f"pack{number}", number)
pack("single", 100)

with DAG("fan", schedule=s3_event_asset("fan", sqs_queue=queue("fan"))):

    @task
    def runs() -> list[dict[str, object]]:
        events = events_of(get_current_context())
        return [{"trigger_run_id": run_id(one), "conf": {"s3_event": one.serialize()}} for one in events]

    TriggerDagRunOperator.partial(
        task_id="start", trigger_dag_id="fan_target", skip_when_already_exists=True
    ).expand_kwargs(runs())

dispatcher = s3_event_dispatcher(
    dag_id="dispatcher", sqs_queue=queue("dispatcher"), routes="dispatcher_target"
)

for target in ("fan_target", "dispatcher_target"):
    with DAG(target, schedule=None, max_active_runs=1):
        EmptyOperator(task_id="held", pool=os.environ["BENCHMARK_POOL"])
