"""What proves that a write comes from the page, not from a site that has the browser send it. Pure."""

from __future__ import annotations

import hmac
from hashlib import sha256

_PURPOSE = b"s3events: a write of the page"


def csrf_token(session: str) -> str:
    """Return the proof for a session: made from its secret, which no other site can read, and not telling it.

    Args:
        session: The secret that the browser sends by itself: the cookie with Airflow's token.
    """
    return hmac.new(session.encode(), _PURPOSE, sha256).hexdigest()


def is_from_page(given: str, session: str) -> bool:
    """Return whether ``given`` is the proof for this session."""
    return bool(session) and hmac.compare_digest(given.encode(), csrf_token(session).encode())
