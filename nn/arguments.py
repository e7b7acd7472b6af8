"""Checks of constructor and function arguments, with messages that say what is wanted."""

from __future__ import annotations

import numbers
from typing import Any

Pair = tuple[int, int]


def whole(owner: str, name: str, value: Any, least: int = 1) -> int:
    """`value` as an int of at least `least`."""
    if type(value) is int and value >= least:  # the usual case, without a look at the abstract class
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{owner}: {name} must be an integer of at least {least}, not {value!r}")
    return int(value)


_SEVERAL = {1: "one in a tuple (length,)", 2: "a pair (height, width)", 3: "a triple (depth, height, width)"}


def each(owner: str, name: str, value: Any, axes: int, least: int = 0) -> tuple[int, ...]:
    """An int for all axes, also as a sequence of one, or a sequence with one for each, as a tuple of ints."""
    if isinstance(value, tuple | list):
        if len(value) == 1:
            value = (*value,) * axes
        if len(value) != axes:
            raise ValueError(f"{owner}: {name} must be an integer or {_SEVERAL[axes]}, not {value!r}")
        return tuple(whole(owner, name, n, least) for n in value)
    return (whole(owner, name, value, least),) * axes


def pair(owner: str, name: str, value: Any, least: int = 0) -> Pair:
    """An int, or a sequence of two, as a pair (along the height, along the width)."""
    h, w = each(owner, name, value, 2, least)
    return h, w


def probability(owner: str, name: str, value: float) -> float:
    """A number in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{owner}: {name} must be a probability between 0 and 1, not {value!r}")
    return float(value)


def choice(owner: str, name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of the allowed strings."""
    if value not in allowed:
        raise ValueError(f"{owner}: {name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return str(value)
