"""Arithmetic and the functions that NumPy computes as fast as a kernel on one thread: kernels for large arrays alone.

`sizes.py` sends small ones to NumPy. What is not of one floating dtype, or broadcasts in a way that no kernel knows,
NumPy computes here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .broadcasting import combine, spread_pair
from .compile import Floats, Kernel, choose, jit, kernel
from .guards import has_kernels
from .layout import empty_as, in_memory_order
from .mathematics import FAR
from .mathematics import constant as c
from .mathematics import cos as cosine
from .mathematics import exp as _exp
from .mathematics import expm1 as _expm1
from .mathematics import log as _log
from .mathematics import log1p as _log1p
from .mathematics import sin as sine
from .memory import empty
from .pointwise import SMALL, SPAN, binary, map_binary, map_unary, named, unary
from .squashing import tanh as _tanh
from .sums import larger

Array = Any


def _with_one(name: str, f: Any) -> Kernel:
    """out = f(x, y, 0, 0) for an array y of one element."""
    f = jit(f, "always")

    def span(x: Floats, y: Floats, out: Floats, task: int) -> None:
        one = y[0]
        for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
            out[i] = f(x[i], one, 0.0, 0.0)

    return named(span, name)


# ------------------------------------------------------------ functions of single elements


def _exp_at(x: Any, p: Any, q: Any) -> Any:
    return _exp(x)


def _log_at(x: Any, p: Any, q: Any) -> Any:
    return _log(x)


def _tanh_at(x: Any, p: Any, q: Any) -> Any:
    return _tanh(x)


def _expm1_at(x: Any, p: Any, q: Any) -> Any:
    return _expm1(x)


def _log1p_at(x: Any, p: Any, q: Any) -> Any:
    return _log1p(x)


def _sqrt_at(x: Any, p: Any, q: Any) -> Any:
    return np.sqrt(x)


def _negative_at(x: Any, p: Any, q: Any) -> Any:
    return -x


def _add_at(x: Any, y: Any, p: Any, q: Any) -> Any:
    return x + y


def _subtract_at(x: Any, y: Any, p: Any, q: Any) -> Any:
    return x - y


def _multiply_at(x: Any, y: Any, p: Any, q: Any) -> Any:
    return x * y


def _divide_at(x: Any, y: Any, p: Any, q: Any) -> Any:
    return x / y


def _maximum_at(x: Any, y: Any, p: Any, q: Any) -> Any:
    return choose((x > y) | (x != x), x, y)


def _minimum_at(x: Any, y: Any, p: Any, q: Any) -> Any:
    return choose((x < y) | (x != x), x, y)


def _abs_at(x: Any, p: Any, q: Any) -> Any:
    return abs(x)


def _sign_at(x: Any, p: Any, q: Any) -> Any:
    zero, one = c(0.0, x), c(1.0, x)
    return choose(x > zero, one, choose(x < zero, -one, choose(x == zero, zero, x)))


def _square_at(x: Any, p: Any, q: Any) -> Any:
    return x * x


def _rsqrt_at(x: Any, p: Any, q: Any) -> Any:
    return c(1.0, x) / np.sqrt(x)


def _reciprocal_at(x: Any, p: Any, q: Any) -> Any:
    return c(1.0, x) / x


def _cube_at(x: Any, p: Any, q: Any) -> Any:
    return x * x * x


# ------------------------------------------------------------ ops


def _map_one(run: Kernel, x: Array, one: Array) -> Array:
    """A function of an array and a number in an array; the result lies as the former does."""
    source = in_memory_order(x)
    if source is None:
        source = x = np.array(x, order="C")
    out = empty_as(x)
    run(-(-x.size // SPAN), source, one, in_memory_order(out))
    return out


def _large(ufunc: Any, f: Any) -> Callable[[Array], Array]:
    run = unary(ufunc.__name__, f)

    def op(x: Array) -> Array:
        return ufunc(x) if not has_kernels(x) else map_unary(run, x)

    op.__doc__ = f"{ufunc.__name__} of every element."
    return op


def _large_pair(ufunc: Any, f: Any) -> Callable[[Array, Any], Array]:
    name = ufunc.__name__
    run, run_one = binary(name, f), _with_one(f"{name}_number", f)
    spread, spread_back = spread_pair(name, f), spread_pair(f"{name}_reversed", f, reverse=True)

    def op(x: Array, y: Any) -> Array:
        if not has_kernels(x):
            return ufunc(x, y)
        if type(y) is float or type(y) is int:
            return _map_one(run_one, x, np.array([y], x.dtype))
        if type(y) is not np.ndarray or y.dtype != x.dtype:
            return ufunc(x, y)
        if y.shape == x.shape:
            if not any(y.strides):  # one number that was broadcast: the cotangent of a sum or a mean
                return _map_one(run_one, x, y[(slice(0, 1),) * y.ndim])
            if not any(x.strides) and ufunc in (np.add, np.multiply):
                return _map_one(run_one, y, x[(slice(0, 1),) * x.ndim])
            return map_binary(run, x, y)
        whole_shape = np.broadcast_shapes(x.shape, y.shape)
        if whole_shape in (x.shape, y.shape):
            out = combine(spread, x, y) if whole_shape == x.shape else combine(spread_back, y, x)
            if out is not None:
                return out
        if whole_shape == x.shape and in_memory_order(x) is not None:
            return ufunc(x, y, out=empty_as(x))
        return ufunc(x, y, out=empty(whole_shape, x.dtype))

    op.__doc__ = f"{ufunc.__name__} of two arrays, or of an array and a number; they broadcast."
    return op


exp, log, tanh = _large(np.exp, _exp_at), _large(np.log, _log_at), _large(np.tanh, _tanh_at)
expm1, log1p = _large(np.expm1, _expm1_at), _large(np.log1p, _log1p_at)
sqrt, negative = _large(np.sqrt, _sqrt_at), _large(np.negative, _negative_at)
add, subtract = _large_pair(np.add, _add_at), _large_pair(np.subtract, _subtract_at)
multiply, divide = _large_pair(np.multiply, _multiply_at), _large_pair(np.true_divide, _divide_at)
maximum, minimum = _large_pair(np.maximum, _maximum_at), _large_pair(np.minimum, _minimum_at)
abs_, sign = _large(np.abs, _abs_at), _large(np.sign, _sign_at)
square, reciprocal = _large(np.square, _square_at), _large(np.reciprocal, _reciprocal_at)
_cubes, _rsqrts = unary("cube", _cube_at), unary("rsqrt", _rsqrt_at)


@kernel
def _divide_grad_span(u: Floats, q: Floats, y: Floats, out: Floats, task: int) -> None:
    for i in range(task * SPAN, min((task + 1) * SPAN, y.size)):
        out[i] = -(u[i] * q[i]) / y[i]


def divide_grad(u: Array, q: Array, y: Array) -> Array:
    """−u·q/y; equal shapes."""
    if y.size < SMALL or not u.strides == q.strides == y.strides:
        return -(u * q) / y
    sources = [in_memory_order(a) for a in (u, q, y)]
    if any(a is None for a in sources):
        return -(u * q) / y
    out = empty_as(y)
    _divide_grad_span(-(-y.size // SPAN), *sources, in_memory_order(out))
    return out


def _circular(ufunc: Any, vector: Any, exact: Any) -> Callable[[Array], Array]:
    """Sine or cosine: vectors, and element by element for what is too far from 0."""

    def span(x: Floats, out: Floats, p: float, q: float, task: int) -> None:
        start, stop = task * SPAN, min((task + 1) * SPAN, x.size)
        most, top = x.dtype.type(FAR), x.dtype.type(0)
        for i in range(start, stop):
            v = x[i]
            top = larger(choose(abs(v) <= most, abs(v), most + most), top)
            out[i] = vector(v)
        if top > most:
            for i in range(start, stop):
                if not (abs(x[i]) <= most):
                    out[i] = exact(np.float64(x[i]))

    run = named(span, ufunc.__name__)

    def op(x: Array) -> Array:
        return ufunc(x) if not has_kernels(x) else map_unary(run, x)

    op.__doc__ = f"{ufunc.__name__} of every element."
    return op


sin, cos = _circular(np.sin, sine, math.sin), _circular(np.cos, cosine, math.cos)


def rsqrt(x: Array) -> Array:
    """1/√x."""
    return np.reciprocal(np.sqrt(x)) if not has_kernels(x) else map_unary(_rsqrts, x)


#: Exponents for which a power is a few operations, each rounded once.
_POWERS: dict[float, Callable[[Array], Array]] = {
    2.0: square, 3.0: lambda x: map_unary(_cubes, x), 0.5: sqrt, -1.0: reciprocal, -0.5: rsqrt,
    -2.0: lambda x: reciprocal(square(x)),
}  # fmt: skip


def power(x: Array, y: Any) -> Array:
    """xʸ; they broadcast."""
    simple = _POWERS.get(y) if type(y) in (int, float) and has_kernels(x) else None
    return x**y if simple is None else simple(x)


def _square_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    return u * (x + x)


def _cube_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    return u * (c(3.0, x) * (x * x))


_POWER_GRADS = {2.0: binary("square_grad", _square_grad_at), 3.0: binary("cube_grad", _cube_grad_at)}


def power_grad(u: Array, x: Array, *, y: float) -> Array:
    """u·y·x^(y−1); equal shapes."""
    if x.size < SMALL:
        return u * (x * 2 if y == 2 else y * x ** (y - 1))
    run = _POWER_GRADS.get(y)
    return multiply(u, multiply(power(x, y - 1), y)) if run is None else map_binary(run, u, x)
