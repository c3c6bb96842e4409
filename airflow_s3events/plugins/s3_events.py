"""The plugin of the package.

Named by the ``airflow.plugins`` entry point: plugins that a provider names are not loaded by default.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_s3events.listeners import stranded_events


class S3EventsPlugin(AirflowPlugin):
    """Registers the listener that keeps asset events from being stranded."""

    name = "s3events"
    listeners = [stranded_events]  # noqa: RUF012 - Airflow declares it of the instance
