"""Where a package comes from: the wheel that somebody gives, or the version that runs.

Nothing is built here. What lies installed may have been changed, an editable install has no wheel in it, and
a build needs a builder and a way to it; who has the sources builds the wheel in one command and gives it.
"""

from __future__ import annotations

import io
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.mwaa.package import NAME, Package, Wheel

_ANY_PLATFORM = "py3-none-any"


def installed() -> Package:
    """Return the version that runs, as an index would give it."""
    return _package(metadata.distribution(NAME), None)


def from_wheel(path: Path, *, setting: str = "--wheel") -> Package:
    """Return what the wheel at ``path`` holds.

    Raises:
        ConfigurationError: It is no wheel of this package that every platform can install.
        OSError: It cannot be read.
    """
    _check_name(path.name, setting)
    wheel = Wheel(file_name=path.name, content=path.read_bytes())
    folder = f"{'-'.join(path.name.split('-')[:2])}.dist-info/"
    try:
        archive = zipfile.ZipFile(io.BytesIO(wheel.content))
        archive.getinfo(f"{folder}METADATA")
        return _package(metadata.PathDistribution(zipfile.Path(archive, folder)), wheel)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ConfigurationError(f"{setting}: {path.name!r} is no wheel inside; build it again") from error


def _check_name(file_name: str, setting: str) -> None:
    try:
        name, _, _, tags = parse_wheel_filename(file_name)
    except InvalidWheelFilename as error:
        raise ConfigurationError(f"{setting}: {file_name!r} is not named as a wheel must be") from error
    if name != NAME or {str(tag) for tag in tags} != {_ANY_PLATFORM}:
        raise ConfigurationError(f"{setting}: {file_name!r} is no wheel of {NAME} for {_ANY_PLATFORM}")


def _package(found: metadata.Distribution, wheel: Wheel | None) -> Package:
    return Package(
        version=found.metadata["Version"],
        requires=tuple(found.requires or ()),
        requires_python=found.metadata["Requires-Python"] or "",
        wheel=wheel,
    )
