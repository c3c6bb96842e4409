"""What a check finds: each with its weight, what it is about, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Weight(str, Enum):
    """How bad a finding is."""

    #: Events are lost, or never arrive.
    ERROR = "error"
    #: They will be, when something else goes wrong.
    WARNING = "warning"
    #: Good to know.
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found."""

    weight: Weight
    #: The bucket, queue, topic, key, function or rule.
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.weight.value:<7} {self.about}: {self.text}"


def error(about: object, text: str) -> Finding:
    """Return a finding of the worst kind."""
    return Finding(weight=Weight.ERROR, about=str(about), text=text)


def warning(about: object, text: str) -> Finding:
    """Return a finding that may become one."""
    return Finding(weight=Weight.WARNING, about=str(about), text=text)


def note(about: object, text: str) -> Finding:
    """Return something good to know."""
    return Finding(weight=Weight.NOTE, about=str(about), text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a check found, the worst first."""

    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Report:
        """Return the report of these findings, each once."""
        order = list(Weight)
        return cls(findings=tuple(sorted(dict.fromkeys(findings), key=lambda one: order.index(one.weight))))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that mean lost events."""
        return tuple(one for one in self.findings if one.weight is Weight.ERROR)

    def serialize(self) -> list[dict[str, Any]]:
        """Return plain data."""
        return [{"weight": one.weight.value, "about": one.about, "text": one.text} for one in self.findings]

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "nothing is wrong"
