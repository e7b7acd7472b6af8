"""What recurrent layers share: checks, the products over all steps at once, and the derivative of a backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..state import enable_grad, is_grad_enabled
from .creation import asarray, full_like_, zeros
from .elementwise import where
from .index import take_, take_transpose
from .linalg import matmul
from .reduce import sum_
from .shape import concatenate_, flip_, identity, permute_, reshape_, stack_
from .slicing import getitem_
from .unary import tanh

__all__: list[str] = []

Array = Any
Arrays = tuple[Array, ...]
Source = tuple[Array, int] | None  # of what table a sequence is rows: which of them, and how many the table has


class Public:
    """What backward passes use of the array standard, in terms of public ops."""

    matmul, tanh, where = matmul, tanh, where

    @staticmethod
    def zeros_like(x: Any) -> Any:
        return full_like_(x, value=0.0, dtype=None, shape=None)

    @staticmethod
    def concat(xs: Any, axis: int) -> Any:
        return concatenate_(*xs, axis=axis)

    @staticmethod
    def stack(xs: Any, axis: int) -> Any:
        return stack_(*xs, axis=axis)

    @staticmethod
    def sum(x: Any, axis: int) -> Any:
        return sum_(x, axis=(axis,), keepdims=False)

    @staticmethod
    def reshape(x: Any, shape: tuple[int, ...]) -> Any:
        return reshape_(x, shape=shape)

    @staticmethod
    def permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
        return permute_(x, axes=axes)


def derivative(run: Callable[..., Arrays], g: Any, inputs: Arrays, need: tuple[bool, ...]) -> tuple[Any, ...]:
    """Cotangents of `inputs` from those of `run(Public, *inputs)`, by recording and differentiating it."""
    from ..transforms import gradients

    recorded = is_grad_enabled()
    with enable_grad():
        own = [identity(x) for x in inputs]  # nodes of their own: one tensor may be two of the inputs
        outs = run(Public, *own)
        wanted = [x for x, n in zip(own, need, strict=True) if n]
        found = iter(gradients(outs, wanted, g, create_graph=recorded))
    return tuple(next(found) if n else None for n in need)


def check(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, gates: int) -> None:
    """Shapes that belong together."""
    if x.ndim != 3 or h0.ndim != 2 or w_ih.ndim != 2 or w_hh.ndim != 2:
        raise ValueError("x (t, n, f), states (n, e), weights (gates·e, f) and (gates·e, e) are wanted")
    if not x.shape[0]:
        raise ValueError("the sequence has no steps")
    width = h0.shape[1]
    want = (
        ("h0", h0, (x.shape[1], width)), ("w_ih", w_ih, (gates * width, x.shape[2])),
        ("w_hh", w_hh, (gates * width, width)), ("b_ih", b_ih, (gates * width,)), ("b_hh", b_hh, (gates * width,)),
    )  # fmt: skip
    for name, array, shape in want:
        if tuple(array.shape) != shape:
            raise ValueError(f"{name} must have shape {shape} here, not {tuple(array.shape)}")


def products(x: Array, w_ih: Array, bias: Array, xp: Any) -> Array:
    """x·W_ihᵀ + bias for all steps, as one product. (t, n, f) -> (t, n, gates·e)."""
    t, n, features = x.shape
    rows = xp.matmul(xp.reshape(x, (t * n, features)), xp.permute_dims(w_ih, (1, 0))) + bias
    return xp.reshape(rows, (t, n, w_ih.shape[0]))


def parts(x: Array, count: int) -> list[Array]:
    """The gates, which lie side by side on the last axis."""
    width = x.shape[-1] // count
    return [x[..., i * width : (i + 1) * width] for i in range(count)]


def earlier(states: Array, first: Array, xp: Any) -> Array:
    """The states that the steps start from. (t, n, e), (n, e) -> (t, n, e)."""
    return xp.concat([first[None, ...], states[:-1, ...]], axis=0)


def weight_sum(g: Array, x: Array, xp: Any) -> Array:
    """Σ over steps and batch of gᵀ·x. (t, n, a), (t, n, b) -> (a, b)."""
    t, n, a = g.shape
    return xp.matmul(xp.permute_dims(xp.reshape(g, (t * n, a)), (1, 0)), xp.reshape(x, (t * n, x.shape[2])))


def total(g: Array, xp: Any) -> Array:
    """Σ over steps and batch. (t, n, a) -> (a)."""
    return xp.sum(xp.sum(g, axis=0), axis=0)


def times(g: Array, w: Array, xp: Any) -> Array:
    """g·W for all steps. (t, n, a), (a, b) -> (t, n, b)."""
    t, n, a = g.shape
    return xp.reshape(xp.matmul(xp.reshape(g, (t * n, a)), w), (t, n, w.shape[1]))


def by_row(found: Arrays, index: Array, rows: int, xp: Any) -> Arrays:
    """What a backward pass found, with the last, x's cotangent, added up by the row of the table that x is."""
    *rest, dx = found
    return *rest, take_transpose.forward(dx, index, axis=0, size=rows, xp=xp)


