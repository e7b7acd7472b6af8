"""The table: one file of rows per op family."""

from __future__ import annotations

import importlib
import pkgutil

from ...autograd import ops
from ...autograd.ops.transfer import to_backend
from ...autograd.primitive import Primitive
from ..case import OpCase


def families() -> dict[str, list[OpCase]]:
    """Family name -> its rows."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        found[module.name] = list(importlib.import_module(f".{module.name}", __name__).CASES)
    return found


def all_cases() -> list[OpCase]:
    """Every row, in family order."""
    return [case for rows in families().values() for case in rows]


def all_primitives() -> dict[str, Primitive]:
    """Op name -> primitive, for every primitive that an op family defines."""
    found: dict[str, Primitive] = {}
    for module in pkgutil.iter_modules(ops.__path__):
        loaded = importlib.import_module(f"{ops.__name__}.{module.name}")
        for value in vars(loaded).values():
            # moving between two backends is no op of one; tests/test_shape_ops.py has it
            if isinstance(value, Primitive) and value is not to_backend:
                found.setdefault(value.name, value)
    return found
