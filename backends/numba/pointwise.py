"""Elementwise functions in one pass over memory, threaded, in whatever order the operands lie: activations.

A kernel is made from a function of single elements. Where NumPy has a fast function of its own, it runs below `SMALL`
elements. What NumPy computes as fast as a kernel on one thread is in `arithmetic.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .compile import Floats, Kernel, choose, jit, kernel
from .gaussian import erf as _erf
from .gaussian import gelu_and_slope, gelu_tanh_and_slope
from .layout import aligned_pair, empty_as, in_memory_order
from .mathematics import constant as c
from .mathematics import exp_below, expm1_below, log1p_unit
from .squashing import mish_parts, one_plus_exp, sigmoids
from .squashing import sigmoid as _sigmoid

Array = Any
SPAN = 16384  # elements of one task
SMALL = 2048


def named(fn: Callable[..., Any], name: str) -> Kernel:
    """A kernel whose name, by which its compiled code is found again, is not that of the template."""
    fn.__name__ = fn.__qualname__ = f"_{name}_span"
    return kernel(fn)


def unary(name: str, f: Any) -> Kernel:
    """out = f(x, p, q) for numbers p and q."""
    f = jit(f, "always")

    def span(x: Floats, out: Floats, p: float, q: float, task: int) -> None:
        for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
            out[i] = f(x[i], p, q)

    return named(span, name)


def binary(name: str, f: Any) -> Kernel:
    """out = f(u, x, p, q) for numbers p and q."""
    f = jit(f, "always")

    def span(u: Floats, x: Floats, out: Floats, p: float, q: float, task: int) -> None:
        for i in range(task * SPAN, min((task + 1) * SPAN, x.size)):
            out[i] = f(u[i], x[i], p, q)

    return named(span, name)


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
    return x / one_plus_exp(-x)


def _silu_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    s, other = sigmoids(x)
    return u * (s + s * x * other)


def _mish_at(x: Any, p: Any, q: Any) -> Any:
    product, _, d, _ = mish_parts(x)
    return product / d


def _mish_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    _, n, d, part = mish_parts(x)
    return u * (n / d + x * (part / (d * d)))


def _gelu_at(x: Any, p: Any, q: Any) -> Any:
    return gelu_and_slope(x)[0]


def _gelu_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    return u * gelu_and_slope(x)[1]


def _gelu_tanh_at(x: Any, p: Any, q: Any) -> Any:
    return gelu_tanh_and_slope(x)[0]


def _gelu_tanh_grad_at(u: Any, x: Any, p: Any, q: Any) -> Any:
    return u * gelu_tanh_and_slope(x)[1]


def _erf_at(x: Any, p: Any, q: Any) -> Any:
    return _erf(x)


def _tanh_grad_at(u: Any, y: Any, p: Any, q: Any) -> Any:
    return u * (c(1.0, y) - y * y)


_relu, _relu_grad = unary("relu", _relu_at), binary("relu_grad", _relu_grad_at)
_leaky_relu, _elu = unary("leaky_relu", _leaky_relu_at), unary("elu", _elu_at)
_leaky_relu_grad, _elu_grad = binary("leaky_relu_grad", _leaky_relu_grad_at), binary("elu_grad", _elu_grad_at)
_sigmoids, _sigmoid_grad = unary("sigmoid", _sigmoid_at), binary("sigmoid_grad", _sigmoid_grad_at)
_log_sigmoid, _softplus = unary("log_sigmoid", _log_sigmoid_at), unary("softplus", _softplus_at)
_softplus_grad = binary("softplus_grad", _softplus_grad_at)
_silu, _silu_grad = unary("silu", _silu_at), binary("silu_grad", _silu_grad_at)
_mish, _mish_grad = unary("mish", _mish_at), binary("mish_grad", _mish_grad_at)
_gelus = {"none": unary("gelu", _gelu_at), "tanh": unary("gelu_tanh", _gelu_tanh_at)}
_gelu_grads = {"none": binary("gelu_grad", _gelu_grad_at), "tanh": binary("gelu_tanh_grad", _gelu_tanh_grad_at)}
_erfs, _tanh_grad = unary("erf", _erf_at), binary("tanh_grad", _tanh_grad_at)


# ------------------------------------------------------------ ops


def map_unary(run: Kernel, x: Array, p: float = 0.0, q: float = 0.0) -> Array:
    """A function of one array; the result lies as it does."""
    source = in_memory_order(x)
    if source is None:
        source = x = np.array(x, order="C")
    out = empty_as(x)
    run(-(-x.size // SPAN), source, in_memory_order(out), p, q)
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


def mish(x: Array) -> Array:
    """x·t with t = tanh(softplus(x))."""
    return map_unary(_mish, x)


def mish_grad(u: Array, x: Array) -> Array:
    """u·(t + x·σ(x)·(1 − t²)); equal shapes."""
    return map_binary(_mish_grad, u, x)


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
