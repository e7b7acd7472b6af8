"""Rows of `autograd/ops/activation.py` and `activation_more.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from ...autograd import ops
from ...autograd.ops import activation, activation_more
from ..case import Edge, OpCase, nonzero, real, unit

INF, NAN = np.inf, np.nan
_NORM = np.sqrt(2 * np.pi)
Array = np.ndarray[Any, Any]


def _cdf(x: Array) -> Array:
    return 0.5 * (1 + special.erf(x / np.sqrt(2)))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _gelu_tanh_slope(x: Array) -> Array:
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)


def gelu_reference(x: Array, approximate: str) -> Array:
    """x·Φ(x)."""
    return x * _cdf(x) if approximate == "none" else _gelu_tanh(x)


def gelu_slope_reference(x: Array, approximate: str) -> Array:
    """Its derivative."""
    return _cdf(x) + x * np.exp(-x * x / 2) / _NORM if approximate == "none" else _gelu_tanh_slope(x)


def gelu_curve_reference(x: Array, approximate: str) -> Array:
    """Its second derivative; of the tanh form by v = c·(x + a·x³): y″ of y = x·(1 + tanh v)/2."""
    if approximate == "none":
        return np.exp(-x * x / 2) / _NORM * (2 - x * x)
    c, a = np.sqrt(2 / np.pi), 0.044715
    v, first, second = c * (x + a * x**3), c * (1 + 3 * a * x**2), 6 * a * c * x
    sech2 = 1 / np.cosh(v) ** 2
    return sech2 * (first + x * second / 2 - x * np.tanh(v) * first**2)


def _silu_slope(x: Array) -> Array:
    s = special.expit(x)
    return s + x * s * (1 - s)


def _mish_slope(x: Array) -> Array:
    t = np.tanh(_softplus(x))
    return t + x * special.expit(x) * (1 - t * t)


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


CASES: list[OpCase] = [
    OpCase(ops.relu, [nonzero(3, 4)], lambda x: np.maximum(x, 0),
           edges=[Edge([-1.0, 0.0, 1.0, NAN], out=[0.0, 0.0, 1.0, NAN], grads=[[0.0, 0.0, 1.0, 1.0]])]),
    OpCase(activation.relu_grad, [real(3, 4), nonzero(3, 4)], lambda u, y: np.where(y > 0, u, 0)),
    OpCase(ops.leaky_relu, [nonzero(3, 4)], lambda x: np.where(x > 0, x, 0.01 * x),
           edges=[Edge([0.0], out=[0.0], grads=[[0.01]])]),
    OpCase(ops.leaky_relu, [nonzero(3, 4)], lambda x: np.where(x > 0, x, 0.2 * x), params={"negative_slope": 0.2},
           label="steep"),
    OpCase(activation.leaky_relu_grad, [real(3, 4), nonzero(3, 4)], lambda u, x: np.where(x > 0, u, 0.2 * u),
           params={"negative_slope": 0.2}),
    OpCase(ops.elu, [nonzero(3, 4)], lambda x: np.where(x > 0, x, np.expm1(x)),
           edges=[Edge([0.0, -INF, 1000.0], out=[0.0, -1.0, 1000.0], grads=[[1.0, 0.0, 1.0]])]),
    OpCase(ops.elu, [nonzero(3, 4)], lambda x: np.where(x > 0, x, 0.5 * np.expm1(x)), params={"alpha": 0.5},
           label="alpha",
           edges=[Edge([0.0], out=[0.0], grads=[[0.5]])]),
    OpCase(activation.elu_grad, [real(3, 4), nonzero(3, 4)], lambda u, x: np.where(x > 0, u, 0.5 * u * np.exp(x)),
           params={"alpha": 0.5}),
    OpCase(activation.elu_curve, [real(3, 4), nonzero(3, 4)], lambda u, x: np.where(x > 0, 0, 0.5 * u * np.exp(x)),
           params={"alpha": 0.5}),
    OpCase(ops.sigmoid, [real(3, 4)], special.expit,
           edges=[Edge([-1000.0, 0.0, 1000.0, -INF, INF], out=[0.0, 0.5, 1.0, 0.0, 1.0],
                  grads=[[0.0, 0.25, 0.0, 0.0, 0.0]])]),
    OpCase(ops.sigmoid, [real(5, 7, scale=20.0)], special.expit, label="tails", atol=0.0),
    OpCase(activation.sigmoid_grad, [real(3, 4), unit(3, 4)], lambda u, y: u * y * (1 - y)),
    OpCase(ops.log_sigmoid, [real(3, 4)], special.log_expit,
           edges=[Edge([-1000.0, 0.0, 1000.0], out=[-1000.0, -np.log(2), 0.0], grads=[[1.0, 0.5, 0.0]])]),
    OpCase(ops.log_sigmoid, [real(5, 7, scale=20.0)], special.log_expit, label="tails", atol=0.0),
    OpCase(ops.softplus, [real(3, 4)], _softplus,
           edges=[Edge([-1000.0, 0.0, 20.0, 1000.0], out=[0.0, np.log(2), 20.0, 1000.0],
                  grads=[[0.0, 0.5, 1.0, 1.0]])]),
    OpCase(ops.softplus, [real(3, 4)], lambda x: np.where(2 * x > 1, x, _softplus(2 * x) / 2),
           params={"beta": 2.0, "threshold": 1.0}, label="beta"),
    OpCase(activation.softplus_grad, [real(3, 4), real(3, 4)],
           lambda u, x: np.where(2 * x > 1, u, u * special.expit(2 * x)),
           params={"beta": 2.0, "threshold": 1.0}),
    OpCase(ops.silu, [real(3, 4)], lambda x: x * special.expit(x),
           edges=[Edge([-1000.0, 0.0, 1000.0], out=[0.0, 0.0, 1000.0], grads=[[0.0, 0.5, 1.0]])]),
    OpCase(activation.silu_grad, [real(3, 4), real(3, 4)], lambda u, x: u * _silu_slope(x)),
    OpCase(ops.mish, [real(3, 4)], lambda x: x * np.tanh(_softplus(x)),
           edges=[Edge([-1000.0, 0.0, 1000.0], out=[0.0, 0.0, 1000.0], grads=[[0.0, 0.6, 1.0]])]),
    OpCase(activation_more.mish_grad, [real(3, 4), real(3, 4)], lambda u, x: u * _mish_slope(x)),
    OpCase(ops.gelu, [real(3, 4)], lambda x: x * _cdf(x),
           edges=[Edge([-50.0, 0.0, 50.0], out=[0.0, 0.0, 50.0], grads=[[0.0, 0.5, 1.0]])]),
    OpCase(ops.gelu, [real(3, 4)], _gelu_tanh, params={"approximate": "tanh"}, label="tanh",
           edges=[Edge([-50.0, 0.0, 50.0], out=[0.0, 0.0, 50.0], grads=[[0.0, 0.5, 1.0]])]),
    OpCase(activation.gelu_grad, [real(3, 4), real(3, 4)], lambda u, x: u * (_cdf(x) + x * np.exp(-x * x / 2) / _NORM),
           params={"approximate": "none"}),
    OpCase(activation.gelu_grad, [real(3, 4), real(3, 4)], lambda u, x: u * _gelu_tanh_slope(x),
           params={"approximate": "tanh"}, label="tanh"),
    OpCase(activation_more.hardtanh_, [nonzero(3, 4)], lambda x: np.clip(x, -0.1, 0.9),
           params={"low": -0.1, "high": 0.9},
           edges=[Edge([-1.0, -0.1, 0.5, 0.9, NAN], out=[-0.1, -0.1, 0.5, 0.9, NAN],
                       grads=[[0.0, 0.0, 1.0, 0.0, 1.0]])]),
    OpCase(activation_more.hardtanh_grad, [real(3, 7), nonzero(3, 7)], lambda u, x: np.where(abs(x) < 0.05, 2 * u, 0),
           params={"low": -0.05, "high": 0.05, "slope": 2.0}),
    OpCase(ops.hardsigmoid, [real(5, 7, scale=4.0)], lambda x: np.clip(x + 3, 0, 6) / 6,
           edges=[Edge([-4.0, -3.0, 0.0, 3.0, NAN], out=[0.0, 0.0, 0.5, 1.0, NAN],
                       grads=[[0.0, 0.0, 1.0 / 6.0, 0.0, 1.0 / 6.0]])]),
    OpCase(ops.hardswish, [real(5, 7, scale=4.0)], lambda x: x * np.clip(x + 3, 0, 6) / 6,
           edges=[Edge([-4.0, -3.0, 0.0, 3.0, 5.0], out=[0.0, 0.0, 0.0, 3.0, 5.0],
                       grads=[[0.0, 0.0, 0.5, 1.0, 1.0]])]),
    OpCase(activation_more.hardswish_grad, [real(5, 7), real(5, 7, scale=4.0)],
           lambda u, x: u * np.where(x <= -3, 0, np.where(x >= 3, 1, (2 * x + 3) / 6))),
]  # fmt: skip
