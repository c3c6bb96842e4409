"""Deletes queues that nobody needs: no message in them, no other sender, no other queue's dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.calls import Queues
from airflow_s3events.notification_setup.changes import Change
from airflow_s3events.notification_setup.queues import FoundQueue
from airflow_s3events.policies import Grant, Policy, Statement, parse_policy, statements_of, without
from airflow_s3events.policies.conditions import is_like

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_SEND = "sqs:sendmessage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A queue that is to be deleted."""

    queues: Queues
    found: FoundQueue
    takes_dead_letters: bool
    #: Who does not send any more when it goes.
    senders: tuple[Grant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletions:
    """Queues that are to be deleted, each once, whichever of the destinations it is of."""

    doomed: dict[Arn, Doomed] = field(default_factory=dict)

    def add(
        self, queues: Queues, found: FoundQueue, senders: Sequence[Grant], *, takes_dead_letters: bool
    ) -> None:
        """Have a queue deleted; its senders are those of all that is taken down together."""
        there = self.doomed.get(found.arn)
        self.doomed[found.arn] = Doomed(
            queues=queues,
            found=found,
            takes_dead_letters=takes_dead_letters or (there is not None and there.takes_dead_letters),
            senders=(*(there.senders if there else ()), *senders),
        )

    def plan(self) -> list[Change]:
        """Return the deletions.

        Raises:
            ConfigurationError: Somebody else needs one of them, or there is a message in it.
        """
        there = [one for one in self.doomed.values() if one.found.attributes is not None]
        for one in there:
            self._check(one)
        return [self._change(one) for one in there]

    def _change(self, one: Doomed) -> Change:
        def make() -> None:
            # As it is now: events may have come since the plan, or another bucket.
            now = replace(one.found, attributes=one.queues.attributes(one.found.arn))
            if now.attributes is not None:
                self._check(replace(one, found=now))
                one.queues.delete(one.found.arn)

        return Change(lines=(f"- queue {one.found.arn}",), make=make)

    def _check(self, one: Doomed) -> None:
        arn = one.found.arn
        policy = parse_policy((one.found.attributes or {}).get("Policy"))
        others = list(_senders(without(policy, [sender.sid(str(arn)) for sender in one.senders]), arn))
        if others:
            raise ConfigurationError(
                f"delete_queues: the policy of {arn} lets in {'; '.join(others)}, whose messages would be"
                " lost; take that down first, or leave delete_queues off"
            )
        _check_empty(one.found)
        if one.takes_dead_letters:
            self._check_sources(one)

    def _check_sources(self, one: Doomed) -> None:
        gone = {arn.name for arn in self.doomed}
        others = sorted(set(one.queues.sources(one.found.arn)) - gone)
        if others:
            raise ConfigurationError(
                f"delete_queues: {one.found.arn} takes the dead letters of {', '.join(others)} too; give that"
                " a dead letter queue of its own, or leave delete_queues off"
            )


def _check_empty(queue: FoundQueue) -> None:
    waiting = sum(queue.number(name, "0") for name in _COUNTS)
    if waiting:
        raise ConfigurationError(
            f"delete_queues: {queue.arn} holds about {waiting} messages; let them be worked off or moved"
            " first (one may be the test event that S3 sends at set-up), or leave delete_queues off"
        )


def _senders(policy: Policy, queue: Arn) -> Iterator[str]:
    """Yield who may send by a policy, in words.

    The account as such is none: what SQS itself writes names it, and it lets in whose role says so.
    """
    account = {queue.account, f"arn:{queue.partition}:iam::{queue.account}:root"}
    for statement in statements_of(policy):
        if statement.get("Effect") != "Allow" or not _is_sending(statement):
            continue
        sources = "".join(f" for {source}" for source in _sources(statement))
        for name in _principals(statement):
            if name not in account:
                yield f"{name}{sources}"


def _is_sending(statement: Statement) -> bool:
    """Whether it may be about sending; all but some actions may be."""
    return any(is_like(str(action).lower(), _SEND) for action in _listed(statement.get("Action", "*")))


def _principals(statement: Statement) -> list[str]:
    meant = statement.get("Principal", "everybody but some")
    groups = meant.values() if isinstance(meant, dict) else [meant]
    return [str(name) for group in groups for name in _listed(group)]


def _sources(statement: Statement) -> list[str]:
    conditions = statement.get("Condition", {}).values()
    found = [value for one in conditions for key, value in one.items() if key.lower() == "aws:sourcearn"]
    return [str(source) for value in found for source in _listed(value)]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
