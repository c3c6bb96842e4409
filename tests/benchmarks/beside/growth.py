"""How a figure grows with another: the exponent of the power law that fits best. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

#: An exponent nearer to 0 than this is called flat: less than a fifth more for twice as much.
_FLAT = 0.25
#: What a table has where there is no figure.
NONE = "\N{EN DASH}"


def exponent(points: Mapping[float, float]) -> float:
    """Exponent ``b`` of ``y = a * x ** b``, by least squares of the logarithms.

    0: it does not grow; 1: twice as much for twice as much; -1: half as much.

    Args:
        points: ``y`` by ``x``; two ``x`` or more, all of both above 0.

    Raises:
        ValueError: Fewer than two points, or one that has no logarithm.
    """
    if len(points) < 2 or min(*points, *points.values()) <= 0:
        raise ValueError("a growth needs two points or more, all of them above 0")
    xs, ys = [math.log(x) for x in points], [math.log(y) for y in points.values()]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread


def words(points: Mapping[float, float]) -> str:
    """The growth in a word or two, with its exponent; a dash where there is none to tell."""
    try:
        found = exponent(points)
    except ValueError:
        return NONE
    if abs(found) < _FLAT:
        return f"flat ({found:+.2f})"
    if abs(found - 1) < _FLAT:
        return f"in step ({found:+.2f})"
    return f"{'grows' if found > 0 else 'falls'} ({found:+.2f})"
