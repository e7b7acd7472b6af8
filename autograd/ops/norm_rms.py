"""Root mean square normalisation: y = x·r·weight with r = 1/√(mean(x²) + ε). Zhang & Sennrich 2019.

Cotangents are carried back by the symmetric map M(v) = r·(v − x·r²·mean(v·x)):

    ∂x = M(∂y·weight),    ∂weight = Σ ∂y·x·r.

The backward pass is a named op, `rms_norm_grad`; its own rule is a closed form in public ops.
"""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .creation import full_like_
from .norm import check_affine, mean_over, trailing
from .reduce import sum_
from .unary import sqrt

__all__ = ["rms_norm", "rms_norm_grad"]

Array = Any


def _scale(x: Array, over: tuple[int, ...], eps: float, xp: Any) -> Array:
    return 1.0 / xp.sqrt(xp.mean(x * x, axis=over, keepdims=True) + eps)


@primitive(name="rms_norm", floating=True)
def rms_norm_(x: Array, weight: Array, /, *, axes: int, eps: float = 1e-6, xp: Any) -> Array:
    """x/√(mean(x²) + ε)·weight over the last `axes` axes. x: (…, *s), weight: s, the shape of those axes -> (…, *s)."""
    over, _ = trailing(x.shape, axes)
    check_affine(x.shape[x.ndim - axes :], weight)
    return x * _scale(x, over, eps, xp) * weight


@primitive(floating=True, outputs=2)
def rms_norm_grad(
    gy: Array, x: Array, weight: Array, /, *, axes: int, eps: float = 1e-6, xp: Any
) -> tuple[Array, Array]:
    """The cotangents of x and weight from that of y: M(gy·weight), and Σ gy·x·r over the leading axes."""
    over, _ = trailing(x.shape, axes)
    r = _scale(x, over, eps, xp)
    v = gy * weight
    dx = r * (v - x * (r * r * xp.mean(v * x, axis=over, keepdims=True)))
    return dx, xp.sum(gy * (x * r), axis=tuple(range(x.ndim - axes)))


def _rms_norm_rule(g: Array, x: Array, weight: Array, axes: int, eps: float) -> tuple[Array, Array]:
    dx, dweight = rms_norm_grad(g, x, weight, axes=axes, eps=eps)
    return dx, dweight


rms_norm_.vjp(_rms_norm_rule)


def _rms_norm_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, x: Array, weight: Array, axes: int, eps: float
) -> tuple[Any, Any, Any]:
    """The op is (M(v), Σ gy·x·r) with v = gy·weight, and M is symmetric; g are the cotangents (a, b) of the two.

    ∂/∂x of Σ a·M(v), with A = mean(a·x) and V = mean(v·x): −r³·(x·mean(a·v) + a·V + v·A − 3·r²·A·V·x).
    ∂/∂x of Σ b·gy·x·r: M(b·gy).
    """
    over, n = trailing(tuple(x.shape), axes)
    a, b = g
    r = 1.0 / sqrt(mean_over(x * x, over, n) + eps)
    A = mean_over(a * x, over, n)
    pulled = r * (a - x * (r * r * A))
    dgy = weight * pulled + b * (x * r) if need[0] else None
    dx = None
    if need[1]:
        v, u = gy * weight, b * gy
        V = mean_over(v * x, over, n)
        bend = x * mean_over(a * v, over, n) + a * V + v * A - x * (3.0 * r * r * A * V)
        dx = r * (u - x * (r * r * mean_over(u * x, over, n))) - r * r * r * bend
    lead = tuple(range(len(x.shape) - axes))
    return dgy, dx, sum_(gy * pulled, axis=lead, keepdims=False) if need[2] else None


rms_norm_grad.vjp(_rms_norm_grad_rule)


def rms_norm(x: Any, weight: Any = None, *, axes: int = 1, eps: float = 1e-6) -> Any:
    """Scale by the root mean square: y = x/√(mean(x²) + ε)·weight over the last `axes` axes.

    x: (…, *s), weight: s, the shape of those axes, None for 1 -> (…, *s).

    Raises
    ------
    ValueError : the input has fewer axes, or the weight another shape.
    """
    trailing(tuple(x.shape), axes)
    if weight is None:
        weight = full_like_(x, value=1.0, shape=tuple(x.shape)[len(x.shape) - axes :])
    return rms_norm_(x, weight, axes=axes, eps=eps)
