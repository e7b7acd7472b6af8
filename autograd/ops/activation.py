"""Activation functions of neural networks, elementwise.

Most have a named op for their cotangent (`gelu_grad`, ...), differentiable like any other, so that a backend can
compute it in one pass over memory. All take floating arrays; integers are cast to the default float dtype first.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .elementwise import where
from .unary import exp, tanh

__all__ = ["elu", "gelu", "leaky_relu", "log_sigmoid", "relu", "sigmoid", "silu", "softplus"]

Array = Any


# ------------------------------------------------------------------ relu and its kin


@primitive(elementwise=True)
def relu(x: Array, /, *, xp: Any) -> Array:
    """Rectifier max(x, 0), of any real dtype. ∂x = g where x > 0, else 0: also at 0.

    Nair & Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.
    """
    return xp.maximum(x, 0)


@primitive(elementwise=True)
def relu_grad(u: Array, y: Array, /, *, xp: Any) -> Array:
    """Cotangent of relu's input from that of its result y: u where y > 0, else 0. ∂u alike; ∂y is 0."""
    return xp.masked(xp.logical_not(y <= 0), u)


relu.vjp(x=lambda g, out: relu_grad(g, out))
relu_grad.vjp(u=lambda g, y: relu_grad(g, y))


@primitive(elementwise=True, floating=True)
def leaky_relu(x: Array, /, *, negative_slope: float = 0.01, xp: Any) -> Array:
    """Leaky rectifier: x where x > 0, else negative_slope·x. ∂x = g where x > 0, else negative_slope·g: also at 0.

    Maas, Hannun & Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
    """
    if 0 < negative_slope <= 1:  # the larger of both, without a choice per element
        return xp.maximum(x, x * negative_slope)
    return xp.where(x > 0, x, x * negative_slope)


@primitive(elementwise=True)
def leaky_relu_grad(u: Array, x: Array, /, *, negative_slope: float, xp: Any) -> Array:
    """Cotangent of leaky_relu's input x: u where x > 0, else negative_slope·u. ∂u alike; ∂x is 0."""
    return _either(xp, x > 0, u, u * negative_slope)


def _either(xp: Any, mask: Array, x: Array, y: Array) -> Array:
    """The values of x where the mask holds, else y: two maskings are quicker than a choice where masks are random."""
    return xp.masked(mask, x) + xp.masked(xp.logical_not(mask), y)


leaky_relu.vjp(x=lambda g, x, negative_slope: leaky_relu_grad(g, x, negative_slope=negative_slope))
leaky_relu_grad.vjp(u=lambda g, x, negative_slope: leaky_relu_grad(g, x, negative_slope=negative_slope))


@primitive(elementwise=True, floating=True)
def elu(x: Array, /, *, alpha: float = 1.0, xp: Any) -> Array:
    """Exponential linear unit: x where x > 0, else α·(eˣ − 1). ∂x = g where x > 0, else g·α·eˣ: α·g at 0.

    Clevert, Unterthiner & Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2015.
    """
    return xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0))


@primitive(elementwise=True)
def elu_grad(u: Array, x: Array, /, *, alpha: float, xp: Any) -> Array:
    """Cotangent of elu's input x: u where x > 0, else u·α·eˣ. ∂u alike; ∂x = g·u·α·eˣ where x < 0, else 0."""
    slope = xp.exp(xp.minimum(x, 0))
    return u * slope if alpha == 1 else _either(xp, x > 0, u, u * (alpha * slope))


@primitive(elementwise=True)
def elu_curve(u: Array, x: Array, /, *, alpha: float, xp: Any) -> Array:
    """Second and higher derivatives of elu: u·α·eˣ where x < 0, else 0. Both rules are this op again."""
    return xp.masked(x < 0, u * (alpha * xp.exp(xp.minimum(x, 0))))


elu.vjp(x=lambda g, x, alpha: elu_grad(g, x, alpha=alpha))
elu_grad.vjp(
    u=lambda g, x, alpha: elu_grad(g, x, alpha=alpha),
    x=lambda g, u, x, alpha: elu_curve(g * u, x, alpha=alpha),
)
elu_curve.vjp(
    u=lambda g, x, alpha: elu_curve(g, x, alpha=alpha),
    x=lambda g, u, x, alpha: elu_curve(g * u, x, alpha=alpha),
)


# ------------------------------------------------------------------ sigmoid and its kin


