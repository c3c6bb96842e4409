"""This package as an environment installs it: what a version asks for, and whether an image has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from airflow_s3events.mwaa.images import Image

NAME = "airflow-provider-s3events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel as it is: pip knows it by its file name."""

    file_name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One version of this package."""

    version: str
    #: As in its metadata, ``aiobotocore>=2.14.0``.
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    #: None: to be had from an index.
    wheel: Wheel | None = None

    @property
    def pin(self) -> str:
        """The line of a requirements file that means this version and no other."""
        return f"{NAME}=={self.version}"

    def unmet(self, image: Image) -> list[str]:
        """Return what this version wants and ``image`` has not, in words; it could not be installed there.

        A package that ``images`` does not know counts as missing: without an index nothing would bring it.
        """
        found = [_unmet(Requirement(text), image) for text in self.requires]
        if not SpecifierSet(self.requires_python).contains(image.python):
            found.append(f"Python{self.requires_python}, and the image has {image.python}")
        return [reason for reason in found if reason]


def _unmet(requirement: Requirement, image: Image) -> str | None:
    surroundings = {"extra": "", "python_version": image.python}
    if requirement.marker is not None and not requirement.marker.evaluate(surroundings):
        return None
    has = image.packages.get(requirement.name)
    if has is None:
        return f"{requirement}, of which the image is not known to have any"
    return None if requirement.specifier.contains(has) else f"{requirement}, and the image has {has}"
