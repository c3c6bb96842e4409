"""One rule of a bucket's configuration: which events go to which destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError

#: Lists of a configuration, each with the member that holds the destination's ARN, by the ARN's service.
KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sqs": ("QueueConfigurations", "QueueArn"),
        "sns": ("TopicConfigurations", "TopicArn"),
        "lambda": ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
    }
)
#: Characters that S3 takes as they are in the value of a filter; all others are encoded
#: (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html).
_PLAIN = "/!-_.*'()"
_MAX_FILTER_CHARACTERS = 1024
_MAX_ID_CHARACTERS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Events of some types, of keys that begin and end so, go to one destination.

    ``prefix`` and ``suffix`` are as in the key, not encoded; empty means every key.
    """

    id: str
    #: Of a queue, a topic or a function.
    destination: str
    #: Sorted, with ``s3:``.
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""

    def check(self) -> Rule:
        """Return this rule if S3 can take it.

        Raises:
            ConfigurationError: Its id, prefix or suffix is too long or not there, or its destination is FIFO.
        """
        if not 1 <= len(self.id) <= _MAX_ID_CHARACTERS:
            raise ConfigurationError(f"notification_id: give 1 to {_MAX_ID_CHARACTERS} characters")
        for setting, text in (("prefix", self.prefix), ("suffix", self.suffix)):
            if len(encoded(text)) > _MAX_FILTER_CHARACTERS:
                raise ConfigurationError(
                    f"{setting}: {len(encoded(text)):,} characters once encoded; S3 takes"
                    f" {_MAX_FILTER_CHARACTERS:,} at most"
                )
        refuse_fifo(self.destination)
        return self

    def entry(self) -> dict[str, Any]:
        """Return the rule as ``PutBucketNotificationConfiguration`` takes it."""
        _, arn = KINDS[Arn.parse(self.destination, setting="destination").service]
        filters = [
            {"Name": name, "Value": encoded(text)}
            for name, text in (("prefix", self.prefix), ("suffix", self.suffix))
            if text
        ]
        entry = {"Id": self.id, arn: self.destination, "Events": list(self.events)}
        return entry | ({"Filter": {"Key": {"FilterRules": filters}}} if filters else {})

    @classmethod
    def read(cls, entry: Mapping[str, Any], arn: str) -> Rule:
        """Return the rule that an entry of S3's answer says; ``arn`` is the member of its destination.

        S3 returns the names of filters capitalised, and values as they were sent, encoded.
        """
        rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
        filters = {str(rule["Name"]).lower(): unquote_plus(str(rule.get("Value", ""))) for rule in rules}
        return cls(
            id=str(entry.get("Id", "")),
            destination=str(entry.get(arn, "")),
            events=tuple(sorted(map(str, entry.get("Events", [])))),
            prefix=filters.get("prefix", ""),
            suffix=filters.get("suffix", ""),
        )

    def __str__(self) -> str:
        keys = [f"under {self.prefix!r}"] if self.prefix else []
        keys += [f"ending in {self.suffix!r}"] if self.suffix else []
        which = " ".join(keys) or "of every key"
        return f"{self.id!r}: {', '.join(self.events)} {which} to {self.destination}"


def encoded(text: str) -> str:
    """Return a prefix or suffix as S3 wants it: spaces as ``+``, special characters as ``%XX``."""
    return quote_plus(text, safe=_PLAIN)


def refuse_fifo(destination: str) -> None:
    """Refuse a destination that keeps order: S3 cannot send to one.

    Raises:
        ConfigurationError: It is a FIFO queue or topic; says the way round it.
    """
    if destination.endswith(".fifo"):
        raise ConfigurationError(
            f"destination: {destination} is FIFO, and S3 sends to standard queues and topics only; use a"
            " standard queue (events carry a sequencer, so order is known), or EventBridgeDestination"
        )
