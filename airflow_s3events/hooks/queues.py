"""``QueueSetupHook``: the provider's SQS hook, and queues by their ARN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.sqs import SqsHook

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import OutageError
from airflow_s3events.notification_setup.errors import found_or_none, translated

#: Seconds for which a proof hides what it receives.
_HIDE_SECONDS = 10
_MISSING = {"NonExistentQueue", "QueueDoesNotExist"}
#: Said by an emulator of a call that it does not have.
_NO_SUCH_CALL = {"InvalidAction"}
#: There is one of that name, with other attributes.
_THERE_ALREADY = {"QueueAlreadyExists", "QueueNameExists"}


class QueueSetupHook(SqsHook):
    """Queues by their ARN."""

    def _url(self, queue: Arn) -> str | None:
        client = self.get_conn()
        request = {"QueueName": queue.resource, "QueueOwnerAWSAccountId": queue.account}
        answer = found_or_none(_MISSING, client.get_queue_url, f"GetQueueUrl of {queue}", **request)
        return None if answer is None else str(answer["QueueUrl"])

    def _known_url(self, queue: Arn) -> str:
        url = self._url(queue)
        if url is None:
            raise OutageError(f"queue {queue} was there and is gone; somebody deletes it, run this again")
        return url

    def attributes(self, queue: Arn) -> dict[str, str] | None:
        """Return every attribute; None where there is no such queue."""
        url = self._url(queue)
        if url is None:
            return None
        request = {"QueueUrl": url, "AttributeNames": ["All"]}
        call = self.get_conn().get_queue_attributes
        answer = found_or_none(_MISSING, call, f"GetQueueAttributes of {queue}", **request)
        return None if answer is None else dict(answer["Attributes"])

    def create(self, queue: Arn, attributes: Mapping[str, str]) -> None:
        """Create the queue, by the provider's own call; one that another has made just now stays as it is."""
        request = {"queue_name": queue.resource, "attributes": dict(attributes)}
        found_or_none(_THERE_ALREADY, self.create_queue, f"CreateQueue of {queue}", **request)

    def set_attributes(self, queue: Arn, attributes: Mapping[str, str]) -> None:
        """Set these attributes, leave all others."""
        url = self._known_url(queue)
        with translated(f"SetQueueAttributes of {queue}"):
            self.get_conn().set_queue_attributes(QueueUrl=url, Attributes=dict(attributes))

    def delete(self, queue: Arn) -> None:
        """Delete the queue; one that is gone already is fine."""
        url = self._url(queue)
        if url is not None:
            call = self.get_conn().delete_queue
            found_or_none(_MISSING, call, f"DeleteQueue of {queue}", QueueUrl=url)

    def sources(self, queue: Arn) -> list[str]:
        """Return the names of the queues whose dead letters it takes; they are of its region and account.

        None of them where an emulator (ministack) cannot tell.
        """
        paginator = self.get_conn().get_paginator("list_dead_letter_source_queues")

        def ask(**request: Any) -> list[dict[str, Any]]:
            return list(paginator.paginate(**request))

        what, url = f"ListDeadLetterSourceQueues of {queue}", self._known_url(queue)
        pages = found_or_none(_NO_SUCH_CALL, ask, what, QueueUrl=url) or []
        return [str(url).rpartition("/")[2] for page in pages for url in page.get("queueUrls", [])]

    def receive(self, queue: Arn, wait_seconds: int) -> list[dict[str, Any]]:
        """Return up to ten messages, hidden from others for some seconds."""
        url = self._known_url(queue)
        with translated(f"ReceiveMessage of {queue}"):
            answer = self.get_conn().receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=_HIDE_SECONDS + wait_seconds,
            )
        return list(answer.get("Messages", []))

    def release(self, queue: Arn, receipt_handle: str) -> None:
        """Make a message visible again."""
        url = self._known_url(queue)
        with translated(f"ChangeMessageVisibility of {queue}"):
            self.get_conn().change_message_visibility(
                QueueUrl=url, ReceiptHandle=receipt_handle, VisibilityTimeout=0
            )

    def delete_message(self, queue: Arn, receipt_handle: str) -> None:
        """Delete one message."""
        url = self._known_url(queue)
        with translated(f"DeleteMessage of {queue}"):
            self.get_conn().delete_message(QueueUrl=url, ReceiptHandle=receipt_handle)
