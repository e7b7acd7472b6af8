"""Normalisation: an array is shifted and scaled to mean 0 and variance 1 over some axes, then by a weight and a bias.

With x̂ = (x − μ)·r, r = 1/√(σ² + ε) and the biased variance σ², cotangents are carried back by one symmetric map,

    N(v) = r·(v − mean(v) − x̂·mean(v·x̂)),    ∂x = N(∂y·weight),

which is a named op, `standardize_grad`, as are the whole backward passes of layer and batch normalisation: a backend
can compute each in one pass. Their own rules are closed forms in public ops, so that every order follows.

Group normalisation is in `norm_group.py`, by the root mean square in `norm_rms.py`.

Layer normalisation: Ba, Kiros & Hinton 2016. Batch: Ioffe & Szegedy 2015. Group: Wu & He 2018. Instance: Ulyanov et al.
2016.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .reduce import sum_
from .shape import reshape
from .unary import sqrt

__all__ = [
    "batch_norm", "batch_norm_grad", "layer_norm", "layer_norm_grad", "standardize", "standardize_grad",
]  # fmt: skip

Array = Any
Shape = tuple[int, ...]


def trailing(shape: Shape, axes: int) -> tuple[tuple[int, ...], int]:
    """The last `axes` axes, and how many elements they span."""
    n = len(shape)
    if not 0 < axes <= n:
        raise ValueError(f"axes={axes} trailing axes to normalise over, but the input has shape {tuple(shape)}")
    return tuple(range(n - axes, n)), math.prod(shape[n - axes :])


def moments(x: Array, over: tuple[int, ...], eps: float, xp: Any) -> tuple[Array, Array]:
    """Centred values x − μ and r = 1/√(σ² + ε), the variance from the centred values (two passes: no cancellation)."""
    centred = x - xp.mean(x, axis=over, keepdims=True)
    return centred, 1.0 / xp.sqrt(xp.mean(centred * centred, axis=over, keepdims=True) + eps)


def pull_back(v: Array, xhat: Array, r: Array, over: tuple[int, ...], xp: Any) -> Array:
    """N(v), as in the module's docstring."""
    slope = xp.mean(v * xhat, axis=over, keepdims=True)
    return r * (v - xp.mean(v, axis=over, keepdims=True) - xhat * slope)


def mean_over(x: Array, over: tuple[int, ...], count: int) -> Array:
    """The mean over those axes, kept with length 1: `count` elements each."""
    return sum_(x, axis=over, keepdims=True) * (1.0 / max(count, 1))


# ------------------------------------------------------------- without weights


@primitive(floating=True)
def standardize(x: Array, /, *, axes: int, eps: float = 1e-5, xp: Any) -> Array:
    """x̂ = (x − μ)/√(σ² + ε) with mean and biased variance over the last `axes` axes. x: (…) -> (…)."""
    over, _ = trailing(x.shape, axes)
    centred, r = moments(x, over, eps, xp)
    return centred * r


@primitive(floating=True)
def standardize_grad(gy: Array, x: Array, /, *, axes: int, eps: float = 1e-5, xp: Any) -> Array:
    """The Jacobian of `standardize` at x, which is symmetric, times gy: r·(gy − mean(gy) − x̂·mean(gy·x̂))."""
    over, _ = trailing(x.shape, axes)
    centred, r = moments(x, over, eps, xp)
    return pull_back(gy, centred * r, r, over, xp)


standardize.vjp(x=lambda g, x, axes, eps: standardize_grad(g, x, axes=axes, eps=eps))


def standardize_grad_dx(g: Array, gy: Array, x: Array, axes: int, eps: float) -> Array:
    """∂/∂x of Σ g·N(gy), through x̂ and through r:

    With H = mean(gy·x̂) and A = mean(g·x̂): −N(r·(g·H + gy·A)) − r²·x̂·(mean(g·gy) − mean(g)·mean(gy) − A·H).
    """
    over, count = trailing(x.shape, axes)
    centred = x - mean_over(x, over, count)
    r = 1.0 / sqrt(mean_over(centred * centred, over, count) + eps)
    xhat = centred * r
    H, A = mean_over(gy * xhat, over, count), mean_over(g * xhat, over, count)
    inner = mean_over(g * gy, over, count) - mean_over(g, over, count) * mean_over(gy, over, count) - A * H
    return -standardize_grad(r * (g * H + gy * A), x, axes=axes, eps=eps) - r * r * xhat * inner


