"""A chart of events, runs, duplicates and failures over time, as SVG without any text of a stranger. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import NamedTuple

from airflow_s3events.ledger.store import IntervalCount

#: Decisions by what they are to who looks at a chart.
_RUNS = frozenset({"started", "restarted"})
_DUPLICATES = frozenset({"duplicate", "joined"})
_FAILURES = frozenset({"gave_up", "not_stored", "put_off"})

_WIDTH, _HEIGHT = 960, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 8, 10, 26
_GRID = 4
#: Part of an interval's width that its bar leaves free.
_GAP = 0.25
_LABELS = 8


class Range(NamedTuple):
    """A stretch of time that ends now."""

    name: str
    seconds: int
    step_seconds: int
    #: Of the labels below the chart, as ``strftime`` has it.
    format: str


RANGES = {
    one.name: one
    for one in (
        Range("1h", 3_600, 60, "%H:%M"),
        Range("6h", 6 * 3_600, 6 * 60, "%H:%M"),
        Range("24h", 86_400, 1_800, "%H:%M"),
        Range("7d", 7 * 86_400, 3 * 3_600, "%d %b"),
        Range("30d", 30 * 86_400, 12 * 3_600, "%d %b"),
    )
}
STANDARD_RANGE = "24h"


@dataclass(slots=True)
class Bar:
    """What lies in one interval; ``start`` in seconds since the epoch."""

    start: int
    runs: int = 0
    others: int = 0
    failures: int = 0
    duplicates: int = 0

    @property
    def events(self) -> int:
        """Events that came for the first time, for each DAG that gets them."""
        return self.runs + self.others + self.failures

    @property
    def height(self) -> int:
        """Everything that came."""
        return self.events + self.duplicates

    def add(self, count: IntervalCount) -> None:
        """Count documents of one label: each is an event that came ``times``."""
        repeats = count.times - count.documents
        if count.label in _DUPLICATES:
            self.duplicates += count.documents + repeats
            return
        self.duplicates += repeats
        if count.label in _RUNS:
            self.runs += count.documents
        elif count.label in _FAILURES:
            self.failures += count.documents
        else:
            self.others += count.documents


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of a stretch of time, the oldest first."""

    range: Range
    bars: Sequence[Bar]

    @property
    def total(self) -> Bar:
        """All of them together."""
        total = Bar(self.bars[0].start if self.bars else 0)
        for bar in self.bars:
            total.runs += bar.runs
            total.others += bar.others
            total.failures += bar.failures
            total.duplicates += bar.duplicates
        return total

    def svg(self) -> str:
        """Return the chart as an SVG element; its colours are of the page's style sheet."""
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        top = _round_up(max((bar.height for bar in self.bars), default=0))
        yield f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="chart-title">'
        yield f'<title id="chart-title">{self.summary()}</title>'
        yield from _grid(top)
        for number, bar in enumerate(self.bars):
            yield from self._bar(number, bar, top)
        yield "</svg>"

    def summary(self) -> str:
        """Say it in one sentence, for who does not see it."""
        total = self.total
        return (
            f"Last {self.range.name}: {total.events} events, {total.runs} runs,"
            f" {total.duplicates} duplicates, {total.failures} failed or put off"
        )

    def _bar(self, number: int, bar: Bar, top: float) -> Iterator[str]:
        slot = (_WIDTH - _LEFT - _RIGHT) / len(self.bars)
        x, width = _LEFT + slot * (number + _GAP / 2), slot * (1 - _GAP)
        y = float(_HEIGHT - _BOTTOM)
        every = max(1, round(len(self.bars) / _LABELS))
        if number % every == 0:
            yield f'<text class="axis" x="{x + width / 2:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">'
            yield f"{_moment(bar.start, self.range.format)}</text>"
        if not bar.height:
            return
        yield f"<g><title>{self.tip(bar)}</title>"
        for name in ("runs", "others", "failures", "duplicates"):
            height = getattr(bar, name) / top * (_HEIGHT - _TOP - _BOTTOM)
            y -= height
            if height:
                yield f'<rect class="bar {name}" x="{x:.1f}" y="{y:.1f}"'
                yield f' width="{width:.1f}" height="{height:.1f}"/>'
        yield "</g>"

    def tip(self, bar: Bar) -> str:
        """Say what is in one bar."""
        return (
            f"{_moment(bar.start, '%d %b %H:%M')} UTC: {bar.events} events, {bar.runs} runs,"
            f" {bar.duplicates} duplicates, {bar.failures} failed or put off, {bar.others} left alone"
        )

    def rows(self) -> list[tuple[str, Bar]]:
        """Return the intervals in which anything came, as rows of a table."""
        return [(_moment(bar.start, "%Y-%m-%d %H:%M"), bar) for bar in self.bars if bar.height]


def chart_of(counts: Sequence[IntervalCount], range_: Range, until: int) -> Chart:
    """Return the chart of what was counted, its last interval that of ``until``."""
    since = since_of(range_, until)
    bars = {start: Bar(start) for start in range(since, until + 1, range_.step_seconds)}
    for count in counts:
        bars[count.start].add(count)
    return Chart(range_, list(bars.values()))


def since_of(range_: Range, until: int) -> int:
    """Return where the first interval of a range begins: at a whole multiple of its step."""
    return (until - range_.seconds) // range_.step_seconds * range_.step_seconds + range_.step_seconds


def _grid(top: float) -> Iterator[str]:
    for line in range(_GRID + 1):
        y = _HEIGHT - _BOTTOM - line / _GRID * (_HEIGHT - _TOP - _BOTTOM)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        value = _short(top * line / _GRID)
        yield f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'


def _round_up(value: int) -> float:
    """Return a number not less than ``value`` whose parts by the grid are round: 4, 8, 20, 40, 80, 200."""
    part = max(1, -(-value // _GRID))
    size = 10 ** (len(str(part)) - 1)
    return float(_GRID * next(size * factor for factor in (1, 2, 5, 10) if size * factor >= part))


def _short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _moment(seconds: int, format_: str) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(format_)
