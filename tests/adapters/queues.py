"""Queues of the emulator, filled and looked at from outside."""

from __future__ import annotations

from typing import Any

from airflow_s3events.testing.bodies import object_created_body


def dead_letters_of(sqs: Any, queue: str) -> str:
    """URL of the dead letter queue of a queue that the fixture ``queue`` made."""
    url: str = sqs.get_queue_url(QueueName=f"{queue.rpartition('/')[2]}-dlq")["QueueUrl"]
    return url


def put(sqs: Any, queue: str, body: str | None = None, **attributes: str) -> None:
    """Send a message; its attributes get the package's prefix."""
    typed = {
        f"s3events.{name}": {"DataType": "String", "StringValue": text} for name, text in attributes.items()
    }
    text = object_created_body("landing", "in/a.csv") if body is None else body
    sqs.send_message(QueueUrl=queue, MessageBody=text, MessageAttributes=typed)


def messages(sqs: Any, queue: str) -> list[dict[str, Any]]:
    """Receive up to ten messages, and hide them for as long as the test lasts."""
    answer = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=300
    )
    found: list[dict[str, Any]] = answer.get("Messages", [])
    return found


def attributes(message: dict[str, Any]) -> dict[str, str]:
    """The package's own attributes of a message, without their prefix."""
    own = message.get("MessageAttributes", {})
    return {name.removeprefix("s3events."): value["StringValue"] for name, value in own.items()}