def _sigmoid(xp: Any, x: Array) -> Array:
    """1/(1 + e⁻ˣ) as e^min(x, 0) / (1 + e^−|x|): no overflow, and full relative accuracy on both sides."""
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))


@primitive(elementwise=True, floating=True)
def sigmoid(x: Array, /, *, xp: Any) -> Array:
    """Logistic function 1/(1 + e⁻ˣ), without overflow for any x. ∂x = g·out·(1 − out)."""
    return _sigmoid(xp, x)


@primitive(elementwise=True)
def sigmoid_grad(u: Array, y: Array, /, *, xp: Any) -> Array:
    """Cotangent of sigmoid's input, u·y·(1 − y), from that of its result y. ∂u = g·y·(1 − y), ∂y = g·u·(1 − 2y)."""
    return u * (y * (1.0 - y))


sigmoid.vjp(x=lambda g, out: sigmoid_grad(g, out))
sigmoid_grad.vjp(u=lambda g, y: sigmoid_grad(g, y), y=lambda g, u, y: g * u * (1.0 - 2.0 * y))


@primitive(elementwise=True, floating=True)
def log_sigmoid(x: Array, /, *, xp: Any) -> Array:
    """Logarithm of the sigmoid, min(x, 0) − log(1 + e^−|x|): exact in both tails. ∂x = g·sigmoid(−x)."""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))


log_sigmoid.vjp(x=lambda g, x: g * sigmoid(-x))


@primitive(elementwise=True, floating=True)
def softplus(x: Array, /, *, beta: float = 1.0, threshold: float = 20.0, xp: Any) -> Array:
    """Smooth rectifier log(1 + e^(βx))/β, computed as max(x, 0) + log(1 + e^(−β|x|))/β; x itself where βx > threshold.

    ∂x = g·sigmoid(βx), and g where βx > threshold. As in PyTorch, the switch leaves a step of e^(−threshold)/β.

    Dugas et al., "Incorporating second-order functional knowledge for better option pricing", 2001.
    """
    scaled = x if beta == 1 else x * beta
    smooth = xp.maximum(scaled, 0) + xp.log1p(xp.exp(-xp.abs(scaled)))
    return xp.where(scaled > threshold, x, smooth if beta == 1 else smooth / beta)


@primitive(elementwise=True)
def softplus_grad(u: Array, x: Array, /, *, beta: float, threshold: float, xp: Any) -> Array:
    """Cotangent of softplus's input x: u where βx > threshold, else u·σ(βx). ∂u alike; ∂x = g·u·β·σ′(βx), or 0."""
    scaled = x * beta
    return xp.where(scaled > threshold, u, u * _sigmoid(xp, scaled))


def _softplus_curve(g: Array, u: Array, x: Array, beta: float, threshold: float) -> Array:
    y = sigmoid(x * beta)
    return where(x * beta > threshold, 0.0, sigmoid_grad(g * u * beta, y))


softplus.vjp(x=lambda g, x, beta, threshold: softplus_grad(g, x, beta=beta, threshold=threshold))
softplus_grad.vjp(
    u=lambda g, x, beta, threshold: softplus_grad(g, x, beta=beta, threshold=threshold), x=_softplus_curve
)


@primitive(elementwise=True, floating=True)
def silu(x: Array, /, *, xp: Any) -> Array:
    """Sigmoid linear unit, or swish: x·σ(x), σ the sigmoid. ∂x = g·σ(x)·(1 + x·(1 − σ(x))).

    Elfwing, Uchibe & Doya, "Sigmoid-weighted linear units for neural network function approximation", 2017.
    """
    return x * _sigmoid(xp, x)


@primitive(elementwise=True)
def silu_grad(u: Array, x: Array, /, *, xp: Any) -> Array:
    """Cotangent of silu's input x, u·s·(1 + x·(1 − s)) with s = σ(x). ∂u alike; ∂x = g·u·s·(1 − s)·(2 + x·(1 − 2s))."""
    s = _sigmoid(xp, x)
    return u * (s * (1.0 + x * (1.0 - s)))


def _silu_curve(g: Array, u: Array, x: Array) -> Array:
    s = sigmoid(x)
    return sigmoid_grad(g * u, s) * (2.0 + x * (1.0 - 2.0 * s))


silu.vjp(x=lambda g, x: silu_grad(g, x))
silu_grad.vjp(u=lambda g, x: silu_grad(g, x), x=_silu_curve)


