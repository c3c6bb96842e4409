"""Templates to HTML: everything that is put into one is escaped, and what is missing is an error."""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow_s3events import __version__
from airflow_s3events.page.view import shown


def render(template: str, **values: Any) -> str:
    """Return a template of the package with its values."""
    return str(_environment().get_template(template).render(**values))


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("airflow_s3events.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.globals["version"] = __version__
    return environment
