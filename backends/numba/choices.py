"""Elementwise choices, and functions of pieces of straight lines, threaded: where, extrema, clipping, dtypes.

Arrays are taken in whatever order they lie in, if all lie alike; otherwise NumPy computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import numpy as by_numpy
from .. import threads
from .compile import Bytes, Doubles, Floats, choose, kernel
from .guards import FLOATS, has_kernels
from .layout import empty_as, in_memory_order
from .mathematics import constant as c
from .pointwise import SPAN, binary, map_binary, map_unary, unary

Array = Any


def _lie_alike(x: Array, *others: Array) -> bool:
    """Whether arrays of one shape have their elements in one order, without gaps, whatever their size."""
    steps = [step // x.itemsize for step in x.strides]
    return in_memory_order(x) is not None and all(
        a.shape == x.shape and a.flags.aligned and [step // a.itemsize for step in a.strides] == steps for a in others
    )


def _tasks(x: Array) -> int:
    return -(-int(x.size) // SPAN)


# ------------------------------------------------------------ where


@kernel
def _where_span(condition: Bytes, x: Floats, y: Floats, out: Floats, task: int) -> None:
    """x or y may be one number for all."""
    start, stop = task * SPAN, min((task + 1) * SPAN, out.size)
    if x.size == out.size and y.size == out.size:
        for i in range(start, stop):
            out[i] = choose(condition[i] != 0, x[i], y[i])
    elif x.size == out.size:
        one = y[0]
        for i in range(start, stop):
            out[i] = choose(condition[i] != 0, x[i], one)
    else:
        other = x[0]
        for i in range(start, stop):
            out[i] = choose(condition[i] != 0, other, y[i])


def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, else y."""
    whole = x if type(x) is np.ndarray and x.ndim else y
    if type(whole) is not np.ndarray or condition.dtype != bool or not has_kernels(whole):
        return by_numpy.where(condition, x, y)
    sources = []
    for a in (x, y):
        if type(a) is np.ndarray and a.ndim:
            if a.dtype != whole.dtype or not _lie_alike(whole, a):
                return by_numpy.where(condition, x, y)
            sources.append(in_memory_order(a))
        elif type(a) in (int, float) or (type(a) is np.ndarray and a.dtype == whole.dtype):
            sources.append(np.array([a], whole.dtype) if type(a) is not np.ndarray else a.reshape(1))
        else:
            return by_numpy.where(condition, x, y)
    if not _lie_alike(whole, condition) or whole.size < 2:
        return by_numpy.where(condition, x, y)
    out, mask = empty_as(whole), in_memory_order(condition)
    assert mask is not None
    _where_span(_tasks(whole), mask.view(np.int8), *sources, in_memory_order(out))
    return out


# ------------------------------------------------------------ shares of a cotangent


@kernel
def _larger_share_span(u: Floats, x: Floats, y: Floats, out: Floats, task: int) -> None:
    """y may be one number for all."""
    zero, half = u.dtype.type(0), u.dtype.type(0.5)
    start, stop = task * SPAN, min((task + 1) * SPAN, out.size)
    if y.size == out.size:
        for i in range(start, stop):
            a, b, c = u[i], x[i], y[i]
            out[i] = choose(b < c, zero, choose(b == c, half * a, a))
    else:
        one = y[0]
        for i in range(start, stop):
            a, b = u[i], x[i]
            out[i] = choose(b < one, zero, choose(b == one, half * a, a))


def larger_share(u: Array, x: Array, y: Array) -> Array:
    """u where x > y, u/2 where they are equal, else 0. y may be a number."""
    if type(y) is not np.ndarray or y.shape != x.shape:
        u, x = _alike(u, x)
        other: Array | None = np.array([y], x.dtype) if type(y) is not np.ndarray else y.reshape(1)
    else:
        x, y = _alike(x, y)
        u, x = _alike(u, x)
        other = in_memory_order(y)
    out = empty_as(x)
    _larger_share_span(_tasks(x), in_memory_order(u), in_memory_order(x), other, in_memory_order(out))
    return out


