"""What the roles that run this package may do, and nothing beside it: one policy for each purpose."""

from __future__ import annotations

from typing import Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.policies.needs import NEEDS, OPTIONS, REQUIRED
from airflow_s3events.policies.resources import Resources

PURPOSES = tuple(NEEDS)
"""What a policy can be for, in the order of ``s3events iam --help``."""

#: What is asked of the bucket's objects, and so cannot be without one.
_OF_BUCKET = ("enrich", "manifests")


def role_policy(purpose: str, resources: Resources) -> dict[str, Any]:
    """Return the policy of a role that does ``purpose`` with ``resources``.

    Args:
        purpose: One of ``PURPOSES``. ``dispatch`` covers ``trigger``: where tasks and triggers share a role
            (they do on MWAA) it is enough. ``watch`` is ``s3_event_asset`` and ``S3EventAssetTrigger``,
            ``sensor`` ``S3EventSensor`` and ``expect`` ``S3ExpectedObjectsSensor``. ``redrive``, ``retry``,
            ``notify`` and ``alert`` are ``S3EventRedriveOperator``, ``S3EventRetryFailedRunsOperator``,
            ``S3EventFailureNotifier`` and ``S3DeadLetterSensor``; ``tag`` and ``quarantine`` are
            ``S3MergeObjectTagsOperator`` and ``S3QuarantineObjectOperator``; ``reconcile`` is
            ``S3ReconcileOperator``. ``reconcile``, ``status``, ``explain`` and ``tail`` are the commands of
            these names. ``prove`` is what ``check`` needs on top for ``prove=True``.
        resources: What it works with.

    Raises:
        ConfigurationError: The purpose is unknown, something that it cannot do without is not given, or
            something is that it has no use for.
    """
    if purpose not in NEEDS:
        raise ConfigurationError(f"purpose: {purpose!r} is unknown; known are {', '.join(PURPOSES)}")
    required = REQUIRED[purpose]
    if all(getattr(resources, name) is None for name in required):
        raise ConfigurationError(f"{' or '.join(required)}: a policy for {purpose} needs it")
    _check_options(purpose, resources)
    found = ((kind, resources.arn(kind), actions) for kind, actions in NEEDS[purpose].items())
    statements = [_allow(kind, named, actions) for kind, named, actions in found if named is not None]
    return {"Version": "2012-10-17", "Statement": statements}


def _check_options(purpose: str, resources: Resources) -> None:
    for name in (name for name in OPTIONS if getattr(resources, name) not in (None, ())):
        takers = [taker for taker, needs in NEEDS.items() if OPTIONS[name] in needs]
        if purpose not in takers:
            raise ConfigurationError(f"{name}: it is for {', '.join(takers)}, not for {purpose}")
        if name in _OF_BUCKET and resources.bucket is None:
            raise ConfigurationError(f"{name}: a policy for it needs bucket")


def _allow(kind: str, named: str | list[str], actions: tuple[str, ...]) -> dict[str, Any]:
    sid = "".join(word.capitalize() for word in kind.split("_"))
    resource = named[0] if isinstance(named, list) and len(named) == 1 else named
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resource}
