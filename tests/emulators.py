"""Emulators of AWS as child processes on free loopback ports."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

_START_SECONDS = 60.0
_END_SECONDS = 10.0


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """Start moto's server; yield its endpoint URL. Its queue is slow beyond a few hundred messages."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _serving(command, port, {}) as url:
        yield url


@contextlib.contextmanager
def ministack_server(
    *, port: int | None = None, services: str = "s3,sqs,sns,events,kms,lambda,sts"
) -> Iterator[str]:
    """Start ministack; yield its endpoint URL. For load, sequencers, versions and test events.

    ``services``: comma-separated; empty for all that it has.
    """
    port = port or free_port()
    settings = {
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "LOG_LEVEL": "WARNING",
        **({"SERVICES": services} if services else {}),
    }
    with _serving([sys.executable, "-m", "ministack"], port, settings) as url:
        yield url


@contextlib.contextmanager
def localstack_server(python: str) -> Iterator[str]:
    """Start LocalStack in host mode, by the ``python`` that it is installed in; yield its endpoint URL.

    It cannot share an environment with Airflow: it pins other versions of what both need.
    """
    port = free_port()
    settings = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "SERVICES": "s3,sqs,sns,events,kms,sts,lambda,iam",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
    }
    with _serving([python, "-m", "localstack.runtime.main"], port, settings) as url:
        yield url


def free_port() -> int:
    """Ask the system for a loopback port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _serving(command: list[str], port: int, settings: dict[str, str]) -> Iterator[str]:
    environment = {**os.environ, **settings}
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_until_answering(process, url)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_answering(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - loopback
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not answer in {_START_SECONDS:.0f} s")
