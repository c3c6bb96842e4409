"""What the package says of MWAA's images, beside what they install."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_s3events.mwaa.images import IMAGES, Image
from airflow_s3events.mwaa.reading import installed

PINS = Path(__file__).parents[2] / ".ci" / "mwaa"
CHECKED = [image for image in IMAGES if (PINS / f"{image.airflow}.txt").exists()]


def test_every_set_of_pins_is_of_a_known_image() -> None:
    assert {path.stem for path in PINS.glob("*.txt")} == {image.airflow for image in CHECKED}


@pytest.mark.parametrize("image", CHECKED, ids=lambda image: image.airflow)
def test_the_versions_of_an_image_are_those_that_it_installs(image: Image) -> None:
    pins = dict(
        line.split("==") for line in (PINS / f"{image.airflow}.txt").read_text().split() if "==" in line
    )
    assert {name: pins[name] for name in image.packages} == dict(image.packages)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.airflow)
def test_every_image_takes_this_version(image: Image) -> None:
    assert installed().unmet(image) == []
