"""Would this policy let this request through? By AWS's documented logic, as far as one document can say.

Everything is refused unless a statement allows it, and a statement that denies beats all that allow
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html). What cannot be
known from here (an organisation's id, the hour, a form this module does not read) makes the answer unsure,
never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_s3events.policies.conditions import Answer, conditions_hold, is_like
from airflow_s3events.policies.documents import Policy, Statement, statements_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as a policy sees it."""

    #: ``service:Action``; case does not matter.
    action: str
    #: ARN.
    resource: str
    #: A service (``s3.amazonaws.com``) or the ARN of a role or user.
    principal: str
    #: Condition keys and their values. A key that is missing is one that the request does not carry.
    context: Mapping[str, str]


class Verdict(str, Enum):
    """How a document answers a request."""

    ALLOWED = "allowed"
    #: A statement denies it; no other can allow it.
    DENIED = "denied"
    #: No statement allows it.
    NOT_ALLOWED = "not allowed"
    #: It hangs on something that cannot be known from here.
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict and the statements that made it: their ``Sid``s, or ``statement 2`` for one without."""

    verdict: Verdict
    statements: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the request gets through for certain."""
        return self.verdict is Verdict.ALLOWED

    def __str__(self) -> str:
        return " by ".join([self.verdict.value, *([", ".join(self.statements)] if self.statements else [])])


def evaluate(policy: Policy, request: Request) -> Decision:
    """Return how ``policy`` answers ``request``.

    A statement without a ``Principal`` (a role's policy has none) is about whoever has the policy.
    """
    answers = [
        (statement.get("Effect"), _name(number, statement), _concerns(statement, request))
        for number, statement in enumerate(statements_of(policy), 1)
    ]
    rows = (
        ("Deny", True, Verdict.DENIED),
        ("Deny", None, Verdict.UNSURE),
        ("Allow", True, Verdict.ALLOWED),
        ("Allow", None, Verdict.UNSURE),
    )
    for effect, answer, verdict in rows:
        named = tuple(name for found, name, given in answers if found == effect and given is answer)
        if named:
            return Decision(verdict=verdict, statements=named)
    return Decision(verdict=Verdict.NOT_ALLOWED)


def _name(number: int, statement: Statement) -> str:
    return str(statement.get("Sid") or f"statement {number}")


def _concerns(statement: Statement, request: Request) -> Answer:
    """Whether the statement is about this request; None when that cannot be told."""
    answers = (
        _is_meant(statement, "Action", request.action.lower(), fold=True),
        _is_meant(statement, "Resource", request.resource, fold=False),
        _is_principal(statement, request.principal, counts_accounts=statement.get("Effect") == "Deny"),
        conditions_hold(statement.get("Condition", {}), request.context),
    )
    if False in answers:
        return False
    return None if None in answers else True


def _is_meant(statement: Statement, member: str, value: str, *, fold: bool) -> Answer:
    """``Action`` or ``NotAction``, ``Resource`` or ``NotResource``; a role's trust policy has no resource."""
    if member in statement:
        return _any_like(statement[member], value, fold=fold)
    if f"Not{member}" in statement:
        answer = _any_like(statement[f"Not{member}"], value, fold=fold)
        return None if answer is None else not answer
    return True


def _any_like(patterns: Any, value: str, *, fold: bool) -> Answer:
    texts = [str(text).lower() if fold else str(text) for text in _listed(patterns)]
    if any("${" in text for text in texts):
        return None
    return any(is_like(text, value) for text in texts)


def _is_principal(statement: Statement, principal: str, *, counts_accounts: bool) -> Answer:
    """Denied, an account is everybody in it; allowed, it still asks the own policy of each."""
    if "NotPrincipal" in statement:
        return None
    meant = statement.get("Principal", "*")
    if meant == "*":
        return True
    if principal in _listed(meant.get("Service", ())):
        return True
    names = [str(name) for name in _listed(meant.get("AWS", ()))]
    if "*" in names or principal in names:
        return True
    return counts_accounts and any(_is_account_of(name, principal) for name in names)


def _is_account_of(name: str, principal: str) -> bool:
    """Whether ``name`` is the account of ``principal``: its number, or the ARN of its root."""
    parts = principal.split(":")
    account = parts[4] if principal.startswith("arn:") else ""
    root = f"arn:{parts[1]}:iam::{account}:root" if account else ""
    return bool(account) and name in (account, root)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
