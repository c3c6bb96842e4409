"""The DAG that the demo's objects start: its one task says what it knows of the object."""

from typing import Any

try:
    from airflow.sdk import dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.operators.python import get_current_context  # type: ignore[import-not-found, no-redef]

from airflow_s3events import events_of


@dag(dag_id="demo_target", schedule=None)
def demo_target() -> None:
    """One run for each object."""

    @task
    def look() -> dict[str, Any]:
        """Return the metadata; the demo reads it back from Airflow."""
        (event,) = events_of(get_current_context())
        return {
            "bucket": event.bucket,
            "key": event.key,
            "version_id": event.version_id,
            "size": event.size,
            "etag": event.etag,
            "event_time": event.event_time.isoformat() if event.event_time else None,
        }

    look()


demo_target()