def each_row(g: Any, index: Any) -> tuple[Any, ...]:
    """The transpose of `by_row`."""
    *rest, over_table = g
    return *rest, take_(over_table, index, axis=0)


def biases(x: Any, width: int, b_ih: Any, b_hh: Any) -> tuple[Any, Any]:
    """The biases, zeros for None."""
    absent = None
    if b_ih is None or b_hh is None:
        absent = zeros(width, dtype=x.dtype, backend=x.backend)
    return absent if b_ih is None else b_ih, absent if b_hh is None else b_hh


class Order:
    """In which order a sequence is read: forwards or backwards, each sample as far as it goes.

    Parameters
    ----------
    shape : (t, n, …) of the sequence. lengths : the steps of each of the n samples; None for all t.
    reverse : whether the last step comes first.
    """

    def __init__(self, shape: tuple[int, ...], lengths: Any, reverse: bool) -> None:
        self.reverse, self.lengths = reverse, None
        self.t, self.n = shape[0], shape[1]
        if lengths is None:
            return
        values = np.asarray(lengths.numpy() if hasattr(lengths, "numpy") else lengths)
        if values.shape != (self.n,) or values.dtype.kind not in "iu":
            raise ValueError(f"lengths must be {self.n} integers, one a sample, not {values.dtype} {values.shape}")
        if self.n and not (values.min() >= 1 and values.max() <= self.t):
            raise ValueError(f"lengths must be from 1 to {self.t}, the steps of the sequence")
        self.lengths = values.astype(np.int64)

    def _rows(self, x: Any, step: Any) -> Any:
        """Row n of step[…, n] of x: (t, n, f), step: (…, n) -> (…, n, f)."""
        index = asarray(step * self.n + np.arange(self.n), backend=x.backend)
        return take_(reshape_(x, shape=(self.t * self.n, x.shape[2])), index, axis=0)

    def read(self, x: Any) -> Any:
        """The sequence in the order it is read in; the same again puts it back."""
        if not self.reverse:
            return x
        if self.lengths is None:
            return flip_(x, axes=(0,))
        step = np.arange(self.t)[:, None]
        return self._rows(x, np.where(step < self.lengths, self.lengths - 1 - step, step))

    def written(self, y: Any) -> Any:
        """The states of all steps in the sequence's own order, zeros after a sample's end."""
        if self.lengths is not None:
            inside = np.arange(self.t)[:, None, None] < self.lengths[:, None]
            y = where(asarray(inside, backend=y.backend), y, 0.0)
        return self.read(y)

    def last(self, states: Any) -> Any:
        """The states after each sample's last step: (t, n, e), in reading order -> (n, e)."""
        if self.lengths is None:
            return getitem_(states, index=(self.t - 1,))
        return self._rows(states, self.lengths - 1)
