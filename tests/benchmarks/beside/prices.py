"""What calls of AWS cost: public prices of one region and date, and sums of counted calls. Pure."""

from __future__ import annotations

from collections.abc import Mapping

#: Prices are those of us-east-1, without the free tier, as the two pages told them on this date.
PRICES_OF = "2026-11-26"
PRICE_PAGES = ("https://aws.amazon.com/sqs/pricing/", "https://aws.amazon.com/s3/pricing/")
#: US dollars for a million requests of a standard queue, each of at most 64 KB.
SQS_REQUEST = 0.40
#: US dollars for a million PUT, COPY, POST and LIST requests, S3 Standard.
S3_WRITE = 5.00
#: US dollars for a million GET, HEAD and other requests, S3 Standard.
S3_READ = 0.40
_MILLION = 1_000_000
_HOURS_OF_A_MONTH = 730

_S3_PRICES: Mapping[str, float] = {
    "CopyObject": S3_WRITE,
    "DeleteObject": 0.0,
    "DeleteObjects": 0.0,
    "GetObject": S3_READ,
    "HeadBucket": S3_READ,
    "HeadObject": S3_READ,
    "ListObjectsV2": S3_WRITE,
    "PutObject": S3_WRITE,
}


def price_of(action: str) -> float:
    """US dollars for a million calls of an action; what is no action of S3 that we know is SQS's."""
    return _S3_PRICES.get(action, SQS_REQUEST)


def cost(calls: Mapping[str, float]) -> float:
    """US dollars for so many calls of each action."""
    return sum(count * price_of(action) / _MILLION for action, count in calls.items())


def cost_of_a_million(calls: Mapping[str, float], objects: int, *, sends: bool = True) -> float:
    """US dollars for a million objects, when ``objects`` of them took these calls.

    Args:
        calls: Calls of each action that the consumer made.
        objects: For how many objects; at least 1.
        sends: Whether S3 sent a message for each object, which SQS bills too.
    """
    each = {action: count / objects for action, count in calls.items()}
    return _MILLION * cost({**each, **({"SendMessage": 1} if sends else {})})


def cost_of_a_month(calls: Mapping[str, float], seconds: float) -> float:
    """US dollars for a month (730 hours) at the rate of these calls in so many seconds."""
    return cost(calls) * _HOURS_OF_A_MONTH * 3600 / seconds
