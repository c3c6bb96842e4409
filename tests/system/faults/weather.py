"""SQS as it is between Airflow and the embedded AWS: it fails, throttles or is late when asked to.

And as AWS does and the embedded one does not, it refuses what was signed by a clock that is wrong.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone

from tests.system.aws_proxy import Answer, Call, aws_proxy
from tests.system.faults.witness import Witness

#: What SQS answers: status and error code
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html).
_ANSWERS = {"sqs-fails": (503, "ServiceUnavailable"), "sqs-throttles": (400, "RequestThrottled")}
_SLOW = "sqs-is-slow"
_LATE_SECONDS = 8.0
#: Name of what is refused for its clock, among what was met.
SKEWED = "skewed"
#: Seconds that a signature may be older or newer than AWS's own clock says
#: (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html).
_SKEW_SECONDS = 900.0
#: What AWS was seen to call it: S3 has a code of its own, others, SQS among them, speak of the signature
#: (https://github.com/aws/aws-sdk-go/issues/487, https://github.com/aws/aws-sdk-js/issues/254).
_SKEW_CODES = (
    (403, "SignatureDoesNotMatch"),
    (400, "InvalidSignatureException"),
    (403, "RequestTimeTooSkewed"),
)
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass
class Weather:
    """How SQS is; an empty text is fine."""

    url: str = ""
    now: str = ""
    #: Calls that met each kind of weather.
    met: Counter[str] = field(default_factory=Counter)
    #: Told of what is received and deleted, if it looks.
    witness: Witness | None = None

    def instead(self, call: Call) -> Answer | None:
        """What a call meets before it gets through, if it does."""
        if (refusal := self._refusal(call)) is not None:
            return refusal
        kind = self.now
        if kind:
            self.met[kind] += 1
            if kind != _SLOW:
                return _error(*_ANSWERS[kind], "as the tests want it")
            time.sleep(_LATE_SECONDS)
        if self.witness is not None:
            self.witness.look(call)
        return None

    def seen(self, answer: bytes) -> None:
        """Hand on what SQS answered."""
        if self.witness is not None:
            self.witness.note(answer)

    def _refusal(self, call: Call) -> Answer | None:
        now = datetime.now(timezone.utc)
        text = skew(call.headers.get("x-amz-date", ""), now)
        if not text:
            return None
        status, code = _SKEW_CODES[self.met[SKEWED] % len(_SKEW_CODES)]
        self.met[SKEWED] += 1
        return _error(status, code, text)


def skew(signed_at: str, now: datetime) -> str:
    """What AWS says of a call signed at another time than ``now``; empty where it takes it."""
    try:
        signed = datetime.strptime(signed_at, _STAMP).replace(tzinfo=timezone.utc)
    except ValueError:
        return ""
    late = (now - signed).total_seconds()
    if abs(late) <= _SKEW_SECONDS:
        return ""
    if late > 0:
        return f"Signature expired: {signed_at} is now earlier than {now:{_STAMP}} - 15 min."
    return f"Signature not yet current: {signed_at} is still later than {now:{_STAMP}} + 15 min."


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message}).encode())


@contextmanager
def weather(target: str) -> Iterator[Weather]:
    """Stand between Airflow and ``target``; yield the weather and the URL to use."""
    sky = Weather()
    with aws_proxy(target, instead=sky.instead, seen=sky.seen) as url:
        sky.url = url
        yield sky
