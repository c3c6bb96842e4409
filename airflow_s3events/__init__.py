"""One S3 object event, one Airflow DAG run.

Public names are loaded on first use, so that importing the package costs next to nothing in a DAG file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "AnomalyWatch": "airflow_s3events.anomaly",
    "Batch": "airflow_s3events.routing",
    "EventBridgeDestination": "airflow_s3events.notification_setup.destinations",
    "ExpectedBy": "airflow_s3events.expectations",
    "FunctionDestination": "airflow_s3events.notification_setup.destinations",
    "LeastRate": "airflow_s3events.expectations",
    "ObjectEvent": "airflow_s3events.events",
    "QueueDestination": "airflow_s3events.notification_setup.destinations",
    "Route": "airflow_s3events.routing",
    "Routes": "airflow_s3events.routing",
    "S3CheckNotificationOperator": "airflow_s3events.operators.notification_setup",
    "S3ConfigureNotificationOperator": "airflow_s3events.operators.notification_setup",
    "S3DeadLetterSensor": "airflow_s3events.sensors.dead_letters",
    "S3EventAssetTrigger": "airflow_s3events.triggers.s3_event_asset",
    "S3EventDispatchOperator": "airflow_s3events.operators.dispatch",
    "S3EventFailureNotifier": "airflow_s3events.notifications.failed_runs",
    "S3EventRedriveOperator": "airflow_s3events.operators.redrive",
    "S3EventRetryFailedRunsOperator": "airflow_s3events.operators.failed_runs",
    "S3EventSensor": "airflow_s3events.sensors.arrivals",
    "S3EventTrigger": "airflow_s3events.triggers.s3_event",
    "S3ExpectedObjectsSensor": "airflow_s3events.sensors.expectations",
    "S3MergeObjectTagsOperator": "airflow_s3events.operators.objects",
    "S3QuarantineObjectOperator": "airflow_s3events.operators.objects",
    "S3ReconcileOperator": "airflow_s3events.operators.reconcile",
    "S3RemoveNotificationOperator": "airflow_s3events.operators.notification_setup",
    "Score": "airflow_s3events.scores",
    "TopicDestination": "airflow_s3events.notification_setup.destinations",
    "chunks_of": "airflow_s3events.packs",
    "events_of": "airflow_s3events.tasks.context",
    "routes_from_toml": "airflow_s3events.routing_table",
    "s3_event_asset": "airflow_s3events.assets.s3_event",
    "s3_event_dispatcher": "airflow_s3events.dags.dispatcher",
    "trace_links_of": "airflow_s3events.tasks.links",
}

if TYPE_CHECKING:
    from airflow_s3events.anomaly import AnomalyWatch
    from airflow_s3events.assets.s3_event import s3_event_asset
    from airflow_s3events.dags.dispatcher import s3_event_dispatcher
    from airflow_s3events.events import ObjectEvent
    from airflow_s3events.expectations import ExpectedBy, LeastRate
    from airflow_s3events.notification_setup.destinations import (
        EventBridgeDestination,
        FunctionDestination,
        QueueDestination,
        TopicDestination,
    )
    from airflow_s3events.notifications.failed_runs import S3EventFailureNotifier
    from airflow_s3events.operators.dispatch import S3EventDispatchOperator
    from airflow_s3events.operators.failed_runs import S3EventRetryFailedRunsOperator
    from airflow_s3events.operators.notification_setup import (
        S3CheckNotificationOperator,
        S3ConfigureNotificationOperator,
        S3RemoveNotificationOperator,
    )
    from airflow_s3events.operators.objects import S3MergeObjectTagsOperator, S3QuarantineObjectOperator
    from airflow_s3events.operators.reconcile import S3ReconcileOperator
    from airflow_s3events.operators.redrive import S3EventRedriveOperator
    from airflow_s3events.packs import chunks_of
    from airflow_s3events.routing import Batch, Route, Routes
    from airflow_s3events.routing_table import routes_from_toml
    from airflow_s3events.scores import Score
    from airflow_s3events.sensors.arrivals import S3EventSensor
    from airflow_s3events.sensors.dead_letters import S3DeadLetterSensor
    from airflow_s3events.sensors.expectations import S3ExpectedObjectsSensor
    from airflow_s3events.tasks.context import events_of
    from airflow_s3events.tasks.links import trace_links_of
    from airflow_s3events.triggers.s3_event import S3EventTrigger
    from airflow_s3events.triggers.s3_event_asset import S3EventAssetTrigger

__all__ = [
    "AnomalyWatch",
    "Batch",
    "EventBridgeDestination",
    "ExpectedBy",
    "FunctionDestination",
    "LeastRate",
    "ObjectEvent",
    "QueueDestination",
    "Route",
    "Routes",
    "S3CheckNotificationOperator",
    "S3ConfigureNotificationOperator",
    "S3DeadLetterSensor",
    "S3EventAssetTrigger",
    "S3EventDispatchOperator",
    "S3EventFailureNotifier",
    "S3EventRedriveOperator",
    "S3EventRetryFailedRunsOperator",
    "S3EventSensor",
    "S3EventTrigger",
    "S3ExpectedObjectsSensor",
    "S3MergeObjectTagsOperator",
    "S3QuarantineObjectOperator",
    "S3ReconcileOperator",
    "S3RemoveNotificationOperator",
    "Score",
    "TopicDestination",
    "chunks_of",
    "events_of",
    "routes_from_toml",
    "s3_event_asset",
    "s3_event_dispatcher",
    "trace_links_of",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
