"""What set-up would do, as values: each change says itself in lines to read, and can be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from airflow_s3events.arns import Arn, is_arn, partition_of
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.policies import (
    Decision,
    Grant,
    Limits,
    Policy,
    Request,
    Statement,
    Verdict,
    check_limits,
    evaluate,
    merged,
    parse_policy,
    policy_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One writing call, or two that belong together."""

    lines: tuple[str, ...]
    make: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The bucket, where it is and whose it is."""

    bucket: str
    region: str
    #: Twelve digits.
    owner: str

    @property
    def partition(self) -> str:
        """Partition of the bucket's region."""
        return partition_of(self.region)

    @property
    def sender(self) -> Grant:
        """The bucket as a sender."""
        return Grant.of_bucket(self.bucket, self.owner, partition=self.partition)

    def arn(self, text: str, service: str, account: str, region: str | None, *, setting: str) -> Arn:
        """Return the ARN that ``text`` is, or of that name in this place.

        Raises:
            ConfigurationError: It is an ARN of another service.
        """
        if is_arn(text):
            return Arn.of_service(text, service, setting=setting)
        where = region or self.region
        return Arn(
            partition=partition_of(where), service=service, region=where, account=account, resource=text
        )

    def check_near(self, arn: Arn, *, setting: str) -> None:
        """Refuse a destination in another region than the bucket: S3 sends to none.

        Raises:
            ConfigurationError: It is in another region; says the way round.
        """
        if arn.region != self.region:
            raise ConfigurationError(
                f"{setting}: {arn} is in {arn.region}, and S3 sends only within the bucket's region,"
                f" {self.region}; use a TopicDestination there, to which queues of any region can subscribe"
            )


def missing_grants(policy: Policy, requests: Iterable[tuple[Grant, Request]], *, setting: str) -> list[Grant]:
    """Return the grants whose requests ``policy`` does not let through yet, each once.

    Raises:
        ConfigurationError: A statement denies one for certain: adding another would not help.
    """
    missing: dict[Grant, None] = {}
    for sender, request in requests:
        decision = evaluate(policy, request)
        _refuse_denied(decision, sender, setting)
        if not decision.allowed:
            missing[sender] = None
    return list(missing)


def policy_with(
    text: str | None, statements: Sequence[Statement], limits: Limits, *, setting: str
) -> str | None:
    """Return the text of a policy with ``statements`` in it; None where they are there already.

    Raises:
        ConfigurationError: AWS would not take it: it is too long or has too many statements.
    """
    policy = parse_policy(text)
    after = merged(policy, statements)
    if after == policy:
        return None
    check_limits(after, limits, setting=setting)
    return policy_text(after)


def _refuse_denied(decision: Decision, sender: Grant, setting: str) -> None:
    if decision.verdict is Verdict.DENIED:
        raise ConfigurationError(
            f"{setting}: statement {', '.join(decision.statements)} of its policy denies {sender.service} for"
            f" {sender.source}; change that statement"
        )
