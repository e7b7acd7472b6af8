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


def pair(owner: str, name: str, value: Any, least: int = 0) -> Pair:
    """An int, or a sequence of two, as a pair (along the height, along the width)."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{owner}: {name} must be an integer or a pair (height, width), not {value!r}")
        return whole(owner, name, value[0], least), whole(owner, name, value[1], least)
    n = whole(owner, name, value, least)
    return n, n


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
