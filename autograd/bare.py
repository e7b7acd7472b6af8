"""The interpreter for rules on bare arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backends import Backend
from .primitive import Primitive


def bare(backend: Backend) -> Callable[[Primitive, tuple[Any, ...], dict[str, Any]], Any]:
    """An interpreter under which an op is a look-up of its kernel: nothing is wrapped or recorded."""
    kind = backend.array_type

    def apply(prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        try:
            kernel = backend._table[prim.key]
        except KeyError:
            kernel = backend.kernel(prim.key, prim.forward, prim.takes_xp)
        if prim.statics:
            value = kernel(*args, **(params if len(params) == len(prim.statics) else {**prim.defaults, **params}))
        else:
            value = kernel(*args)
        if type(value) is not kind and prim.outputs == 1:
            return backend.asarray(value)
        return value

    return apply
