"""What became of the demo's objects: the table at the end, and the figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_s3events.demo.upload import Upload

_COLUMNS = ("object", "run id", "state", "as a task of the run saw it", "seconds")
_WIDTHS = (34, 30, 9, 44, 7)


@dataclass(frozen=True, slots=True)
class Row:
    """One object and its runs; a second run would be a broken promise."""

    upload: Upload
    runs: tuple[Mapping[str, Any], ...]
    #: What the task of the first run returned; None if it has not.
    seen: Mapping[str, Any] | None

    @property
    def has_succeeded(self) -> bool:
        """The first run succeeded and its task saw this object."""
        return bool(self.runs) and self.runs[0]["state"] == "success" and self._saw_it()

    def _saw_it(self) -> bool:
        seen = self.seen or {}
        return (seen.get("key"), seen.get("version_id")) == (self.upload.key, self.upload.version_id)

    @property
    def seconds_to_run(self) -> float | None:
        """From the upload to the moment at which Airflow stored the first run."""
        if not self.runs:
            return None
        stored = datetime.fromisoformat(self.runs[0]["queued_at"].replace("Z", "+00:00"))
        return max(0.0, stored.timestamp() - self.upload.at)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the demo has to say."""

    rows: tuple[Row, ...]
    #: Messages that were sent twice.
    repeated: int
    seconds_total: float

    @classmethod
    def of(
        cls,
        uploads: Sequence[Upload],
        runs: Sequence[Mapping[str, Any]],
        seen: Mapping[str, Mapping[str, Any]],
        *,
        repeated: int,
        seconds_total: float,
    ) -> Report:
        """Put uploads, Airflow's runs (oldest first) and what their tasks returned, by run id, together."""
        by_object: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
        for run in runs:
            event = (run.get("conf") or {}).get("s3_event") or {}
            by_object.setdefault((event.get("key"), event.get("version_id")), []).append(run)
        rows = []
        for upload in uploads:
            own = tuple(by_object.get((upload.key, upload.version_id), ()))
            rows.append(Row(upload, own, seen.get(own[0]["dag_run_id"]) if own else None))
        return cls(tuple(rows), repeated, seconds_total)

    def figures(self) -> dict[str, int | float | None]:
        """The figures of ``--json``."""
        seconds = sorted(row.seconds_to_run for row in self.rows if row.seconds_to_run is not None)
        created = sum(len(row.runs) for row in self.rows)
        extra = sum(max(0, len(row.runs) - 1) for row in self.rows)
        return {
            "objects": len(self.rows),
            "runs_created": created,
            "runs_succeeded": sum(row.has_succeeded for row in self.rows),
            "duplicates_refused": max(0, self.repeated - extra),
            "lost": sum(not row.runs for row in self.rows),
            "seconds_to_run_p50": round(statistics.median(seconds), 3) if seconds else None,
            "seconds_to_run_p95": round(_percentile(seconds, 0.95), 3) if seconds else None,
            "seconds_total": round(self.seconds_total, 1),
        }

    @property
    def is_good(self) -> bool:
        """Every object has exactly one run, and that run succeeded and saw the object."""
        return all(len(row.runs) == 1 and row.has_succeeded for row in self.rows)

    def text(self) -> str:
        """The table and what it means."""
        lines = [_line(_COLUMNS), _line(["-" * width for width in _WIDTHS])]
        lines += [_line(_cells(row)) for row in self.rows]
        return "\n".join([*lines, "", *self._summary()])

    def _summary(self) -> list[str]:
        figures = self.figures()
        return [
            "{objects} objects, {runs_created} runs, {runs_succeeded} succeeded, {lost} lost.".format(
                **figures
            ),
            f"{self.repeated} messages were sent twice on purpose; "
            f"{figures['duplicates_refused']} of the repeats started no second run.",
            "Upload to run: {seconds_to_run_p50} s (median), {seconds_to_run_p95} s (95th percentile); "
            "everything: {seconds_total} s.".format(**figures),
        ]


def _cells(row: Row) -> list[str]:
    if not row.runs:
        return [row.upload.key, "-", "lost", "-", "-"]
    seen = row.seen or {}
    metadata = f"{seen.get('size')} bytes, etag {seen.get('etag')}, version {seen.get('version_id')}"
    states = "+".join(str(run["state"]) for run in row.runs)
    return [
        row.upload.key,
        str(row.runs[0]["dag_run_id"]),
        states,
        metadata if row.seen else "-",
        f"{row.seconds_to_run:.2f}",
    ]


def _line(cells: Sequence[str]) -> str:
    fitted = (_fit(cell, width).ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return "  ".join(fitted).rstrip()


def _fit(text: str, width: int) -> str:
    """Shortened in the middle: both ends of a key and of a run id tell something.

    Keys are anybody's text: what could break the line or steer the terminal is not shown.
    """
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[-(width - 1 - head) :]}"


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[math.ceil(share * len(ordered)) - 1]
