"""The embedded AWS: ministack's S3 and SQS on one loopback port, with notifications in the form AWS sends.

Run as ``python -m airflow_s3events.demo.aws_server PORT``.

Why ministack and not moto: moto's notification bodies have no sequencer, no version and no request id, so one
body sent twice could not be told from two uploads, and its queue is slow beyond a few hundred messages.
ministack has a request id and a quick queue, but (1.4.21) writes object keys unencoded, a sequencer that is
always ``0``, and no version. Those three are set right here, on the way into the queue, as
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html describes them.
And it looks into an empty queue every 0.1 s, where SQS answers a long poll as soon as a message is there: so
does this.

ministack's own start-up is left out: it would open further ports (SFTP, MQTT), run scripts that it finds on
the machine, and remove Docker containers of another ministack.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

#: MD5 of nothing: what AWS gives as the eTag of a delete marker.
_EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
#: What ministack is patched at; a release without them is refused by name.
_NEEDED = ("handle_request", "_fire_s3_event", "_fire_s3_event_async", "_deliver_event_to_sqs")

#: Events of the request that is being answered: they are sent once the version id is known.
_fired: ContextVar[list[tuple[tuple[Any, ...], dict[str, Any]]]] = ContextVar("_fired")
_version_id: ContextVar[str | None] = ContextVar("_version_id", default=None)
_sequence = itertools.count(1)


def aws_form(payload: dict[str, Any], version_id: str | None, sequencer: str) -> dict[str, Any]:
    """The notification as AWS writes it: key form-encoded, sequencer rising, version where there is one.

    A delete has neither size nor eTag, a delete marker no size.
    """
    for record in payload.get("Records", ()):
        object_ = record["s3"]["object"]
        record["eventVersion"] = "2.6"
        object_["key"] = quote_plus(object_["key"], safe="/")
        object_["sequencer"] = sequencer
        if version_id is not None:
            object_["versionId"] = version_id
        if record["eventName"].startswith("ObjectRemoved:"):
            del object_["size"], object_["eTag"]
        if record["eventName"] == "ObjectRemoved:DeleteMarkerCreated":
            object_["eTag"] = _EMPTY_ETAG
    return payload


def _next_sequencer() -> str:
    """Rising, in the 18 characters of AWS: ``00``, seconds and a fraction, eight hexadecimal digits each."""
    return f"00{int(time.time()):08X}{next(_sequence):08X}"


def _adapt(s3: Any) -> None:
    """Make ministack's S3 module send its notifications in AWS's form, in the order of the requests."""
    missing = [name for name in _NEEDED if not hasattr(s3, name)]
    if missing:
        raise SystemExit(f"this ministack has no {', '.join(missing)}: install ministack==1.4.21")
    s3.handle_request = _with_version(s3.handle_request, s3._fire_s3_event)
    s3._fire_s3_event_async = _remember
    s3._deliver_event_to_sqs = _in_aws_form(s3._deliver_event_to_sqs)


class Arrivals:
    """Ends the naps of long polls when a notification arrives."""

    def __init__(self) -> None:
        self._arrived = asyncio.Event()

    def ring(self) -> None:
        """Wake all who nap now."""
        self._arrived.set()
        self._arrived.clear()

    async def nap(self, seconds: float) -> None:
        """Sleep so long, or until something arrives."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), seconds)

    def hasten(self, s3: Any, sqs: Any) -> None:
        """Have ministack's receives nap here, and its notifications ring."""
        deliver = s3._deliver_event_to_sqs

        def deliver_and_ring(*arguments: Any) -> None:
            deliver(*arguments)
            self.ring()

        s3._deliver_event_to_sqs = deliver_and_ring
        sqs.asyncio = SimpleNamespace(**(vars(asyncio) | {"sleep": self.nap}))


def _remember(bucket: str, key: str, event_name: str, **details: Any) -> None:
    if details.get("deletion_type") == "Delete Marker Created":
        event_name = "s3:ObjectRemoved:DeleteMarkerCreated"
    _fired.get().append(((bucket, key, event_name), details))


def _with_version(handle: Callable[..., Any], fire: Callable[..., None]) -> Callable[..., Any]:
    async def handle_request(*arguments: Any, **options: Any) -> Any:
        events: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        _fired.set(events)
        status, headers, body = await handle(*arguments, **options)
        _version_id.set(headers.get("x-amz-version-id"))
        for event, details in events:
            fire(*event, **details)
        return status, headers, body

    return handle_request


def _in_aws_form(deliver: Callable[..., None]) -> Callable[..., None]:
    def deliver_event_to_sqs(arn: str, payload: dict[str, Any], region: str) -> None:
        deliver(arn, aws_form(payload, _version_id.get(), _next_sequencer()), region)

    return deliver_event_to_sqs


def _without_lifespan(app: Callable[..., Any]) -> Callable[..., Any]:
    async def asgi(scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            phase = (await receive())["type"]
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                return

    return asgi


async def _serve(port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app
    from ministack.services import s3, sqs

    _adapt(s3)
    Arrivals().hasten(s3, sqs)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(16))
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 0.2
    await serve(_without_lifespan(app), config, shutdown_trigger=stop.wait)


def main(port: str) -> None:
    """Serve until SIGTERM."""
    # ministack reads these when it is imported.
    os.environ.update(GATEWAY_PORT=port, MINISTACK_HOST="127.0.0.1", LOG_LEVEL="WARNING")
    os.environ["SERVICES"] = "s3,sqs,sts"
    asyncio.run(_serve(int(port)))


if __name__ == "__main__":
    main(sys.argv[1])
