"""``s3_event_asset(...)``: the asset whose events are the object events of a queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.triggers.s3_event_asset import S3EventAssetTrigger

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_s3events.filters import EventFilter


def s3_event_asset(
    name: str,
    *,
    sqs_queue: str,
    when: EventFilter | Mapping[str, Any] | None = None,
    asset_arguments: Mapping[str, Any] | None = None,
    **trigger_arguments: Any,
) -> Asset:
    """Return an asset that has an event whenever objects of interest come to a queue: use it as a schedule.

    ::

        @dag(schedule=s3_event_asset("landing", sqs_queue="landing-events", when=suffix(".csv")))

    The run starts within seconds, for one object or for many: ``events_of(context)`` gives them. Any number
    of assets may watch one queue, each with a filter of its own. It combines with other assets (``&``, ``|``)
    and with ``AssetOrTimeSchedule`` as every asset does.

    Args:
        name: The asset's name, and that of its watcher: no other asset of the queue may have it.
        sqs_queue: URL, ARN or name of the queue that S3 sends to.
        when: The object events that it wants: a filter, or what ``EventFilter.deserialize`` reads; None means
            all of them. No filter that asks S3 about the object (tags, metadata and the like).
        asset_arguments: Further arguments of the ``Asset`` (uri, group, extra, ...).
        **trigger_arguments: Further arguments of ``S3EventAssetTrigger``.

    Raises:
        ConfigurationError: A setting cannot work, or Airflow is older than 3.0. Airflow shows it as an import
            error of the DAG file.
    """
    try:
        from airflow.sdk import Asset, AssetWatcher
    except ImportError as error:
        raise ConfigurationError(
            "s3_event_asset: this Airflow has no asset watchers; use Airflow 3, or s3_event_dispatcher"
        ) from error
    trigger = S3EventAssetTrigger(sqs_queue=sqs_queue, when=when, watcher=name, **trigger_arguments)
    trigger.check_settings()
    watchers = [AssetWatcher(name=name, trigger=trigger)]
    asset: Asset = Asset(name=name, watchers=watchers, **(asset_arguments or {}))
    return asset
