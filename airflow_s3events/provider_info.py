"""What Airflow asks of the package at the start of every command; so importing it loads nothing else."""

from __future__ import annotations

from typing import Any

from airflow_s3events import __version__

_INTEGRATION = "Amazon S3 event notifications"
_OPERATORS = (
    "airflow_s3events.operators.dispatch",
    "airflow_s3events.operators.failed_runs",
    "airflow_s3events.operators.notification_setup",
    "airflow_s3events.operators.objects",
    "airflow_s3events.operators.reconcile",
    "airflow_s3events.operators.redrive",
)
_SENSORS = (
    "airflow_s3events.sensors.arrivals",
    "airflow_s3events.sensors.dead_letters",
    "airflow_s3events.sensors.expectations",
)
_HOOKS = (
    "airflow_s3events.hooks.airflow_rest",
    "airflow_s3events.hooks.airflow_state",
    "airflow_s3events.hooks.api_runs",
    "airflow_s3events.hooks.audit",
    "airflow_s3events.hooks.buckets",
    "airflow_s3events.hooks.event_rules",
    "airflow_s3events.hooks.explanation",
    "airflow_s3events.hooks.functions",
    "airflow_s3events.hooks.keys",
    "airflow_s3events.hooks.ledger",
    "airflow_s3events.hooks.notification_setup",
    "airflow_s3events.hooks.objects",
    "airflow_s3events.hooks.own_api",
    "airflow_s3events.hooks.queue_state",
    "airflow_s3events.hooks.queues",
    "airflow_s3events.hooks.reconciliation",
    "airflow_s3events.hooks.s3_events",
    "airflow_s3events.hooks.topics",
    "airflow_s3events.hooks.trails",
)
_TRIGGERS = (
    "airflow_s3events.triggers.arrivals",
    "airflow_s3events.triggers.expectations",
    "airflow_s3events.triggers.redrive",
    "airflow_s3events.triggers.s3_event",
    "airflow_s3events.triggers.s3_event_asset",
    "airflow_s3events.triggers.s3_event_hold",
)


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in the form of Airflow's ``provider_info.schema.json``.

    Named by the ``apache_airflow_provider`` entry point
    (https://airflow.apache.org/docs/apache-airflow-providers/howto/create-custom-providers.html).
    """
    return {
        "package-name": "airflow-provider-s3events",
        "name": "S3 events",
        "description": "One S3 object event, one Airflow DAG run: S3 event notifications through SQS.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html",
                "tags": ["aws"],
            }
        ],
        "operators": _modules(*_OPERATORS),
        "sensors": _modules(*_SENSORS),
        "hooks": _modules(*_HOOKS),
        "triggers": _modules(*_TRIGGERS),
        "notifications": ["airflow_s3events.notifications.failed_runs.S3EventFailureNotifier"],
        "queues": ["airflow_s3events.queues.s3_event.S3EventQueueProvider"],
        "config": _config(),
    }


def _config() -> dict[str, Any]:
    from airflow_s3events.page.settings import OPTIONS, SECTION

    options = {
        name: {
            "description": f"{option.meaning}\n",
            "version_added": __version__,
            "type": option.type,
            "example": option.example,
            "default": option.default,
        }
        for name, option in OPTIONS.items()
    }
    return {
        SECTION: {"description": "The page in Airflow's UI; see docs/how-to/ui.md.\n", "options": options}
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _INTEGRATION, "python-modules": list(names)}]
