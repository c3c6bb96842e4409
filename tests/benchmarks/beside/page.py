"""The text of the page: tables of what the parts measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.beside import figures, growth, prices
from tests.benchmarks.beside.figures import Parts
from tests.benchmarks.beside.sides import KINDS, SIDES

_GROWTH = (
    "Growth: a word, and the exponent of the power law that fits best. "
    "0 is flat, 1 in step, -1 half as much for twice as much."
)
_TABLES = {
    "backlog": "messages that wait",
    "workers": "dispatchers, or loops, on one queue",
    "routes": "routes, each to a DAG of its own",
}


def text(parts: Parts) -> str:
    """The whole page, of those parts that are there."""
    return "\n\n".join(section for section in _sections(parts) if section)


def _sections(parts: Parts) -> Iterator[str]:
    yield _glance(parts)
    yield _pictures(parts)
    yield _latency(parts)
    yield _calls(parts)
    yield _kills(parts)
    for part, grown in _TABLES.items():
        yield _grown(parts, part, grown)
    yield _idle(parts)
    yield _parts(parts)


def _glance(parts: Parts) -> str:
    rates, costs = figures.rates(parts), figures.costs(parts)
    rows = [_row(parts, side, rates, costs) for side in SIDES if side in rates or side in costs]
    return report.table(rows) if rows else ""


def _row(
    parts: Parts, side: str, rates: Mapping[str, list[float]], costs: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    found = rates.get(side, [])
    trickle = parts.get("latency", {}).get("trickle", {}).get(side, {}).get("begun", {})
    paused = parts.get("latency", {}).get("after a pause", {}).get(side, {}).get("begun", {})
    rounds = parts.get("throughput", {}).get("sides", {}).get(side, [])
    killed = parts.get("kills", {}).get("sides", {}).get(side)
    return {
        "": SIDES[side],
        "objects/s": _number(figures.middle(found), found),
        "objects a run": _per_run(rounds),
        "upload to run begun, trickle: p50, p95, p99 s": _triple(trickle),
        "after a pause: p50 s": _number(paused.get("p50"), paused),
        "its tasks, MiB": _number(figures.middle([one["tasks_mib"] for one in rounds]), rounds),
        "USD a million objects: together, one by one": _pair(costs.get(side, {})),
        "lost in kills": f"{killed['in no run']} of {killed['sent']}" if killed else growth.NONE,
    }


def _number(value: Any, there: Any) -> str:
    return f"{value:g}" if there and value is not None else growth.NONE


def _per_run(rounds: list[Mapping[str, Any]]) -> str:
    runs = sum(one["runs"] for one in rounds)
    return f"{sum(one['sent'] - one['in no run'] for one in rounds) / runs:.3g}" if runs else growth.NONE


def _triple(found: Mapping[str, Any]) -> str:
    return (
        ", ".join(f"{found[name]:.2f}" for name in ("p50", "p95", "p99")) if found.get("n") else growth.NONE
    )


def _pair(found: Mapping[str, float]) -> str:
    return ", ".join(
        f"{found[what]:.2f}" if what in found else growth.NONE for what in ("together", "one by one")
    )


def _pictures(parts: Parts) -> str:
    pictures = {
        "rates": (
            "throughput",
            "Objects a second of each side; seconds from upload to run, where they were played",
        ),
        "growth": ("backlog", "How rates, calls and memory grow"),
    }
    return "\n\n".join(
        f"![{words}](plots/side_by_side_{name}.png)"
        for name, (part, words) in pictures.items()
        if part in parts
    )


def _latency(parts: Parts) -> str:
    if not (found := parts.get("latency")):
        return ""
    rows = [
        {"seconds from upload": f"{what}: {SIDES[side]}", **_seconds(one)}
        for what in ("trickle", "after a pause")
        for side, one in found[what].items()
    ]
    words = "Until the run was stored, and until it began. With fewer than 100 objects p99 is near the most."
    return f"## How soon\n\n{words}\n\n{report.table(rows)}"


def _seconds(one: Mapping[str, Any]) -> dict[str, Any]:
    stored, begun = one["stored"], one["begun"]
    return {
        "objects": f"{begun['n']} of {one['sent']}",
        "stored: p50, p95, p99": _triple(stored),
        "begun: p50, p95, p99": _triple(begun),
        "most": _number(begun["max"], begun["n"]),
    }


def _calls(parts: Parts) -> str:
    rows = [
        {"calls for each object": f"{what}: {SIDES[side]}", **figures.each(calls, objects)}
        for what, counted in (
            ("together", figures.busy_calls(parts)),
            ("one by one", figures.trickle_calls(parts)),
        )
        for side, (calls, objects) in counted.items()
    ]
    if not rows:
        return ""
    pages = " and ".join(f"[{page.split('/')[-3]}]({page})" for page in prices.PRICE_PAGES)
    words = (
        "*Together*: all wait at the start. *One by one*: the trickle, with the empty receives in between. "
        "S3's own `SendMessage` is not in the table and is in the money. Money is these calls at "
        f"{prices.SQS_REQUEST:.2f} USD a million requests of SQS, and at S3 {prices.S3_WRITE:.2f} to list, "
        f"put or copy and {prices.S3_READ:.2f} to get or head, deletes free: us-east-1, without the free "
        f"tier, as of {prices.PRICES_OF} ({pages})."
    )
    return f"## Calls and money\n\n{words}\n\n{report.table(rows)}"


def _kills(parts: Parts) -> str:
    if not (found := parts.get("kills")):
        return ""
    rows = [{"": SIDES[side], **one} for side, one in found["sides"].items()]
    words = (
        f"{found['kills']} times, while stock's watcher worked, the triggerer and every task process of all "
        f"sides were killed at once (`kill -9`, {sum(found['processes'].values())} processes, seed "
        f"{found['seed']}). Airflow's own time-outs; the queues' visibility is 30 s. Counted when every "
        "queue was empty and nothing changed any more. Of an asset, what `events_of` gives the tasks of its "
        f"runs: {found['in two asset runs']} objects were in two of its runs after a kill, and `events_of` "
        "left them out of the second."
    )
    return f"## Killed\n\n{words}\n\n{report.table(rows)}"


def _grown(parts: Parts, part: str, grown: str) -> str:
    rates = figures.series(parts, part, "rate")
    if not rates:
        return ""
    memory = figures.series(parts, part, "tasks_mib")
    # Not every side is played at every place.
    places = sorted({x for points in rates.values() for x in points})
    rows = [_grown_row(f"objects/s: {SIDES[side]}", points, places) for side, points in rates.items()]
    rows += [
        _grown_row(f"MiB of its tasks: {SIDES[side]}", points, places)
        for side, points in memory.items()
        if any(points.values())
    ]
    return f"## By {grown}\n\n{_GROWTH}\n\n{report.table(rows)}"


def _grown_row(name: str, points: Mapping[float, float], places: Sequence[float]) -> dict[str, Any]:
    cells = {f"{x:g}": f"{points[x]:g}" if x in points else growth.NONE for x in places}
    return {"": name, **cells, "growth": growth.words(points)}


def _idle(parts: Parts) -> str:
    if "idle" not in parts:
        return ""
    rows = [
        _grown_row(f"{what}: {KINDS[kind]}", points, sorted(points))
        for member, what in (
            ("calls", "calls an hour"),
            ("mib", "MiB of the process"),
            ("processor_percent", "% of a core"),
        )
        for kind, points in figures.idle_series(parts, member).items()
    ]
    return f"## By queues and watchers that wait\n\n{_GROWTH}\n\n{report.table(rows)}\n\n{_months(parts)}"


def _months(parts: Parts) -> str:
    rows = [
        {
            "a month of waiting, USD": KINDS[kind],
            **{
                f"{count} queues or watchers": f"{prices.cost_of_a_month(one['calls'], 3600):.2f}"
                for count, one in found.items()
            },
        }
        for kind, found in parts["idle"]["kinds"].items()
    ]
    return report.table(rows)


def _parts(parts: Parts) -> str:
    rows = [
        {
            "part": name,
            "date": one["date"],
            "minutes": one["minutes"],
            "load average before": one["load_before"],
            "at its end": one["load_after"],
        }
        for name, one in parts.items()
    ]
    return f"## Parts\n\n{report.table(rows)}"
