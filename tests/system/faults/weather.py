"""SQS as it is between Airflow and the embedded AWS: it fails, throttles or is late when asked to."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.system.aws_proxy import Answer, aws_proxy

#: What SQS answers: status and error code
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html).
_ANSWERS = {"sqs-fails": (503, "ServiceUnavailable"), "sqs-throttles": (400, "RequestThrottled")}
_SLOW = "sqs-is-slow"
_LATE_SECONDS = 8.0


@dataclass
class Weather:
    """How SQS is; an empty text is fine."""

    url: str = ""
    now: str = ""
    #: Calls that met each kind of weather.
    met: Counter[str] = field(default_factory=Counter)

    def instead(self) -> Answer | None:
        """What a call meets before it gets through, if it does."""
        kind = self.now
        if not kind:
            return None
        self.met[kind] += 1
        if kind == _SLOW:
            time.sleep(_LATE_SECONDS)
            return None
        status, code = _ANSWERS[kind]
        error = {"__type": f"com.amazonaws.sqs#{code}", "message": "as the tests want it"}
        return Answer(status, json.dumps(error).encode())


@contextmanager
def weather(target: str) -> Iterator[Weather]:
    """Stand between Airflow and ``target``; yield the weather and the URL to use."""
    sky = Weather()
    with aws_proxy(target, instead=sky.instead) as url:
        sky.url = url
        yield sky
