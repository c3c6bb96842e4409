"""What botocore raises, as errors that say whether waiting helps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from airflow_s3events.exceptions import (
    AwsOutageError,
    ConfigurationError,
    OutageError,
    SkewedClockError,
    ThrottledError,
)

#: Codes that waiting cures although they are no server errors.
_OUTAGES = {
    "ExpiredToken",  # the credentials are refreshed before the next try
    "ExpiredTokenException",
    "OperationAborted",  # another change of the same bucket is under way
    "OverLimit",  # too much in flight: settling makes room
    "ReplicatedWriteConflictException",  # another Region writes the same item of a global table
    "RequestTimeout",
    "RequestTimeoutException",
    "TransactionConflictException",  # a transaction of somebody's holds the same item
    "TransactionInProgressException",
}
#: And of those that say that there have been too many calls, or that our clock is wrong. The first are
#: botocore's own (``botocore.retries.standard``), but for LimitExceededException, which may be a quota.
_THROTTLES = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "KmsThrottled",
}
_SKEWED = {"RequestExpired", "RequestTimeTooSkewed"}
#: What services that have no code of their own for a clock that is wrong begin its text with, SQS among them.
#: Their code is that of a wrong key (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html).
_SKEWED_TEXTS = ("Signature expired", "Signature not yet current")
_SERVER_ERROR = 500


@asynccontextmanager
async def translated(what: str, settings: Mapping[str, str], *, otherwise: str) -> AsyncIterator[None]:
    """``translating`` for ``async with``."""
    with translating(what, settings, otherwise=otherwise):
        yield


@contextmanager
def translating(what: str, settings: Mapping[str, str], *, otherwise: str) -> Iterator[None]:
    """Turn what botocore raises into ``OutageError`` (waiting helps) or ``ConfigurationError``.

    Args:
        what: The call and what it is about; the error begins with it.
        settings: AWS's error code to the setting that cures it.
        otherwise: What to say of a code that is in neither table and no server error (5xx).
    """
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        raise _translate(error, what, settings, otherwise) from error
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.NoRegionError,
        exceptions.ProfileNotFound,
    ) as error:
        raise ConfigurationError(f"{what}: aws_conn_id or region_name: {error}") from error
    except exceptions.ParamValidationError as error:
        # The text of this one quotes what was sent.
        raise ConfigurationError(f"{what}: a parameter has a value that AWS does not take") from error
    except (exceptions.BotoCoreError, OSError, asyncio.TimeoutError) as error:
        raise AwsOutageError(f"{what}: {type(error).__name__}: {error}") from error


def _translate(
    error: Any, what: str, settings: Mapping[str, str], otherwise: str
) -> ConfigurationError | OutageError:
    details = error.response.get("Error", {})
    # S3 names what it refuses beside the text: a destination's ARN, and what is wrong with it.
    named = [str(details[name]) for name in sorted(details) if name.startswith("Argument")]
    code, text = str(details.get("Code", "")), ": ".join([str(details.get("Message", "")), *named])
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    name = code.rpartition("#")[2].removeprefix("AWS.SimpleQueueService.")
    if text.startswith(_SKEWED_TEXTS):
        return SkewedClockError(f"{what}: {code}: {text}")
    for names, away in (
        (_THROTTLES, ThrottledError),
        (_SKEWED, SkewedClockError),
        (_OUTAGES, AwsOutageError),
    ):
        if name in names:
            return away(f"{what}: {code}: {text}")
    if status >= _SERVER_ERROR:
        return AwsOutageError(f"{what}: {code}: {text}")
    if name == "ReceiptHandleIsInvalid":
        text = "(the text of this error quotes the handle)"
    setting = settings.get(code) or settings.get(name) or otherwise
    return ConfigurationError(f"{what}: {setting} ({code}: {text})")
