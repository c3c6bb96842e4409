"""Section ``[s3events]`` of Airflow's configuration, as the page takes it."""

from __future__ import annotations

from airflow.configuration import conf

from airflow_s3events.page.settings import OPTIONS, SECTION, PageSettings


def page_settings() -> PageSettings:
    """Read the settings of the page.

    Raises:
        ConfigurationError: One of them cannot be used; names it.
    """
    return PageSettings.of({name: conf.get(SECTION, name, fallback=None) for name in OPTIONS})
