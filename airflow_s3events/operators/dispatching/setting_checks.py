"""Looks at the settings of a dispatcher that need neither Airflow nor AWS to be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import check_can_hold
from airflow_s3events.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_s3events.operators.dispatch import S3EventDispatchOperator
    from airflow_s3events.routing import Route, Routes

#: Settings and their least values. A shorter life would start one run of the dispatcher DAG after the other.
_LEAST = {
    "linger_seconds": 0,
    "life_seconds": 60,
    "give_up_seconds": 0,
    "visibility_seconds": 10,
    "max_in_flight": 1,
    "retry_delay_seconds": 0,
    "expected_hold_seconds": 0,
    "parallel": 1,
}
_CHOICES = {"acknowledge": ("run_stored", "run_succeeded"), "on_redelivery": ("clear", "new_run")}
#: Messages held by one dispatcher: with more, asking for their runs' states would take more than it gives.
_MOST_HELD = 2_000


def check(operator: S3EventDispatchOperator) -> None:
    """Look at every setting.

    Raises:
        ConfigurationError: One of them cannot work; names it and says what to put there.
    """
    from airflow_s3events.routing import Routes

    routes = Routes.of(operator.routes)
    for name, least in _LEAST.items():
        value = getattr(operator, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
            raise ConfigurationError(f"{name}={value!r}: give a number from {least}")
    if operator.acknowledge == "run_succeeded":
        _check_holding(routes)
    for name, choices in _CHOICES.items():
        if getattr(operator, name) not in choices:
            raise ConfigurationError(f"{name}={getattr(operator, name)!r}: give one of {', '.join(choices)}")
    if type(operator.max_held) is not int or not 1 <= operator.max_held <= _MOST_HELD:
        raise ConfigurationError(
            f"max_held={operator.max_held!r}: give a whole number from 1 to {_MOST_HELD}"
        )
    if operator.ignore_before is not None and getattr(operator.ignore_before, "tzinfo", None) is None:
        raise ConfigurationError(
            f"ignore_before={operator.ignore_before!r}: give a datetime with a time zone"
        )
    _check_age(operator.max_age_seconds)
    _check_ledger(operator, routes)


def _check_ledger(operator: S3EventDispatchOperator, routes: Routes) -> None:
    """Look at what is done with a ledger."""
    from airflow_s3events.dispatch.journal import Order

    Order.of(operator.ordering, ledger=operator.ledger)
    if operator.ordering == "per_key" and operator.acknowledge == "run_succeeded":
        raise ConfigurationError(
            "ordering='per_key': it goes with acknowledge='run_stored' only, since a failed run that is"
            " started again would hold all others of its key back"
        )
    for check_part in (_check_scorer, _check_anomaly, _check_audit):
        check_part(operator)
    if routes.has_batches:
        _check_batches(operator, routes)


def _check_holding(routes: Routes) -> None:
    check_can_hold()
    if routes.filters_ask:
        raise ConfigurationError(
            "acknowledge='run_succeeded': a filter of routes asks S3 about the object, and a message is read"
            " several times while its run works, when S3 may say something else; use enrich= of the route, or"
            " 'run_stored'"
        )


def _check_batches(operator: S3EventDispatchOperator, routes: Routes) -> None:
    if operator.ledger is None:
        raise ConfigurationError("batch: which event is in which batch is kept in a ledger: set ledger, too")
    if operator.acknowledge != "run_stored":
        raise ConfigurationError(
            "batch: it goes with acknowledge='run_stored' only; a batch run that failed is started again by"
            " clearing it in Airflow, its conf holds all its events"
        )
    if operator.scorer is not None:
        raise ConfigurationError(
            "batch: it goes without a scorer only, which may say something else of an event whose group is"
            " open; leave one of the two out"
        )
    if routes.filters_ask:
        raise ConfigurationError(
            "batch: a filter of routes asks S3 about the object, and a message may be read several times"
            " while its group is open, when S3 may say something else; use enrich= of the route"
        )
    if operator.ordering != "none":
        raise ConfigurationError("batch: it goes with ordering='none' only; leave one of the two out")
    if operator.max_age_seconds is not None:
        raise ConfigurationError(
            "max_age_seconds: with a batch an event could become too old while its group is open; leave it"
            " out, and set open_seconds of the batch"
        )
    for route in routes:
        if route.batch is not None:
            _check_batch(operator, route)


def _check_batch(operator: S3EventDispatchOperator, route: Route) -> None:
    from airflow_s3events.routing import Batch

    batch, most = Batch.deserialize(route.batch), operator.max_held
    if batch.count > most:
        raise ConfigurationError(
            f"batch: count={batch.count} of route {route.name!r} is more than max_held={most}, so it would"
            " never be reached; give a smaller count, or a larger max_held (2000 at most)"
        )
    marked = batch.after_marker_seconds if batch.marker else 0.0
    for name, seconds in (("idle_seconds", batch.idle_seconds or 0.0), ("after_marker_seconds", marked)):
        if seconds >= operator.life_seconds:
            raise ConfigurationError(
                f"batch: {name}={seconds:g} of route {route.name!r} is no less than"
                f" life_seconds={operator.life_seconds:g}: nobody is idle before his task has received for so"
                " long, so it would never be reached; give a smaller one, or a larger life_seconds"
            )


def _check_audit(operator: S3EventDispatchOperator) -> None:
    from airflow_s3events.audit_address import AuditAddress

    # What a template makes of it is looked at when the task works.
    if operator.audit is not None and "{{" not in operator.audit:
        AuditAddress.of(operator.audit)


def _check_anomaly(operator: S3EventDispatchOperator) -> None:
    if operator.anomaly is not None and operator.ledger is None:
        raise ConfigurationError("anomaly: the past of the buckets is kept in a ledger: set ledger, too")


def _check_scorer(operator: S3EventDispatchOperator) -> None:
    from airflow_s3events.dispatch.scoring import check_scorer

    seconds: Any = operator.scorer_timeout_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ConfigurationError(f"scorer_timeout_seconds={seconds!r}: give a number above 0")
    if operator.scorer is None:
        return
    check_scorer(operator.scorer)
    if operator.acknowledge == "run_succeeded":
        raise ConfigurationError(
            "scorer: it goes with acknowledge='run_stored' only, since with 'run_succeeded' the trigger reads"
            " messages, too, and runs nobody's code"
        )


def _check_age(age: Any) -> None:
    if age is not None and (isinstance(age, bool) or not isinstance(age, (int, float)) or not age > 0):
        raise ConfigurationError(f"max_age_seconds={age!r}: give a number above 0, or None")
