"""AWS's error codes that waiting cures, by the calls of whoever meets them."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from airflow_s3events.aws_errors import translating
from airflow_s3events.exceptions import AwsOutageError, ConfigurationError, LedgerOutageError, ThrottledError
from airflow_s3events.ledger import Document
from airflow_s3events.ledger.dynamodb import DynamoDbStore

THROTTLES = (
    *("BandwidthLimitExceeded", "EC2ThrottledException", "KmsThrottled", "PriorRequestNotComplete"),
    *("ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled"),
    *("RequestThrottledException", "SlowDown", "ThrottledException", "Throttling", "ThrottlingException"),
    "TooManyRequestsException",
)
CONFLICTS = (
    *("ReplicatedWriteConflictException", "TransactionConflictException", "TransactionInProgressException"),
    *("OperationAborted", "RequestTimeout", "RequestTimeoutException"),
)


def refusal(code: str) -> ClientError:
    """With the status of a request that is wrong, as AWS sends these."""
    response = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, "PutItem")


class RefusingClient:
    def __init__(self, code: str) -> None:
        self._code = code

    async def put_item(self, **_: object) -> None:
        raise refusal(self._code)


@pytest.mark.parametrize("code", THROTTLES)
def test_too_many_calls_are_throttling(code: str) -> None:
    with pytest.raises(ThrottledError, match=code), translating("PutItem", {}, otherwise="refused"):
        raise refusal(code)


@pytest.mark.parametrize("code", CONFLICTS)
def test_what_another_call_is_in_the_way_of_is_an_outage(code: str) -> None:
    with pytest.raises(AwsOutageError, match=code), translating("PutItem", {}, otherwise="refused"):
        raise refusal(code)


@pytest.mark.parametrize("code", ["LimitExceededException", "ValidationException", "AccessDenied"])
def test_what_waiting_does_not_cure_is_a_setting(code: str) -> None:
    with pytest.raises(ConfigurationError, match=code), translating("PutItem", {}, otherwise="refused"):
        raise refusal(code)


@pytest.mark.parametrize("code", [*THROTTLES, *CONFLICTS])
async def test_a_ledger_in_dynamodb_that_is_throttled_or_in_conflict_is_away(code: str) -> None:
    with pytest.raises(LedgerOutageError, match=code):
        await DynamoDbStore(RefusingClient(code)).write([Document("event/a", 1, {})])
