"""What fuzzing has ever found worth keeping, without the fuzzer."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import kept
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_every_kept_input_keeps_the_laws_of_its_target(target: str) -> None:
    inputs = kept(target)
    assert inputs
    for one in inputs:
        TARGETS[target](one)
