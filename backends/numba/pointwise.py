"""Elementwise functions in one pass over memory, threaded, in whatever order the operands lie.

A kernel is made from a function of single elements. Where NumPy has a fast function of its own, it runs below `SMALL`
elements, or `sizes.LARGE` of them where it is as fast as a kernel on one thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import threads
from .broadcasting import combine, spread_pair
from .compile import Floats, Kernel, jit, kernel
from .gaussian import erf as _erf
from .gaussian import normal, normal_by_tanh
from .layout import aligned_pair, empty_as, in_memory_order
from .mathematics import FAR, choose, exp_below, expm1_below, log1p_unit
from .mathematics import constant as c
from .mathematics import cos as cosine
from .mathematics import exp as _exp
from .mathematics import expm1 as _expm1
from .mathematics import log as _log
from .mathematics import log1p as _log1p
from .mathematics import sigmoid as _sigmoid
from .mathematics import sin as sine
from .mathematics import tanh as _tanh
from .memory import empty
from .sums import larger

Array = Any
SPAN = 16384  # elements of one task
SMALL = 2048


def _named(fn: Callable[..., Any], name: str) -> Kernel:
    """A kernel whose name, by which its compiled code is found again, is not that of the template."""
    fn.__name__ = fn.__qualname__ = f"_{name}_span"
    return kernel(fn)


def _unary(name: str, f: Any) -> Kernel:
    """out = f(x, p, q) for numbers p and q."""
    f = jit(f, "always")

    def span(x: Floats, out: Floats, p: float, q: float, task: int) -> None:
        for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
            out[i] = f(x[i], p, q)

    return _named(span, name)


def _binary(name: str, f: Any) -> Kernel:
    """out = f(u, x, p, q) for numbers p and q."""
    f = jit(f, "always")

    def span(u: Floats, x: Floats, out: Floats, p: float, q: float, task: int) -> None:
        for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
            out[i] = f(u[i], x[i], p, q)

    return _named(span, name)


def _with_one(name: str, f: Any) -> Kernel:
    """out = f(x, y, 0, 0) for an array y of one element."""
    f = jit(f, "always")

    def span(x: Floats, y: Floats, out: Floats, task: int) -> None:
        one = y[0]
        for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
            out[i] = f(x[i], one, 0.0, 0.0)

    return _named(span, name)


# ------------------------------------------------------------ functions of single elements


def _relu_at(x: Any, p: Any, q: Any) -> Any:
    return choose(x <= c(0.0, x), c(0.0, x), x)


def _relu_grad_at(u: Any, y: Any, p: Any, q: Any) -> Any:
    return choose(y <= c(0.0, y), c(0.0, y), u)


def _leaky_relu_at(x: Any, p: Any, q: Any) -> Any:
    return choose(x > c(0.0, x), x, x * c(p, x))


def _leaky_relu_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    return choose(x > c(0.0, x), u, u * c(p, x))


def _elu_at(x: Any, p: Any, q: Any) -> Any:
    zero = c(0.0, x)
    return choose(x > zero, x, c(p, x) * expm1_below(choose(x > zero, zero, x)))


def _elu_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    zero = c(0.0, x)
    return choose(x > zero, u, u * (c(p, x) * exp_below(choose(x > zero, zero, x))))


def _sigmoid_at(x: Any, p: Any, q: Any) -> Any:
    return _sigmoid(x)


def _sigmoid_grad_at(u: Any, y: Any, p: Any, q: Any) -> Any:
    return u * (y * (c(1.0, y) - y))


def _log_sigmoid_at(x: Any, p: Any, q: Any) -> Any:
    return choose(x < c(0.0, x), x, c(0.0, x)) - log1p_unit(exp_below(-abs(x)))


def _softplus_at(x: Any, p: Any, q: Any) -> Any:
    s = x * c(p, x)
    smooth = choose(s > c(0.0, x), s, c(0.0, x)) + log1p_unit(exp_below(-abs(s)))
    return choose(s > c(q, x), x, smooth / c(p, x))


def _softplus_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    s = x * c(p, x)
    return choose(s > c(q, x), u, u * _sigmoid(s))


def _silu_at(x: Any, p: Any, q: Any) -> Any:
    return x * _sigmoid(x)


def _silu_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    s = _sigmoid(x)
    return u * (s * (c(1.0, x) + x * (c(1.0, x) - s)))


def _gelu_at(x: Any, p: Any, q: Any) -> Any:
    return x * normal(x)[0]


def _gelu_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    below, density = normal(x)
    return u * (below + x * density)


def _gelu_tanh_at(x: Any, p: Any, q: Any) -> Any:
    return x * normal_by_tanh(x)[0]


def _gelu_tanh_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    below, slope = normal_by_tanh(x)
    return u * (below * (c(1.0, x) + (c(1.0, x) - below) * x * slope))


def _erf_at(x: Any, p: Any, q: Any) -> Any:
    return _erf(x)


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


def _tanh_grad_at(u: Any, y: Any, p: Any, q: Any) -> Any:
    return u * (c(1.0, y) - y * y)


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


_relu, _relu_grad = _unary("relu", _relu_at), _binary("relu_grad", _relu_grad_at)
_leaky_relu, _elu = _unary("leaky_relu", _leaky_relu_at), _unary("elu", _elu_at)
_leaky_relu_grad, _elu_grad = _binary("leaky_relu_grad", _leaky_relu_grad_at), _binary("elu_grad", _elu_grad_at)
_sigmoids, _sigmoid_grad = _unary("sigmoid", _sigmoid_at), _binary("sigmoid_grad", _sigmoid_grad_at)
_log_sigmoid, _softplus = _unary("log_sigmoid", _log_sigmoid_at), _unary("softplus", _softplus_at)
_softplus_grad = _binary("softplus_grad", _softplus_grad_at)
_silu, _silu_grad = _unary("silu", _silu_at), _binary("silu_grad", _silu_grad_at)
_gelus = {"none": _unary("gelu", _gelu_at), "tanh": _unary("gelu_tanh", _gelu_tanh_at)}
_gelu_grads = {"none": _binary("gelu_grad", _gelu_grad_at), "tanh": _binary("gelu_tanh_grad", _gelu_tanh_grad_at)}
_erfs, _tanh_grad = _unary("erf", _erf_at), _binary("tanh_grad", _tanh_grad_at)


# ------------------------------------------------------------ ops


def map_unary(run: Kernel, x: Array, p: float = 0.0, q: float = 0.0) -> Array:
    """A function of one array; the result lies as it does."""
    source = in_memory_order(x)
    if source is None:
        source = x = np.array(x, order="C")
    out = empty_as(x)
    run(-(-x.size // SPAN), source, in_memory_order(out), p, q)
    return out


def _map_one(run: Kernel, x: Array, one: Array) -> Array:
    """A function of an array and a number in an array; the result lies as the former does."""
    source = in_memory_order(x)
    if source is None:
        source = x = np.array(x, order="C")
    out = empty_as(x)
    run(-(-x.size // SPAN), source, one, in_memory_order(out))
    return out


def map_binary(run: Kernel, u: Array, x: Array, p: float = 0.0, q: float = 0.0, *more: float) -> Array:
    """A function of two arrays of one shape; the result lies as x does."""
    u, x, out = aligned_pair(u, x)
    run(-(-x.size // SPAN), u, x, in_memory_order(out), p, q, *more)
    return out


def relu(x: Array) -> Array:
    """max(x, 0) of any shape and memory order; the result lies as x does."""
    return np.maximum(x, 0) if x.size < SMALL else map_unary(_relu, x)


def relu_grad(u: Array, y: Array) -> Array:
    """u where y > 0, else 0; equal shapes."""
    return np.where(y <= 0, y.dtype.type(0), u) if y.size < SMALL else passed(u, y)


def passed(u: Array, y: Array) -> Array:
    """`relu_grad` by a kernel for any size: within an op that is otherwise launches, and so can be replayed."""
    return map_binary(_relu_grad, u, y)


def leaky_relu(x: Array, *, negative_slope: float) -> Array:
    """x where x > 0, else negative_slope·x."""
    return map_unary(_leaky_relu, x, negative_slope)


def leaky_relu_grad(u: Array, x: Array, *, negative_slope: float) -> Array:
    """u where x > 0, else negative_slope·u; equal shapes."""
    return map_binary(_leaky_relu_grad, u, x, negative_slope)


def elu(x: Array, *, alpha: float) -> Array:
    """x where x > 0, else α·(eˣ − 1)."""
    return map_unary(_elu, x, alpha)


def elu_grad(u: Array, x: Array, *, alpha: float) -> Array:
    """u where x > 0, else u·α·eˣ; equal shapes."""
    return map_binary(_elu_grad, u, x, alpha)


def sigmoid(x: Array) -> Array:
    """1/(1 + e⁻ˣ)."""
    return map_unary(_sigmoids, x)


def sigmoid_grad(u: Array, y: Array) -> Array:
    """u·y·(1 − y); equal shapes."""
    return u * (y * (1 - y)) if y.size < SMALL else map_binary(_sigmoid_grad, u, y)


def log_sigmoid(x: Array) -> Array:
    """min(x, 0) − log(1 + e^−|x|)."""
    return map_unary(_log_sigmoid, x)


def softplus(x: Array, *, beta: float, threshold: float) -> Array:
    """log(1 + e^(βx))/β, and x where βx > threshold."""
    return map_unary(_softplus, x, beta, threshold)


def softplus_grad(u: Array, x: Array, *, beta: float, threshold: float) -> Array:
    """u·σ(βx), and u where βx > threshold; equal shapes."""
    return map_binary(_softplus_grad, u, x, beta, threshold)


def silu(x: Array) -> Array:
    """x·σ(x)."""
    return map_unary(_silu, x)


def silu_grad(u: Array, x: Array) -> Array:
    """u·s·(1 + x·(1 − s)) with s = σ(x); equal shapes."""
    return map_binary(_silu_grad, u, x)


def gelu(x: Array, *, approximate: str) -> Array:
    """x·Φ(x)."""
    return map_unary(_gelus[approximate], x)


def gelu_grad(u: Array, x: Array, *, approximate: str) -> Array:
    """u·(Φ(x) + x·Φ′(x)); equal shapes."""
    return map_binary(_gelu_grads[approximate], u, x)


def erf(x: Array) -> Array:
    """Error function."""
    return map_unary(_erfs, x)


def tanh_grad(u: Array, y: Array) -> Array:
    """u·(1 − y²); equal shapes."""
    return u * (1 - y * y) if y.size < SMALL else map_binary(_tanh_grad, u, y)


# ------------------------------------------------------------ what NumPy is fast at: these get large arrays alone

_FLOATS = frozenset((np.dtype(np.float32), np.dtype(np.float64)))


def _large(ufunc: Any, f: Any) -> Callable[[Array], Array]:
    run = _unary(ufunc.__name__, f)

    def op(x: Array) -> Array:
        return ufunc(x) if x.dtype not in _FLOATS or threads.forked() else map_unary(run, x)

    op.__doc__ = f"{ufunc.__name__} of every element."
    return op


def _large_pair(ufunc: Any, f: Any) -> Callable[[Array, Any], Array]:
    name = ufunc.__name__
    run, run_one = _binary(name, f), _with_one(f"{name}_number", f)
    spread, spread_back = spread_pair(name, f), spread_pair(f"{name}_reversed", f, reverse=True)

    def op(x: Array, y: Any) -> Array:
        if x.dtype not in _FLOATS or threads.forked():
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
_cubes, _rsqrts = _unary("cube", _cube_at), _unary("rsqrt", _rsqrt_at)


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

    run = _named(span, ufunc.__name__)

    def op(x: Array) -> Array:
        return ufunc(x) if x.dtype not in _FLOATS or threads.forked() else map_unary(run, x)

    op.__doc__ = f"{ufunc.__name__} of every element."
    return op


sin, cos = _circular(np.sin, sine, math.sin), _circular(np.cos, cosine, math.cos)


def rsqrt(x: Array) -> Array:
    """1/√x."""
    return np.reciprocal(np.sqrt(x)) if x.dtype not in _FLOATS or threads.forked() else map_unary(_rsqrts, x)


#: Exponents for which a power is a few operations, each rounded once.
_POWERS: dict[float, Callable[[Array], Array]] = {
    2.0: square, 3.0: lambda x: map_unary(_cubes, x), 0.5: sqrt, -1.0: reciprocal, -0.5: rsqrt,
    -2.0: lambda x: reciprocal(square(x)),
}  # fmt: skip


def power(x: Array, y: Any) -> Array:
    """xʸ; they broadcast."""
    simple = _POWERS.get(y) if type(y) in (int, float) and x.dtype in _FLOATS and not threads.forked() else None
    return x**y if simple is None else simple(x)
