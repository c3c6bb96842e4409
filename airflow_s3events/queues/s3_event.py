"""``MessageQueueTrigger(scheme="s3events", ...)`` of the common.messaging provider, where it is installed.

The scheme is our own: ``sqs`` is the amazon provider's, and two providers that answer to one scheme make
every trigger with it fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowOptionalProviderFeatureException

from airflow_s3events.triggers.s3_event_asset import S3EventAssetTrigger

try:
    from airflow.providers.common.messaging.providers.base_provider import BaseMessageQueueProvider
except ImportError as error:
    # Airflow passes over a queue of a provider that says so.
    raise AirflowOptionalProviderFeatureException("common.messaging is not installed") from error

if TYPE_CHECKING:
    from airflow.triggers.base import BaseEventTrigger

SCHEME = "s3events"


class S3EventQueueProvider(BaseMessageQueueProvider):
    """Leads the scheme ``s3events`` to ``S3EventAssetTrigger``, whose arguments are the trigger's.

    Before version 2.0 of common.messaging, which knows no schemes: ``queue="s3events://landing-events"``.
    """

    scheme = SCHEME

    def queue_matches(self, queue: str) -> bool:
        """Whether ``queue`` is ``s3events://`` and a queue's URL, ARN or name."""
        return queue.startswith(f"{SCHEME}://")

    def trigger_class(self) -> type[BaseEventTrigger]:
        """The trigger."""
        return S3EventAssetTrigger

    def trigger_kwargs(self, queue: str, **kwargs: Any) -> dict[str, Any]:  # noqa: ARG002 - named by Airflow
        """Its arguments out of ``queue``."""
        return {"sqs_queue": queue.partition("://")[2]}
