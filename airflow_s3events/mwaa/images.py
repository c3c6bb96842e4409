"""What MWAA's images hold: one entry for each Airflow that AWS offers and this package can run on.

From https://github.com/aws/amazon-mwaa-docker-images (``etc/airflow_constraints.txt`` of each image), as of
August 2026. Under the image's own constraints these versions are exact: a package that wants a newer one
cannot be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from airflow_s3events.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of MWAA."""

    airflow: str
    python: str
    amazon: str
    aiobotocore: str

    @property
    def packages(self) -> Mapping[str, str]:
        """The packages of the image that this one builds on, with their versions."""
        return MappingProxyType(
            {
                "apache-airflow": self.airflow,
                "apache-airflow-providers-amazon": self.amazon,
                "aiobotocore": self.aiobotocore,
            }
        )


#: Oldest first.
IMAGES = (
    Image(airflow="2.10.1", python="3.11", amazon="8.28.0", aiobotocore="2.14.0"),
    Image(airflow="2.10.3", python="3.11", amazon="9.0.0", aiobotocore="2.15.2"),
    Image(airflow="2.11.0", python="3.12", amazon="9.8.0", aiobotocore="2.22.0"),
    Image(airflow="2.11.2", python="3.12", amazon="9.22.0", aiobotocore="3.2.1"),
    Image(airflow="3.0.6", python="3.12", amazon="9.12.0", aiobotocore="2.24.1"),
    Image(airflow="3.2.1", python="3.12", amazon="9.25.0", aiobotocore="3.4.0"),
    Image(airflow="3.3.1", python="3.12", amazon="9.34.0", aiobotocore="3.9.0"),
)


def image_of(airflow: str, *, setting: str = "--airflow") -> Image:
    """Return the image of an Airflow version: ``3.3.1``, or ``3.3`` for the newest of that line.

    Raises:
        ConfigurationError: MWAA has no such image.
    """
    found = [image for image in IMAGES if f"{image.airflow}.".startswith(f"{airflow}.")]
    if not found or airflow.count(".") < 1:
        known = ", ".join(image.airflow for image in IMAGES)
        raise ConfigurationError(f"{setting}: MWAA has no image of Airflow {airflow!r}; it has {known}")
    return found[-1]
