"""What differs between Airflow 2 and 3 for those who start it and ask it from outside.

Read from what is installed, without importing Airflow, which would make a folder for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version


def installed_major() -> int:
    """Major version of the Airflow that is installed."""
    return int(version("apache-airflow").split(".")[0])


@dataclass(frozen=True, slots=True)
class Line:
    """How one major version of Airflow is started.

    Attributes:
        server: The component that serves UI and API.
        components: Command line of each component, in the order in which they are started. Without its log
            server a component opens no port: those of Airflow's defaults (8793, 8794) could be taken.
        health_names: How Airflow's health page calls the components that it knows of.
        server_needs_database: The server ends where its database is not complete yet.
        settings: Environment variables of every component.
        port_settings: Variables that hold the server's port.
        url_settings: Variables that hold the server's address, with what follows it.
        secret_settings: Variables that hold a random key.
    """

    server: str
    components: Mapping[str, tuple[str, ...]]
    health_names: Mapping[str, str]
    server_needs_database: bool
    settings: Mapping[str, str]
    port_settings: tuple[str, ...]
    url_settings: Mapping[str, str]
    secret_settings: tuple[str, ...]


_SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}

_SETTINGS_3 = {
    **_SETTINGS,
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__API__HOST": "127.0.0.1",
    "AIRFLOW__API__WORKERS": "1",
    # The API server starts while the database is made, and would end if it were asked to look.
    "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
}

_SETTINGS_2 = {
    **_SETTINGS,
    # Nobody is asked who they are; WEBSERVER_CONFIG makes everybody an admin.
    "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
    "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
    "AIRFLOW__WEBSERVER__WORKERS": "1",
    "AIRFLOW__WEBSERVER__WARN_DEPLOYMENT_EXPOSURE": "False",
    "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
    # Airflow 2 has only its sequential executor for SQLite, in which a dispatcher would keep the one slot.
    "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
}

#: ``webserver_config.py`` of Airflow 2, as open as ``simple_auth_manager_all_admins`` makes Airflow 3.
WEBSERVER_CONFIG = 'AUTH_ROLE_PUBLIC = "Admin"\nWTF_CSRF_ENABLED = True\n'

LINES: Mapping[int, Line] = {
    3: Line(
        server="api-server",
        components={
            "api-server": ("api-server",),
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "dag-processor": ("dag-processor",),
            "triggerer": ("triggerer", "--skip-serve-logs"),
        },
        health_names={"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"},
        server_needs_database=False,
        settings=_SETTINGS_3,
        port_settings=("AIRFLOW__API__PORT",),
        url_settings={
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "/execution/",
            "AIRFLOW__API__BASE_URL": "",
        },
        secret_settings=("AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"),
    ),
    2: Line(
        server="webserver",
        components={
            "webserver": ("webserver",),
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "triggerer": ("triggerer", "--skip-serve-logs"),
        },
        health_names={"scheduler": "scheduler", "triggerer": "triggerer"},
        server_needs_database=True,
        settings=_SETTINGS_2,
        port_settings=("AIRFLOW__WEBSERVER__WEB_SERVER_PORT",),
        url_settings={"AIRFLOW__WEBSERVER__BASE_URL": ""},
        secret_settings=("AIRFLOW__WEBSERVER__SECRET_KEY",),
    ),
}
