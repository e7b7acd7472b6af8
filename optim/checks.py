"""Ranges of optimiser options."""

from __future__ import annotations

from typing import Any


def at_least(group: dict[str, Any], title: str, *names: str) -> None:
    """Raise ValueError unless each of these options is a number ≥ 0."""
    for name in names:
        if not group[name] >= 0.0:
            raise ValueError(f"{title}: {name} must be at least 0, not {group[name]}")


def fraction(group: dict[str, Any], title: str, *names: str) -> None:
    """Raise ValueError unless each of these options, or each number of the pair it is, lies in [0, 1)."""
    for name in names:
        value = group[name]
        for number in value if isinstance(value, tuple | list) else (value,):
            if not 0.0 <= number < 1.0:
                raise ValueError(f"{title}: {name} must lie in [0, 1), not {value}")
