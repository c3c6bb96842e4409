"""What AWS answers during set-up, as errors that name the setting to change."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any

from airflow_s3events.aws_errors import translating

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


def translated(what: str) -> AbstractContextManager[None]:
    """Turn what botocore raises while it does ``what`` into an error of this package.

    Raises (inside):
        ConfigurationError: Somebody has to change something.
        OutageError: Waiting helps.
    """
    return translating(what, _SETTINGS, otherwise=_REFUSED)


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
