"""Tests of who made the request that the event is about, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.predicates.kinds import Kind, Test, some_text

#: How an envelope of EventBridge ends; there the requester is an account or a service, no principal.
_EVENTBRIDGE = "eventbridge"


def _check_principal(kind: str, value: Any) -> str:
    text = some_text(kind, value)
    if "*" in text[:-1]:
        raise ConfigurationError(f"{kind}: {value!r} has a * that is not at its end")
    if text.startswith("arn:"):
        raise ConfigurationError(
            f"{kind}: {value!r} is an ARN; S3 writes ids, such as 'AWS:AROAEXAMPLEID:session',"
            " and EventBridge the number of an account"
        )
    return text


def _principal_test(is_eventbridge: bool, value: str) -> Test:
    start = value[:-1] if value.endswith("*") else None

    def test(event: ObjectEvent) -> bool:
        found = event.principal_id
        if found is None or event.envelope.endswith(_EVENTBRIDGE) is not is_eventbridge:
            return False
        return found == value if start is None else found.startswith(start)

    return test


def _check_network(value: Any) -> str:
    text = some_text("source_network", value)
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ConfigurationError(
            f"source_network: {value!r} is not a network such as '10.0.0.0/8' or '2001:db8::/32': {error}"
        ) from error


def _network_test(value: str) -> Test:
    network = ip_network(value)
    return lambda event: _is_in(event.source_ip, network)


def _is_in(text: str | None, network: IPv4Network | IPv6Network) -> bool:
    address = None if text is None else _address(text)
    return address is not None and address.version == network.version and address in network


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address as what it means: IPv4 in IPv6's clothes is IPv4. A service has a name instead."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


ORIGIN_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "principal": Kind(
            check=partial(_check_principal, "principal"),
            test=partial(_principal_test, False),
            cost=3,
            says="principal is {}",
            denies="principal is not {}",
        ),
        "requester": Kind(
            check=partial(_check_principal, "requester"),
            test=partial(_principal_test, True),
            cost=3,
            says="requester is {}",
            denies="requester is not {}",
        ),
        "source_network": Kind(
            check=_check_network,
            test=_network_test,
            cost=8,
            says="it came from {}",
            denies="it did not come from {}",
            show=str,
        ),
    }
)
