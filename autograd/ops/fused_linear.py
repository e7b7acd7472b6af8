"""A dense layer and the activation behind it as one op, where that saves passes over memory.

Each equals its parts, and its rule is made of their rules, so nothing but speed depends on using them. `nn.Sequential`
and the transformer's layers do where they meet the pattern.
"""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .activation import gelu, gelu_grad, gelu_second, gelu_third, relu, relu_grad
from .linear import linear, linear_grad, linear_parts, linear_second

__all__ = ["linear_gelu", "linear_gelu_grad", "linear_relu", "linear_relu_grad"]

Array = Any


@primitive(promote=True)
def linear_relu(x: Array, weight: Array, bias: Array, /, *, xp: Any) -> Array:
    """max(x·Wᵀ + b, 0). See `linear` and `relu`."""
    return relu.forward(linear.forward(x, weight, bias, xp=xp), xp=xp)


@primitive(promote=True, outputs=0)
def linear_relu_grad(gy: Array, y: Array, x: Array, weight: Array, /, *, need_x: bool, xp: Any) -> tuple[Array, ...]:
    """Cotangents (weight, bias) or (weight, bias, x) in `linear_relu`, whose result y has the cotangent gy.

    They are those of `linear_grad` for gy where y > 0 and 0 elsewhere.
    """
    return tuple(linear_grad.forward(relu_grad.forward(gy, y, xp=xp), x, weight, need_x=need_x, xp=xp))


def _linear_relu_grad_rule(
    g: tuple[Any, ...], gy: Array, y: Array, x: Array, weight: Array, need_x: bool
) -> tuple[Any, ...]:
    du, dx, dweight = linear_second(g, relu_grad(gy, y), x, weight, need_x)
    return relu_grad(du, y), None, dx, dweight


linear_relu_grad.vjp(_linear_relu_grad_rule)


def _linear_relu_rule(g: Array, x: Array, weight: Array, out: Array, need: tuple[bool, ...]) -> tuple[Any, ...]:
    if need[1] and need[2]:
        dweight, dbias, *dx = linear_relu_grad(g, out, x, weight, need_x=need[0])
        return (dx[0] if dx else None), dweight, dbias
    return linear_parts(relu_grad(g, out), x, weight, need)


linear_relu.vjp(_linear_relu_rule)


# ------------------------------------------------------------ GELU


@primitive(promote=True, outputs=2)
def linear_gelu(
    x: Array, weight: Array, bias: Array, /, *, approximate: str = "none", xp: Any
) -> tuple[Array, Array]:  # fmt: skip
    """f(x·Wᵀ + b) and f′(x·Wᵀ + b) for f = gelu. See `linear` and `gelu`.

    The slope is all that the gradient needs: they share their exponential, so both cost little more than one, and what
    lies between the layer and the activation is never kept.

    Returns
    -------
    y, slope : both (…, out).

    Raises
    ------
    ValueError : as `linear`; and where `approximate` is neither "none" nor "tanh".
    """
    u = linear.forward(x, weight, bias, xp=xp)
    return gelu.forward(u, approximate=approximate, xp=xp), gelu_grad.forward(1.0, u, approximate=approximate, xp=xp)


@primitive(promote=True, outputs=0)
def linear_gelu_grad(
    gy: Array, gslope: Array, slope: Array, x: Array, weight: Array, bias: Array, /, *, need_x: bool, approximate: str,
    xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Cotangents (weight, bias) or (weight, bias, x) in `linear_gelu`, whose results have the cotangents gy and gslope.

    They are those of `linear_grad` for v = gy·slope + gslope·f″(u), where u = x·Wᵀ + b and `slope` is f′(u).
    """
    curve = gelu_second(linear.forward(x, weight, bias, xp=xp), approximate, xp.exp, xp.tanh)
    return tuple(linear_grad.forward(gy * slope + gslope * curve, x, weight, need_x=need_x, xp=xp))


def _linear_gelu_grad_rule(
    g: tuple[Any, ...], gy: Array, gslope: Array, slope: Array, x: Array, weight: Array, bias: Array, need_x: bool,
    approximate: str,
) -> tuple[Any, ...]:  # fmt: skip
    u = linear(x, weight, bias)
    curve = gelu_second(u, approximate)
    dv, dx, dweight = linear_second(g, gy * slope + gslope * curve, x, weight, need_x)
    du = dv * gslope * gelu_third(u, approximate)
    through_x, through_weight, dbias = linear_parts(du, x, weight, (True, True, True))
    whole = through_weight if dweight is None else dweight + through_weight
    return dv * slope, dv * curve, dv * gy, dx + through_x, whole, dbias


linear_gelu_grad.vjp(_linear_gelu_grad_rule)


def _linear_gelu_rule(
    g: tuple[Any, ...], x: Array, weight: Array, bias: Array, out: tuple[Array, Array], approximate: str,
    need: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    gy, gslope = g
    dweight, dbias, *dx = linear_gelu_grad(gy, gslope, out[1], x, weight, bias, need_x=need[0], approximate=approximate)
    return (dx[0] if dx else None), dweight, dbias


linear_gelu.vjp(_linear_gelu_rule)
