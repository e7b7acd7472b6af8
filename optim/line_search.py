"""A line search for the strong Wolfe conditions, along a direction in which the function falls.

Nocedal & Wright, *Numerical optimization*, 2006, algorithms 3.5 and 3.6, with the safeguards of Schmidt's minFunc, as
in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Point:
    """A step t along the direction: the function's value there, its gradient, and its slope along the direction."""

    t: float
    value: float
    gradient: Any
    slope: float


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """The minimum of the cubic through the values and slopes of two points, within [low, high].

    Where there is none, or the points do not determine it, the middle of the interval.
    """
    if a.t > b.t:
        a, b = b, a
    if a.t != b.t:
        d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
        square = d1 * d1 - a.slope * b.slope
        d2 = math.sqrt(square) if square >= 0 else math.nan
        below = b.slope - a.slope + 2 * d2
        if math.isfinite(below) and below != 0:
            return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / below), low), high)
    return (low + high) / 2.0


def strong_wolfe(
    at: Callable[[float], Point], start: Point, t: float, *, size: float, max_evaluations: int, c1: float = 1e-4,
    c2: float = 0.9, tolerance: float = 1e-9,
) -> tuple[Point, int]:  # fmt: skip
    """A point with f(t) ≤ f(0) + c₁·t·f′(0) and |f′(t)| ≤ c₂·|f′(0)|, or the best found.

    Parameters
    ----------
    at : evaluates the function at a step. start : t = 0, where the slope is negative. t : the first step to try.
    size : the largest component of the direction; a bracket in which nothing moves by `tolerance` is not refined.
    max_evaluations : at most so many after the first one.

    Returns
    -------
    The point and the number of evaluations.
    """

    def enough(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    def too_high(point: Point) -> bool:  # or NaN
        return not point.value <= start.value + c1 * point.t * start.slope

    # go outwards until the points enclose one that satisfies both conditions
    before, point, count = start, at(t), 0
    bracket: list[Point] | None = None
    while count < max_evaluations:
        if too_high(point) or (count > 1 and point.value >= before.value):
            bracket = [before, point]
            break
        if enough(point):
            return point, count + 1
        if point.slope >= 0:
            bracket = [before, point]
            break
        t = cubic_minimum(before, point, point.t + 0.01 * (point.t - before.t), 10 * point.t)
        before, point = point, at(t)
        count += 1
    if bracket is None:  # none was found in time
        return min(start, point, key=lambda p: p.value), count + 1

    # close in on it, from the lower end to the higher one
    low, high = sorted(bracket, key=lambda p: p.value)
    stalled = False
    while count < max_evaluations and not abs(high.t - low.t) * size < tolerance:
        left, right = min(low.t, high.t), max(low.t, high.t)
        t = cubic_minimum(low, high, left, right)
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stalled or t >= right or t <= left):
            # too close to an end twice, or at it: a tenth of the bracket away from it
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stalled = near
        point = at(t)
        count += 1
        if too_high(point) or not point.value < low.value:
            high = point
            if high.value < low.value:
                low, high = high, low
        else:
            if enough(point):
                return point, count + 1
            if point.slope * (high.t - low.t) >= 0:
                high = low
            low = point
    return low, count + 1
