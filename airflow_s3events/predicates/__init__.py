"""The single tests that filters are made of: one row of ``KINDS`` each, from a checked value to a function.

Users meet them as the functions of ``airflow_s3events.filters``, which say what each one means.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from airflow_s3events.predicates.facts import FACT_KINDS
from airflow_s3events.predicates.functions import FUNCTION_KINDS
from airflow_s3events.predicates.keys import KEY_KINDS
from airflow_s3events.predicates.kinds import MAX_TEXT_BYTES, Kind, Test
from airflow_s3events.predicates.origins import ORIGIN_KINDS
from airflow_s3events.predicates.sizes import SIZE_KINDS

__all__ = ["KINDS", "MAX_TEXT_BYTES", "Kind", "Test"]

KINDS: Mapping[str, Kind] = MappingProxyType(
    {**KEY_KINDS, **ORIGIN_KINDS, **SIZE_KINDS, **FUNCTION_KINDS, **FACT_KINDS}
)