standardize_grad.vjp(
    gy=lambda g, x, axes, eps: standardize_grad(g, x, axes=axes, eps=eps),
    x=standardize_grad_dx,
)

# --------------------------------------------------------- layer normalisation


def check_affine(shape: Shape, weight: Array, bias: Array | None = None) -> None:
    """Raise unless weight and bias have that shape."""
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and tuple(p.shape) != tuple(shape):
            raise ValueError(f"the {name} must have shape {tuple(shape)}, not {tuple(p.shape)}")


@primitive(floating=True)
def layer_norm(x: Array, weight: Array, bias: Array, /, *, axes: int, eps: float = 1e-5, xp: Any) -> Array:
    """Layer normalisation y = (x − μ)/√(σ² + ε)·weight + bias, with mean and biased variance over the last `axes` axes.

    x: (…, *s), weight, bias: s, the shape of those axes -> (…, *s). `torch.nn.functional.layer_norm`.
    """
    over, _ = trailing(x.shape, axes)
    check_affine(x.shape[x.ndim - axes :], weight, bias)
    centred, r = moments(x, over, eps, xp)
    return centred * r * weight + bias


@primitive(floating=True, outputs=3)
def layer_norm_grad(
    gy: Array, x: Array, weight: Array, /, *, axes: int, eps: float = 1e-5, xp: Any
) -> tuple[Array, Array, Array]:
    """The cotangents of x, weight and bias from that of y: N(gy·weight), Σ gy·x̂ and Σ gy over the leading axes."""
    over, _ = trailing(x.shape, axes)
    centred, r = moments(x, over, eps, xp)
    xhat = centred * r
    lead = tuple(range(x.ndim - axes))
    return pull_back(gy * weight, xhat, r, over, xp), xp.sum(gy * xhat, axis=lead), xp.sum(gy, axis=lead)


def _layer_norm_rule(g: Array, x: Array, weight: Array, axes: int, eps: float) -> tuple[Array, Array, Array]:
    dx, dweight, dbias = layer_norm_grad(g, x, weight, axes=axes, eps=eps)
    return dx, dweight, dbias


layer_norm.vjp(_layer_norm_rule)


def _layer_norm_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, x: Array, weight: Array, axes: int, eps: float
) -> tuple[Any, Any, Any]:
    """The op is (N(gy·w), Σ gy·x̂, Σ gy) and N is symmetric; g are the cotangents (a, b, c) of the three."""
    a, b, c = g
    pulled = standardize_grad(a, x, axes=axes, eps=eps)
    dgy = weight * pulled + b * standardize(x, axes=axes, eps=eps) + c if need[0] else None
    dx = None
    if need[1]:
        dx = standardize_grad_dx(a, gy * weight, x, axes, eps) + standardize_grad(gy * b, x, axes=axes, eps=eps)
    return dgy, dx, gy * pulled if need[2] else None


layer_norm_grad.vjp(_layer_norm_grad_rule)

# --------------------------------------------------------- batch normalisation


def per_channel(shape: Shape) -> tuple[tuple[int, ...], Shape, int]:
    """All axes but 1, the shape of one value per channel beside the array, and the elements of a channel."""
    if len(shape) < 2:
        raise ValueError(f"batch normalisation needs an input (n, c, …), not one of shape {tuple(shape)}")
    over = tuple(i for i in range(len(shape)) if i != 1)
    return over, tuple(n if i == 1 else 1 for i, n in enumerate(shape)), math.prod(shape[i] for i in over)


@primitive(floating=True, outputs=3)
def batch_norm(x: Array, weight: Array, bias: Array, /, *, eps: float = 1e-5, xp: Any) -> tuple[Array, Array, Array]:
    """Batch normalisation y = (x − μ)/√(σ² + ε)·weight + bias per channel, with statistics of this batch.

    x: (n, c, …), weight, bias: (c,) -> y: (n, c, …), μ: (c,), σ²: (c,), the biased variance. Statistics are taken over
    all axes but 1, and are outputs so that the caller can keep running averages; they are differentiable too.
    """
    over, shape, _ = per_channel(x.shape)
    check_affine((x.shape[1],), weight, bias)
    mean = xp.mean(x, axis=over, keepdims=True)
    centred = x - mean
    var = xp.mean(centred * centred, axis=over, keepdims=True)
    scale = xp.reshape(weight, shape) / xp.sqrt(var + eps)
    return centred * scale + xp.reshape(bias, shape), xp.reshape(mean, (-1,)), xp.reshape(var, (-1,))


