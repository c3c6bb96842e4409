"""``S3ExpectedObjectsSensor``: says when an object does not come in time, or too few do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_s3events._compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    BaseSensorOperator,
    Context,
    default_deferrable,
    earliest_resume_seconds,
)
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.outages import through_outages
from airflow_s3events.triggers.expectations import S3ExpectationTrigger, watch

if TYPE_CHECKING:
    from airflow_s3events.expectations import Expectation, Judged

_LEAST_POKE_SECONDS = 1.0
_CHOICES = ("fail", "return")
#: What a callback finds the broken expectations by, in the context that it is given.
CONTEXT_MEMBER = "s3_expectations"


class S3ExpectedObjectsSensor(BaseSensorOperator):
    """Ends when of each expectation it is known whether it was met; says at once which was not.

    An ``ExpectedBy`` is met as soon as its objects are there, and broken when its time is over. A
    ``LeastRate`` is looked at once, or, with ``watch_seconds``, for so long, until it is broken. All times
    are S3's own: when an object was written, and what S3's clock showed when it answered.

    The value it returns is ``{"met": [...], "broken": [...]}``; each is a mapping of ``name``, ``what``
    (``met``, ``late``, ``missing``, ``too few``), ``found``, ``count``, ``due`` and ``late_seconds``.

    What it needs of AWS: ``s3:ListBucket`` on the bucket.

    Args:
        bucket_name: The bucket. Templated.
        expectations: An ``ExpectedBy`` or a ``LeastRate``, or a list of them.
        day: The day that is meant, ``"2026-05-04"``. Default: the day on which the DAG run was due, in the
            time zone of each expectation. Templated.
        when_broken: ``"fail"``: fail, without a retry, when the last of them is known. ``"return"``: end well
            all the same; a task behind it reads ``broken``. Default ``"fail"``.
        on_broken: Called at once for what is found to be broken, with the task's context, in which
            ``s3_expectations`` is the list of them; Airflow's notifiers are such. May be called twice for one
            of them if the task is killed.
        tolerance_seconds: So much later is still in time. Default 60.
        watch_seconds: Rates are looked at for so long from the start of the DAG run. Default 0: once.
        deferrable: Wait in the triggerer; ``[operators] default_deferrable`` when None.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
        **kwargs: As for every sensor: ``timeout``, ``poke_interval`` and the like. ``mode="reschedule"``
            would forget what it has said, and is refused.
    """

    template_fields: Sequence[str] = ("bucket_name", "day", "aws_conn_id", "region_name")
    ui_color = "#f0d0a0"

    def __init__(
        self,
        *,
        bucket_name: str,
        expectations: Expectation | Sequence[Expectation],
        day: str | None = None,
        when_broken: Literal["fail", "return"] = "fail",
        on_broken: Callable[[Any], Any] | None = None,
        tolerance_seconds: float = 60.0,
        watch_seconds: float = 0.0,
        deferrable: bool | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_name = bucket_name
        self.expectations = expectations
        self.day = day
        self.when_broken = when_broken
        self.on_broken = on_broken
        self.tolerance_seconds = tolerance_seconds
        self.watch_seconds = watch_seconds
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def execute(self, context: Context) -> dict[str, Any]:
        """Look; say what is broken, and wait for the others in the way that the settings say."""
        watched = self._watched(context)
        until = time.time() + self.timeout
        report: dict[str, Any] = {"met": [], "broken": []}
        left = list(range(len(watched["expectations"])))
        while True:
            judged = self._look(watched, left, 0.0 if self.deferrable else until)
            left = self._note(context, judged, left, report)
            if not left or self.deferrable:
                return self._go_on(watched, left, report, until)
            if time.time() >= until:
                raise AirflowSensorTimeout(f"after {self.timeout:.0f} s nothing is known of {len(left)}")

    def resume(
        self,
        context: Context,
        event: Mapping[str, Any],
        left: list[int],
        report: dict[str, Any],
        until: float,
    ) -> dict[str, Any]:
        """Go on after a wake-up."""
        from airflow_s3events.expectations import Judged

        judged = {int(number): Judged(**one) for number, one in event["judged"].items()}
        if not judged and time.time() >= until:
            raise AirflowSensorTimeout(f"after {self.timeout:.0f} s nothing is known of {len(left)}")
        left = self._note(context, judged, left, report)
        return self._go_on(self._watched(context), left, report, until)

    def _look(self, watched: Mapping[str, Any], left: Sequence[int], until: float) -> dict[int, Judged]:
        attempt = partial(watch, watched, left, until=until, aws=self._aws())
        try:
            # Deferrable: once, and S3 out of reach is as good as nothing to be said yet.
            return asyncio.run(attempt() if self.deferrable else through_outages(attempt, until=until)) or {}
        except OutageError as outage:
            self.log.warning("The bucket cannot be asked now: %s", outage)
            return {}

    def _note(
        self, context: Context, judged: Mapping[int, Judged], left: Sequence[int], report: dict[str, Any]
    ) -> list[int]:
        """Put what was said into the report, and tell the callback; return what is left."""
        from airflow_s3events.expectations import MET

        broken = [one.serialize() for one in judged.values() if one.what != MET]
        report["met"] += [one.serialize() for one in judged.values() if one.what == MET]
        report["broken"] += broken
        for one in broken:
            self.log.error("s3://%s: %s", self.bucket_name, one)
        if broken and self.on_broken is not None:
            told: Any = {**context, CONTEXT_MEMBER: broken}
            self.on_broken(told)
        return [number for number in left if number not in judged]

    def _go_on(
        self, watched: dict[str, Any], left: list[int], report: dict[str, Any], until: float
    ) -> dict[str, Any]:
        if left:
            self._defer(watched, left, report, until)
        if report["broken"] and self.when_broken == "fail":
            names = ", ".join(f"{one['name']} is {one['what']}" for one in report["broken"])
            raise AirflowFailException(f"s3://{self.bucket_name}: {names}")
        return report

    def _defer(self, watched: dict[str, Any], left: list[int], report: dict[str, Any], until: float) -> None:
        trigger = S3ExpectationTrigger(
            watched=watched, left=left, until=until, quiet_seconds=earliest_resume_seconds(), **self._aws()
        )
        kwargs = {"left": left, "report": report, "until": until}
        seconds = max(0.0, until - time.time()) + earliest_resume_seconds() + self._poke_seconds
        self.defer(trigger=trigger, method_name="resume", kwargs=kwargs, timeout=timedelta(seconds=seconds))

    def _watched(self, context: Context) -> dict[str, Any]:
        """Return what ``watch`` takes, all plain data.

        Raises:
            ConfigurationError: A setting cannot work; names it.
        """
        from airflow_s3events.expectations import expectations_of, serialized

        expectations = expectations_of(self.expectations)
        self._check()
        return {
            "bucket_name": self.bucket_name,
            "expectations": [serialized(one) for one in expectations],
            "day": self.day,
            "began": _began(context),
            "tolerance_seconds": self.tolerance_seconds,
            "watch_seconds": self.watch_seconds,
            "poke_seconds": self._poke_seconds,
        }

    def _check(self) -> None:
        if self.mode == "reschedule":
            raise ConfigurationError("mode='reschedule': give deferrable=True, which costs as little")
        if self.when_broken not in _CHOICES:
            raise ConfigurationError(f"when_broken={self.when_broken!r}: give one of {', '.join(_CHOICES)}")
        for name in ("tolerance_seconds", "watch_seconds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise ConfigurationError(f"{name}={value!r}: give a number from 0")
        if self.watch_seconds > self.timeout:
            raise ConfigurationError(f"timeout={self.timeout!r}: it ends before watch_seconds are over")
        try:
            date.fromisoformat(self.day or "2026-01-01")
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"day={self.day!r}: give a day such as '2026-05-04'") from error

    @property
    def _poke_seconds(self) -> float:
        return max(_LEAST_POKE_SECONDS, self.poke_interval)

    def _aws(self) -> dict[str, Any]:
        names = ("aws_conn_id", "region_name", "verify", "botocore_config")
        return {name: getattr(self, name) for name in names}


def _began(context: Context) -> float:
    """When the DAG run was due: the same in each of the task's tries and after each wait."""
    run: Any = context.get("dag_run")
    for name in ("run_after", "data_interval_end", "start_date"):
        moment = getattr(run, name, None)
        if moment is not None:
            return float(moment.timestamp())
    return time.time()
