"""``TopicSetupHook``: the provider's SNS hook, and topics with their subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow.providers.amazon.aws.hooks.sns import SnsHook

from airflow_s3events.arns import Arn
from airflow_s3events.notification_setup.errors import found_or_none, translated


class TopicSetupHook(SnsHook):
    """Topics and their subscriptions."""

    def attributes(self, topic: Arn) -> dict[str, str] | None:
        """Return every attribute; None where there is no such topic."""
        request = {"TopicArn": str(topic)}
        call = self.get_conn().get_topic_attributes
        answer = found_or_none(
            {"NotFound", "NotFoundException"}, call, f"GetTopicAttributes of {topic}", **request
        )
        return None if answer is None else dict(answer["Attributes"])

    def create(self, topic: Arn, attributes: Mapping[str, str]) -> None:
        """Create the topic."""
        with translated(f"CreateTopic of {topic}"):
            self.get_conn().create_topic(Name=topic.resource, Attributes=dict(attributes))

    def set_attribute(self, topic: Arn, name: str, value: str) -> None:
        """Set one attribute; SNS takes one at a time."""
        with translated(f"SetTopicAttributes of {topic}"):
            self.get_conn().set_topic_attributes(
                TopicArn=str(topic), AttributeName=name, AttributeValue=value
            )

    def subscription(self, topic: Arn, queue: Arn) -> dict[str, str] | None:
        """Return the attributes of the queue's subscription, ``SubscriptionArn`` among them; None without."""
        for one in self._subscriptions(topic):
            if one.get("Endpoint") == str(queue) and one["SubscriptionArn"].startswith("arn:"):
                with translated(f"GetSubscriptionAttributes of {one['SubscriptionArn']}"):
                    answer = self.get_conn().get_subscription_attributes(
                        SubscriptionArn=one["SubscriptionArn"]
                    )
                return {**answer["Attributes"], "SubscriptionArn": one["SubscriptionArn"]}
        return None

    def _subscriptions(self, topic: Arn) -> Iterator[dict[str, str]]:
        with translated(f"ListSubscriptionsByTopic of {topic}"):
            paginator = self.get_conn().get_paginator("list_subscriptions_by_topic")
            for page in paginator.paginate(TopicArn=str(topic)):
                yield from page["Subscriptions"]

    def subscribe(self, topic: Arn, queue: Arn, *, raw: bool) -> None:
        """Subscribe the queue."""
        with translated(f"Subscribe of {queue} to {topic}"):
            self.get_conn().subscribe(
                TopicArn=str(topic),
                Protocol="sqs",
                Endpoint=str(queue),
                Attributes={"RawMessageDelivery": str(raw).lower()},
            )

    def set_raw(self, subscription_arn: str, *, raw: bool) -> None:
        """Turn raw delivery on or off."""
        with translated(f"SetSubscriptionAttributes of {subscription_arn}"):
            self.get_conn().set_subscription_attributes(
                SubscriptionArn=subscription_arn,
                AttributeName="RawMessageDelivery",
                AttributeValue=str(raw).lower(),
            )

    def unsubscribe(self, subscription_arn: str) -> None:
        """End a subscription."""
        with translated(f"Unsubscribe of {subscription_arn}"):
            self.get_conn().unsubscribe(SubscriptionArn=subscription_arn)