@primitive(floating=True, outputs=3)
def batch_norm_grad(
    gy: Array, gmean: Array, gvar: Array, x: Array, weight: Array, mean: Array, var: Array, /, *, eps: float = 1e-5,
    xp: Any,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """The cotangents of x, weight and bias from those of y, μ and σ².

    With h = gy·weight, x̂ = (x − mean)·r, r = 1/√(var + ε) and n elements in a channel:
    ∂x = r·(h − mean(h) − x̂·mean(h·x̂)) + gmean/n + 2·gvar·(x − mean)/n; ∂weight = Σ gy·x̂; ∂bias = Σ gy.
    """
    over, shape, count = per_channel(x.shape)
    count = max(count, 1)
    r = 1.0 / xp.sqrt(xp.reshape(var, shape) + eps)
    xhat = (x - xp.reshape(mean, shape)) * r
    w = xp.reshape(weight, shape)
    dweight = xp.sum(gy * xhat, axis=over, keepdims=True)
    dbias = xp.sum(gy, axis=over, keepdims=True)
    constant = (xp.reshape(gmean, shape) - r * w * dbias) / count
    slope = (2.0 * xp.reshape(gvar, shape) / r - r * w * dweight) / count
    dx = gy * (r * w) + xhat * slope + constant
    return dx, xp.reshape(dweight, (-1,)), xp.reshape(dbias, (-1,))


def _batch_norm_rule(g: Any, x: Array, weight: Array, out: Any, eps: float) -> tuple[Array, Array, Array]:
    gy, gmean, gvar = g
    dx, dweight, dbias = batch_norm_grad(gy, gmean, gvar, x, weight, out[1], out[2], eps=eps)
    return dx, dweight, dbias


batch_norm.vjp(_batch_norm_rule)


def batch_norm_grad_rule(
    g: Any, gy: Array, gvar: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, ...]:
    """Each input's cotangent from those of ∂x, ∂weight and ∂bias, g = (a, b, c); mean and var are inputs like others.

    With H = mean(h·x̂), A = mean(a·x̂) and q = ∂x̂ = −r·(a·H + h·A) + b·gy:
    ∂gy = weight·r·(a − mean(a) − x̂·A) + b·x̂ + c; ∂weight = Σ gy·r·(a − mean(a) − x̂·A); ∂gmean = mean(a);
    ∂gvar = 2·A/r; ∂(x − mean) = q·r + 2·a·gvar/n; ∂r = Σ a·(h − mean(h) − x̂·H) + q·(x − mean); ∂var = −r³·∂r/2.
    """
    over, shape, count = per_channel(x.shape)
    flat = (x.shape[1],)
    a, b, c = g
    b, c = reshape(b, shape=shape), reshape(c, shape=shape)
    w, gv = reshape(weight, shape=shape), reshape(gvar, shape=shape)
    centred = x - reshape(mean, shape=shape)
    r = 1.0 / sqrt(reshape(var, shape=shape) + eps)
    xhat, h = centred * r, gy * w
    H, A = mean_over(h * xhat, over, count), mean_over(a * xhat, over, count)
    a_mean = mean_over(a, over, count)
    pulled = r * (a - a_mean - xhat * A)
    q = b * gy - r * (a * H + h * A)
    dcentred = q * r + a * gv * (2.0 / max(count, 1))
    dr = sum_(a * (h - mean_over(h, over, count) - xhat * H) + q * centred, axis=over, keepdims=True)
    return (
        w * pulled + b * xhat + c,
        reshape(a_mean, shape=flat),
        reshape(2.0 * A / r, shape=flat),
        dcentred,
        sum_(gy * pulled, axis=over, keepdims=False),
        -sum_(dcentred, axis=over, keepdims=False),
        reshape(-0.5 * r * r * r * dr, shape=flat),
    )


batch_norm_grad.vjp(batch_norm_grad_rule)
