"""The table of who gets through, by our evaluation."""

from __future__ import annotations

import pytest

from airflow_s3events.policies import evaluate
from tests.policy_cases import CASES, OURS, Case


def test_the_table_is_long_and_no_case_is_in_it_twice() -> None:
    assert len(OURS) >= 30
    assert len({case.name for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_is_answered_as_aws_documents_it(case: Case) -> None:
    assert evaluate(case.policy, case.request).verdict.value == case.verdict
