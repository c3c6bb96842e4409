"""The names that the package offers: one list, loaded on first use."""

from __future__ import annotations

import ast
from importlib import metadata
from pathlib import Path

import pytest

import airflow_s3events

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", airflow_s3events.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(airflow_s3events, name).__doc__


def test_public_names_are_listed_once_and_in_order() -> None:
    assert airflow_s3events.__all__ == sorted(set(airflow_s3events.__all__))


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse(Path(airflow_s3events.__file__).read_text())
    guarded = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for block in guarded for node in block.body if isinstance(node, ast.ImportFrom)]
    assert sorted(alias.name for node in imports for alias in node.names) == airflow_s3events.__all__


def test_every_public_name_is_listed_by_dir() -> None:
    assert set(airflow_s3events.__all__) <= set(dir(airflow_s3events))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = airflow_s3events.no_such_name


def test_the_changelog_has_a_section_for_this_version() -> None:
    version = metadata.version("airflow-provider-s3events")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()
