"""Before anything imports Airflow: an AIRFLOW_HOME of our own, and no setting of the machine's."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings

import pytest
from hypothesis import HealthCheck, settings

from tests.lines import AIRFLOW

for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AWS_"))]:
    del os.environ[_name]

# Airflow writes its configuration and logs there as soon as it is imported.
_home = tempfile.mkdtemp(prefix="s3events-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = _home
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
# No test may look for credentials or a region on the machine or at its metadata address.
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


# How long an example takes says more of the machine than of the code.
settings.register_profile(
    "untimed", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")

if AIRFLOW < (3, 3):
    # Also while the other conftest files are read, which is before pytest_configure.
    warnings.simplefilter("default")


def pytest_configure(config: pytest.Config) -> None:
    """Let older lines of Airflow warn, of themselves and of the age of what they pin."""
    if AIRFLOW < (3, 3):
        config.addinivalue_line("filterwarnings", "default")
