"""Which DAG gets which object event, and what becomes of an event that no DAG wants."""

from __future__ import annotations

from airflow_s3events.routing.batch import Batch
from airflow_s3events.routing.route import Route
from airflow_s3events.routing.routes import Match, Matcher, RouteFailure, Routes

__all__ = ["Batch", "Match", "Matcher", "Route", "RouteFailure", "Routes"]
