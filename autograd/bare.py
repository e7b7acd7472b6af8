"""The interpreter for rules on bare arrays."""

from __future__ import annotations

from typing import Any

from ..backends import Backend
from .primitive import Primitive


class Bare:
    """An interpreter under which an op is a look-up of its kernel: nothing is wrapped or recorded."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def __call__(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        backend = self.backend
        kernel = backend._table.get(prim.key) or backend.kernel(prim.key, prim.forward, prim.takes_xp)
        if prim.statics and len(params) != len(prim.statics):
            params = {**prim.defaults, **params}
        value = kernel(*args, **params)
        if prim.outputs == 1 and type(value) is not backend.array_type:
            return backend.asarray(value)
        return value
