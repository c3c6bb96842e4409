"""The pictures of the page, drawn by matplotlib, which the extra ``plots`` brings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.beside import figures
from tests.benchmarks.beside.figures import Parts

FOLDER = report.PAGES / "plots"
#: Short names, for there is little room; ours green, stock in others, the floor grey; white reads on each.
_NAMES = {
    "bare": ("bare loop", "#7a7a7a"),
    "ours": ("dispatcher", "#004d40"),
    "ours_asset": ("asset", "#26a69a"),
    "stock_asset": ("stock asset, tuned", "#e65100"),
    "stock_default": ("stock asset, defaults", "#a66300"),
    "stock_sensor": ("stock SqsSensor", "#5e35b1"),
    "stock_s3": ("stock S3KeySensor", "#c2185b"),
    "dispatcher": ("dispatchers, a queue each", "#004d40"),
    "watchers": ("assets on one queue", "#26a69a"),
    "stock_tuned": ("stock assets, tuned, a queue each", "#e65100"),
}


def draw(parts: Parts) -> list[Path]:
    """Draw what there are figures for; return the files."""
    import matplotlib

    matplotlib.use("Agg")
    # Light ground in a dark page, too: the text on it is dark.
    matplotlib.rcParams.update({"figure.facecolor": "white", "axes.facecolor": "white", "font.size": 9})
    FOLDER.mkdir(exist_ok=True)
    drawn = []
    if "throughput" in parts:
        drawn.append(_saved("rates", _rates(parts)))
    if "backlog" in parts:
        drawn.append(_saved("growth", _growth(parts)))
    return drawn


def _saved(name: str, figure: Any) -> Path:
    path = FOLDER / f"side_by_side_{name}.png"
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def _rates(parts: Parts) -> Any:
    from matplotlib.figure import Figure

    rates = {side: figures.middle(found) for side, found in figures.rates(parts).items()}
    trickle = parts.get("latency", {}).get("trickle", {})
    seconds = {side: one["begun"] for side, one in trickle.items() if one["begun"]["n"]}
    rows = 2 if seconds else 1
    figure = Figure(figsize=(9, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False).flat
    _bars(axes[0], rates, "objects a second, median of the rounds (logarithmic)")
    if seconds:
        _bars(axes[1], {side: one["p50"] for side, one in seconds.items()}, _SECONDS)
    for place, one in enumerate(seconds.values()):
        axes[1].plot([one["p50"], one["p95"]], [place, place], color="#222222", linewidth=1)
        axes[1].plot([one["p95"]], [place], marker="|", color="#222222", markersize=9)
    return figure


_SECONDS = "seconds from upload to run begun, objects one by one: p50, the line to p95 (logarithmic)"


def _bars(axes: Any, values: Mapping[str, float], title: str) -> None:
    names = [_NAMES[side][0] for side in values]
    bars = axes.barh(names, list(values.values()), color=[_NAMES[side][1] for side in values], height=0.62)
    axes.set(xscale="log", xlim=(min(values.values()) / 4, max(values.values()) * 3))
    texts = [f"{value:.3g}" for value in values.values()]
    axes.bar_label(bars, labels=texts, label_type="center", color="white", fontweight="bold")
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _growth(parts: Parts) -> Any:
    from matplotlib.figure import Figure

    waiting = "empty queues, or watchers"
    panels = (
        (figures.series(parts, "backlog", "rate"), "objects a second", "messages that wait", True),
        (figures.series(parts, "workers", "rate"), "objects a second", "workers on one queue", True),
        (figures.series(parts, "routes", "rate"), "objects a second", "routes", False),
        (_there(parts), "MiB of its task processes", "messages that wait", False),
        (figures.idle_series(parts, "calls"), "calls an hour", waiting, True),
        (figures.idle_series(parts, "mib"), "MiB of the process", waiting, False),
    )
    there = [panel for panel in panels if panel[0]]
    rows = (len(there) + 1) // 2
    figure = Figure(figsize=(10, 4 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).flat
    for (lines, what, by, log), place in zip(there, axes, strict=False):
        _lines(place, lines, what, by, log=log)
    for place in list(axes)[len(there) :]:
        place.set_axis_off()
    return figure


def _there(parts: Parts) -> dict[str, dict[float, float]]:
    found = figures.series(parts, "backlog", "tasks_mib")
    return {side: points for side, points in found.items() if all(points.values())}


def _lines(
    axes: Any, lines: Mapping[str, Mapping[float, float]], what: str, by: str, *, log: bool = True
) -> None:
    for side, points in lines.items():
        name, colour = _NAMES[side]
        axes.plot(list(points), list(points.values()), marker="o", markersize=4, color=colour, label=name)
    ticks = sorted({x for points in lines.values() for x in points})
    axes.set(xscale="log", xlabel=by)
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.15 * max(y for points in lines.values() for y in points.values()))
    axes.set_xticks(ticks, labels=[f"{x:g}" for x in ticks])
    axes.minorticks_off()
    axes.set_title(f"{what} (logarithmic)" if log else what, loc="left", fontsize=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
