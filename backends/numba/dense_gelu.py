"""A dense layer with the GELU behind it: values and slopes in one pass, so that its gradient needs no exponential.

The pass is one of its own. As the end of the product, a panel's part at a time, it was slower: the result is written in
short pieces, and the memory of both results must come while nothing else is computed.
"""

from __future__ import annotations

from typing import Any

from .arithmetic import multiply
from .compile import Floats, Kernel, jit, kernel
from .gaussian import gelu_and_slope, gelu_tanh_and_slope
from .memory import empty
from .pointwise import SPAN
from .products import linear, linear_grad

Array = Any


def _at(u: Any) -> Any:
    return gelu_and_slope(u)


def _at_by_tanh(u: Any) -> Any:
    return gelu_tanh_and_slope(u)


def _span(name: str, f: Any) -> Kernel:
    f = jit(f)

    def span(u: Floats, y: Floats, task: int) -> None:
        """y = f(u), and f′(u) in the place of u."""
        for i in range(task * SPAN, min((task + 1) * SPAN, u.size)):
            value, slope = f(u[i])
            u[i] = slope
            y[i] = value

    span.__name__ = span.__qualname__ = name
    return kernel(span)


_RUNS = {"none": _span("_gelu_span", _at), "tanh": _span("_gelu_tanh_span", _at_by_tanh)}


def linear_gelu(x: Array, weight: Array, bias: Array, *, approximate: str) -> tuple[Array, Array]:
    """x: (…, k), weight: (n, k), bias: (n,) -> values and slopes of gelu at x·Wᵀ + b, both (…, n)."""
    u = linear(x, weight, bias)
    y = empty(u.shape, u.dtype)
    _RUNS[approximate](-(-u.size // SPAN), u, y)
    return y, u


def linear_gelu_grad(
    gy: Array, gslope: Array, slope: Array, x: Array, weight: Array, bias: Array, *, need_x: bool, approximate: str
) -> tuple[Array, ...]:  # fmt: skip
    """As `linear_grad`, with gy·slope; there is no cotangent of the slope."""
    return linear_grad(multiply(gy, slope), x, weight, need_x=need_x)
