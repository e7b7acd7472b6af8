"""Where did the NaN come from? `detect_anomaly` checks every value as it is computed, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..backends import Backend, get_backend
from .errors import AnomalyError, show_location, user_location
from .graph import Node
from .state import interpreter, state
from .tensor import Tensor

__all__ = ["detect_anomaly"]

FINITE, INFINITE, NAN = 0, 1, 2
_WORDS = {INFINITE: "an infinity", NAN: "a NaN"}


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Within the block, raise where the first NaN or infinity arises, in a forward op or in its backward rule.

    A NaN is reported wherever it shows first, also when it came with the data. An infinity is reported where an op
    makes it from finite inputs; masks that hold −∞ on purpose pass. NumPy's warnings are silent meanwhile. Every value
    is read once more, so this is for debugging.

    Raises
    ------
    AnomalyError : names the op, its inputs' shapes and dtypes, and the line of the user's code that called it. For a
        cotangent it is the line that called the forward op, provided that that ran within the block too.

    >>> import pullback as pb
    >>> x = pb.Tensor([1.0, 0.0], requires_grad=True)
    >>> with pb.detect_anomaly():  # doctest: +ELLIPSIS
    ...     (x * pb.log(x)).sum()
    Traceback (most recent call last):
    ...
    pullback.autograd.errors.AnomalyError: log made an infinity from finite inputs ((2,) float32), at <doctest ...
    """
    before = state.now.anomaly
    state.now.anomaly = True
    try:
        with interpreter(_Checked(state.now.apply)), np.errstate(all="ignore"):
            yield
    finally:
        state.now.anomaly = before


class _Checked:
    """An interpreter that looks at what another one computes."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        self.inner = inner

    def __call__(self, prim: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        out = self.inner(prim, args, params)
        outs = out if type(out) is tuple else (out,)
        for t in outs:
            node = t._node
            if node is not None:
                node.where = node.where or user_location()
                if prim.outputs != 1:
                    node.parents[0].where = node.where
        worst = max((_kind(t) for t in outs), default=FINITE)
        if worst != FINITE:
            _judge(prim.name, args, params, worst)
        return out


def _judge(name: str, args: tuple[Any, ...], params: dict[str, Any], worst: int) -> None:
    """Raise if an op's output is worse than its inputs, or holds a NaN that came from outside the block."""
    from .eager import describe

    before = [_kind(a) for a in (*args, *params.values())]
    floating = [a for a in args if isinstance(a, Tensor) and a.dtype.kind == "f"]
    shapes = ", ".join(describe(a) for a in args)
    where = f", at {show_location(user_location())}"
    if worst == NAN and NAN in before:
        i = before.index(NAN)
        raise AnomalyError(f"{name} was given a NaN in input {i} of ({shapes}){where}: it came with the data")
    if worst > max(before, default=FINITE) and floating:
        kind = "finite inputs" if max(before) == FINITE else "infinite inputs"
        raise AnomalyError(f"{name} made {_WORDS[worst]} from {kind} ({shapes}){where}")


def checked_pulls(node: Node, g: Any, pull: Callable[[], list[tuple[Any, Any]]]) -> list[tuple[Any, Any]]:
    """The pairs (parent, cotangent) that a node's rules give, checked against the cotangent they were given."""
    try:
        results = pull()
    except AnomalyError as error:  # under create_graph the rule's own ops are checked too, and found it first
        raise AnomalyError(f"in the backward pass of {_called(node)}: {error}") from error
    before = max((_kind(c, node.backend) for c in (g if isinstance(g, tuple) else (g,))), default=FINITE)
    for parent, c in results:
        worst = _kind(c, node.backend)
        if worst > before:
            kind = "a finite" if before == FINITE else "an infinite"
            raise AnomalyError(
                f"in the backward pass of {_called(node)}: its rule made {_WORDS[worst]} from {kind} cotangent, for an "
                f"input of shape {tuple(parent.shape)}"
            )
    return results


def _called(node: Node) -> str:
    return f"{node.name}, which was called at {show_location(node.where)}"


def _kind(value: Any, backend: Backend | None = None) -> int:
    """Whether a Tensor, an array of a backend, a number or anything else is finite, holds an infinity, or a NaN."""
    if isinstance(value, float):
        return FINITE if math.isfinite(value) else NAN if math.isnan(value) else INFINITE
    if isinstance(value, Tensor):
        value, backend = value._value, value.backend
    elif isinstance(value, np.ndarray) and backend is None:
        backend = get_backend("numpy")
    if backend is None or getattr(value, "dtype", None) not in backend.float_dtypes:
        return FINITE
    xp = backend.xp
    if bool(xp.all(xp.isfinite(value))):
        return FINITE
    return NAN if bool(xp.any(xp.isnan(value))) else INFINITE
