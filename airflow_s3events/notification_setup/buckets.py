"""The bucket's own configuration: read, merged, put, read back, because S3 replaces all of it at each put.

S3 has no condition for this call (no ETag, no version), so whoever puts between our reading and our putting
is overwritten. What can be done is done: the read comes right before the put; each attempt reads anew; after
the put we wait for longer than a task of ours takes between the two, read back, and begin again when our
rules are gone. So of two tasks of ours the one that was overwritten sees it. A tool that is slower than that,
and its rules overwritten by us in that moment, cannot be seen; what was there before is kept for that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_s3events.bucket_notifications import (
    Configuration,
    Rule,
    check_limits,
    check_overlaps,
    merged,
    normalised,
    replaced,
    rules_of,
    without,
)
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.notification_setup.calls import Buckets
from airflow_s3events.notification_setup.rounds import ROUNDS, pause

_log = logging.getLogger(__name__)

#: Seconds: how long a policy that was just set may take to be seen by S3 (SQS says up to 60).
_PATIENCE_SECONDS = 90.0
_LONGEST_PAUSE_SECONDS = 10.0

#: A configuration to the one that should be there instead.
Wish = Callable[[Configuration], dict[str, Any]]


def wish(rules: list[Rule], *, event_bridge: bool) -> Wish:
    """Return what merges ``rules``, and the switch if ``event_bridge``, into any configuration.

    The result is checked as S3 would: overlaps and limits.
    """

    def after(before: Configuration) -> dict[str, Any]:
        found = merged(before, rules, event_bridge=event_bridge)
        return _checked(found, rules)

    return after


def replacement(rules: list[Rule], *, event_bridge: bool, expected: Configuration) -> Wish:
    """Return what drops everything but ``rules``, if all there is to drop is in ``expected``.

    Raises (when it is called):
        ConfigurationError: Somebody has put another configuration meanwhile, which nobody has looked at.
    """
    wanted = _checked(replaced(rules, event_bridge=event_bridge), rules)

    def after(before: Configuration) -> dict[str, Any]:
        if normalised(before) not in (normalised(expected), normalised(wanted)):
            raise ConfigurationError(
                "mode='replace': the bucket's configuration has changed since it was read; look at what would"
                " be dropped (dry_run=True), and run this again"
            )
        return wanted

    return after


def _checked(found: dict[str, Any], rules: list[Rule]) -> dict[str, Any]:
    check_overlaps(rules_of(found), rules)
    check_limits(found)
    return found


def farewell(ids: list[str], *, event_bridge: bool) -> Wish:
    """Return what takes the rules of these ids, and perhaps the switch, out of any configuration."""
    return lambda before: without(before, ids, event_bridge=event_bridge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """The bucket's configuration right before our first put, and the one that was read back at the end."""

    before: dict[str, Any]
    after: dict[str, Any]


def bring(
    buckets: Buckets,
    bucket: str,
    owner: str,
    wanted: Wish,
    *,
    settle_seconds: float,
    is_fresh: bool,
    mend: Callable[[], None] = lambda: None,
) -> Brought:
    """Bring the bucket to where ``wanted`` changes nothing any more.

    Args:
        buckets: S3.
        bucket: Its name.
        owner: Account that it must belong to.
        wanted: What should be there.
        settle_seconds: How long after a put to read back.
        is_fresh: A destination or its policy was changed just now, so S3 may not see it yet.
        mend: Called when S3 could not validate: another task may have overwritten that policy.

    Raises:
        ConfigurationError: S3 refuses it.
        OutageError: S3 is away, or somebody takes our rules out again and again.
    """
    first = found = buckets.configuration(bucket, owner)
    for number in range(ROUNDS):
        if _is_there(found, wanted):
            return Brought(before=first, after=found)
        if number:
            _log.warning("bucket %s: somebody else's put has replaced ours; putting again", bucket)
        replaced_one = _put(buckets, bucket, owner, wanted, is_fresh=is_fresh, mend=mend)
        first = first if number else replaced_one
        pause(settle_seconds)
        found = buckets.configuration(bucket, owner)
    if not _is_there(found, wanted):
        raise OutageError(
            f"bucket_name: {bucket}: after {ROUNDS} puts our rules are gone again; another tool puts its own"
            " configuration over them. Give that tool these rules too, or stop it, and run this again"
        )
    return Brought(before=first, after=found)


def _is_there(found: Configuration, wanted: Wish) -> bool:
    return normalised(wanted(found)) == normalised(found)


def _put(
    buckets: Buckets, bucket: str, owner: str, wanted: Wish, *, is_fresh: bool, mend: Callable[[], None]
) -> dict[str, Any]:
    """Read and put at once, again while S3 is busy with the bucket or does not see a new policy yet.

    Returns what was there right before.
    """
    import tenacity

    log = tenacity.before_sleep_log(_log, logging.INFO)

    def between(state: tenacity.RetryCallState) -> None:
        log(state)
        # Where S3 is away, whatever mending reads may be away as well.
        if state.outcome is not None and isinstance(state.outcome.exception(), ConfigurationError):
            mend()

    def attempt() -> dict[str, Any]:
        before = buckets.configuration(bucket, owner)
        after = wanted(before)
        if normalised(after) != normalised(before):
            buckets.put_configuration(bucket, after, owner)
        return before

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: _may_pass(error, is_fresh=is_fresh)),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=_LONGEST_PAUSE_SECONDS),
        stop=tenacity.stop_after_delay(_PATIENCE_SECONDS),
        before_sleep=between,
        reraise=True,
    )(attempt)


def _may_pass(error: BaseException, *, is_fresh: bool) -> bool:
    """A 409 passes; a destination that S3 cannot validate may, if it or its policy is new."""
    if isinstance(error, ConfigurationError):
        return is_fresh and "Unable to validate the following destination" in str(error)
    return isinstance(error, OutageError)