def _alike(x: Array, y: Array) -> tuple[Array, Array]:
    """Two arrays of one shape, copied where they must be to lie alike, as y does if it can."""
    if in_memory_order(y) is None:
        y = np.array(y, order="C")
    if x.strides != y.strides or not x.flags.aligned:
        copy = empty_as(y)
        np.copyto(copy, x)
        x = copy
    return x, y


# ------------------------------------------------------------ pieces of straight lines


def _hardtanh_at(x: Any, low: Any, high: Any) -> Any:
    a, b = c(low, x), c(high, x)
    v = choose(x < a, a, x)
    return choose(v > b, b, v)


def _hardsigmoid_at(x: Any, p: Any, q: Any) -> Any:
    zero, six = c(0.0, x), c(6.0, x)
    t = x + c(3.0, x)
    t = choose(t < zero, zero, t)
    return choose(t > six, six, t) / six


def _hardswish_at(x: Any, p: Any, q: Any) -> Any:
    zero, six = c(0.0, x), c(6.0, x)
    t = x + c(3.0, x)
    t = choose(t < zero, zero, t)
    return x * choose(t > six, six, t) / six


def _hardswish_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    zero, three = c(0.0, x), c(3.0, x)
    inside = u * ((x + x + three) / c(6.0, x))
    return choose(x <= -three, zero, choose(x >= three, u, inside))


_hardtanh, _hardsigmoid = unary("hardtanh", _hardtanh_at), unary("hardsigmoid", _hardsigmoid_at)
_hardswish, _hardswish_grad = unary("hardswish", _hardswish_at), binary("hardswish_grad", _hardswish_grad_at)


@kernel
def _hardtanh_grad_span(u: Floats, x: Floats, out: Floats, low: float, high: float, slope: float, task: int) -> None:
    a, b, s, zero = x.dtype.type(low), x.dtype.type(high), x.dtype.type(slope), x.dtype.type(0)
    for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
        v, w = x[i], u[i]
        out[i] = choose((v <= a) | (v >= b), zero, s * w)


def hardtanh(x: Array, *, low: float, high: float) -> Array:
    """x limited to [low, high]."""
    return map_unary(_hardtanh, x, low, high)


def hardtanh_grad(u: Array, x: Array, *, low: float, high: float, slope: float) -> Array:
    """slope·u where low < x < high, else 0; equal shapes."""
    return map_binary(_hardtanh_grad_span, u, x, low, high, slope)


def hardsigmoid(x: Array) -> Array:
    """min(max(x + 3, 0), 6)/6."""
    return map_unary(_hardsigmoid, x)


def hardswish(x: Array) -> Array:
    """x·min(max(x + 3, 0), 6)/6."""
    return map_unary(_hardswish, x)


def hardswish_grad(u: Array, x: Array) -> Array:
    """0 where x <= −3, u where x >= 3, u·(2x + 3)/6 between; equal shapes."""
    return map_binary(_hardswish_grad, u, x)


def clip(x: Array, *, min: float | None, max: float | None) -> Array:
    """x limited to [min, max], either of which may be None."""
    low, high = -np.inf if min is None else min, np.inf if max is None else max
    return map_unary(_hardtanh, x, low, high)


# ------------------------------------------------------------ dtypes


@kernel
def _widen_span(x: Floats, out: Doubles, task: int) -> None:
    for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
        out[i] = x[i]


@kernel
def _narrow_span(x: Doubles, out: Floats, task: int) -> None:
    for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
        out[i] = x[i]


def astype(x: Array, *, dtype: str) -> Array:
    """Single to double precision, and back; what else there is, by NumPy."""
    target = np.dtype(dtype)
    source = in_memory_order(x) if {x.dtype, target} == FLOATS and not threads.forked() else None
    if source is None:
        return x.astype(target)
    like = np.empty(0, target)
    steps = [step // x.itemsize * target.itemsize for step in x.strides]
    out = empty_as(np.lib.stride_tricks.as_strided(like, x.shape, steps))
    (_widen_span if x.dtype == np.float32 else _narrow_span)(_tasks(x), source, in_memory_order(out))
    return out