# ------------------------------------------------------------------ gelu

_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_TANH_SCALE = math.sqrt(2.0 / math.pi)
_TANH_CUBIC = 0.044715


@primitive(elementwise=True, floating=True)
def gelu(x: Array, /, *, approximate: str = "none", xp: Any) -> Array:
    """Gaussian error linear unit x·Φ(x), Φ the normal distribution function.

    approximate="none": Φ(x) = (1 + erf(x/√2))/2. approximate="tanh": Φ(x) ≈ (1 + tanh(√(2/π)·(x + 0.044715·x³)))/2.
    ∂x = g·(Φ(x) + x·Φ′(x)), as the op `gelu_grad`.

    Hendrycks & Gimpel, "Gaussian error linear units", 2016.

    Raises
    ------
    ValueError : `approximate` is neither "none" nor "tanh".
    """
    if approximate == "none":
        return x * (0.5 + 0.5 * xp.erf(x * _SQRT_HALF))
    _only_tanh(approximate)
    return x * (0.5 + 0.5 * xp.tanh(x * (_TANH_SCALE + (_TANH_SCALE * _TANH_CUBIC) * (x * x))))


def _only_tanh(approximate: str) -> None:
    if approximate != "tanh":
        raise ValueError(f'approximate must be "none" or "tanh", not {approximate!r}')


@primitive(elementwise=True)
def gelu_grad(u: Array, x: Array, /, *, approximate: str, xp: Any) -> Array:
    """Cotangent of gelu's input x: u·(Φ(x) + x·Φ′(x)). ∂u alike; ∂x = g·u·(2·Φ′(x) + x·Φ″(x))."""
    if approximate == "none":
        return u * (0.5 + 0.5 * xp.erf(x * _SQRT_HALF) + x * (_DENSITY * xp.exp(-0.5 * (x * x))))
    square = x * x
    t = xp.tanh(x * (_TANH_SCALE + (_TANH_SCALE * _TANH_CUBIC) * square))
    slope = _TANH_SCALE + (3.0 * _TANH_SCALE * _TANH_CUBIC) * square
    return u * (0.5 * (1.0 + t) * (1.0 + (1.0 - t) * x * slope))


def gelu_second(x: Array, approximate: str, exp: Any = exp, tanh: Any = tanh) -> Array:
    """f″ of f = gelu. With t = tanh v and v = c·(x + a·x³): f″ = (1 − t²)·(v′ + x·v″/2 − x·t·v′²).

    exp, tanh: ops, or functions of arrays within a forward.
    """
    square = x * x
    if approximate == "none":  # Φ″(x) = −x·Φ′(x)
        return _DENSITY * exp(-0.5 * square) * (2.0 - square)
    t = tanh(x * (_TANH_SCALE + (_TANH_SCALE * _TANH_CUBIC) * square))
    slope = _TANH_SCALE + (3.0 * _TANH_SCALE * _TANH_CUBIC) * square
    half_curve = (3.0 * _TANH_SCALE * _TANH_CUBIC) * square  # x·v″/2
    return (1.0 - t * t) * (slope + half_curve - x * t * (slope * slope))


def gelu_third(x: Array, approximate: str) -> Array:
    """f‴ of f = gelu: Φ′(x)·(x³ − 4x), or, with s = 1 − t² and f″ = s·q: s·(q′ − 2·t·v′·q)."""
    square = x * x
    if approximate == "none":
        return _DENSITY * exp(-0.5 * square) * (x * (square - 4.0))
    t = tanh(x * (_TANH_SCALE + (_TANH_SCALE * _TANH_CUBIC) * square))
    s, bend = 1.0 - t * t, 6.0 * _TANH_SCALE * _TANH_CUBIC  # v‴
    slope = _TANH_SCALE + (0.5 * bend) * square
    q = slope + (0.5 * bend) * square - x * t * (slope * slope)
    q_slope = (2.0 * bend) * x - (t + x * s * slope) * (slope * slope) - (2.0 * bend) * t * square * slope
    return s * (q_slope - 2.0 * t * slope * q)


def _gelu_curve(g: Array, u: Array, x: Array, approximate: str) -> Array:
    return g * u * gelu_second(x, approximate)


gelu.vjp(x=lambda g, x, approximate: gelu_grad(g, x, approximate=approximate))
gelu_grad.vjp(u=lambda g, x, approximate: gelu_grad(g, x, approximate=approximate), x=_gelu_curve)
