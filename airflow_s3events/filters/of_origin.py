"""Filters on who made the request that the event is about, and from where.

Events that do not say do not match, so their negations do.
"""

from __future__ import annotations

from airflow_s3events.filters.algebra import EventFilter, any_leaf


def principal(*ids: str) -> EventFilter:
    """Match events whose ``userIdentity.principalId`` is any of ``ids``; a ``*`` at the end is anything.

    S3 writes ids, not ARNs: ``"AWS:AIDAEXAMPLE"`` for a user, ``"AWS:AROAEXAMPLE:session"`` for a role, so
    ``"AWS:AROAEXAMPLE:*"`` is every session of it. Events by EventBridge have none: see ``requester``
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
    """
    return any_leaf("principal", ids)


def requester(*names: str) -> EventFilter:
    """Match events by EventBridge whose ``requester`` is any of ``names``; a ``*`` at the end is anything.

    It is the number of an account, or a service: ``"s3.amazonaws.com"`` for lifecycle rules
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html).
    """
    return any_leaf("requester", names)


def source_network(*networks: str) -> EventFilter:
    """Match requests that came from any of ``networks``: ``"10.0.0.0/8"``, ``"2001:db8::/32"``, an address.

    It is the address that S3 saw: through a VPC endpoint the private one, else that of the NAT or proxy.

    Raises ``ConfigurationError`` for what is no network, bits beyond its mask among them.
    """
    return any_leaf("source_network", networks)
