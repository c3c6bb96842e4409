"""What AWS answers during set-up, as errors that name the setting to change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_s3events.exceptions import ConfigurationError, OutageError

_ROLE = (
    "aws_conn_id: its role may not do this; `s3events iam --for configure` (or check, prove, remove) prints"
    " the policy"
)
#: AWS's error code to the setting that cures it; ``_REFUSED`` is for all others.
_SETTINGS = {
    "AccessDenied": f"{_ROLE}, or bucket_owner is not the account that owns the bucket",
    "AccessDeniedException": _ROLE,
    "AllAccessDisabled": "bucket_name: AWS has closed this bucket",
    "AuthorizationError": _ROLE,
    "ExpiredToken": "aws_conn_id: its session has ended",
    "InvalidAccessKeyId": "aws_conn_id: AWS does not know this access key",
    "InvalidClientTokenId": "aws_conn_id: AWS does not know this access key",
    "KMSAccessDenied": _ROLE,
    "NoSuchBucket": "bucket_name: there is no such bucket",
    "PermanentRedirect": "region_name: the bucket is in another region",
    "SignatureDoesNotMatch": "aws_conn_id: the secret key does not fit the access key",
}
_REFUSED = "AWS refuses it"
#: Codes that waiting cures although they are no server errors.
_WAITING_HELPS = {
    "OperationAborted",
    "QueueDeletedRecently",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_SERVER_ERROR = 500


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what botocore raises while it does ``what`` into an error of this package.

    Raises:
        ConfigurationError: Somebody has to change something.
        OutageError: Waiting helps.
    """
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        raise _translate(error, what) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise ConfigurationError(f"{what}: aws_conn_id: {error}") from error
    except (exceptions.NoRegionError, exceptions.InvalidRegionError) as error:
        raise ConfigurationError(f"{what}: region_name: {error}") from error
    except exceptions.ParamValidationError as error:
        raise ConfigurationError(f"{what}: a value that AWS does not take: {error}") from error
    except (exceptions.BotoCoreError, OSError) as error:
        raise OutageError(f"{what}: {type(error).__name__}: {error}") from error


def found_or_none(codes: Collection[str], call: Callable[..., Any], what: str, **request: Any) -> Any:
    """Make a call and return its answer; None where AWS's code says that the thing is not there.

    Raises:
        ConfigurationError, OutageError: As ``translated``.
    """
    from botocore.exceptions import ClientError

    with translated(what):
        try:
            return call(**request)
        except ClientError as error:
            if code_of(error) in codes:
                return None
            raise


def code_of(error: Any) -> str:
    """Return AWS's code of a botocore ``ClientError``, without the service's name before it."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code.rpartition("#")[2].removeprefix("AWS.SimpleQueueService.")


def _translate(error: Any, what: str) -> ConfigurationError | OutageError:
    code = code_of(error)
    details = error.response.get("Error", {})
    # S3 names what it refuses beside the text: the ARN, and what is wrong with it.
    named = [str(details[name]) for name in sorted(details) if name.startswith("Argument")]
    text = ": ".join([str(details.get("Message", "")), *named])
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _WAITING_HELPS or status >= _SERVER_ERROR:
        return OutageError(f"{what}: {code}: {text}")
    return ConfigurationError(f"{what}: {_SETTINGS.get(code, _REFUSED)} ({code}: {text})")
