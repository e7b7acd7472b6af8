"""Group and instance normalisation: each sample is normalised over groups of its channels, then scaled by channel.

With the symmetric map N of `norm.py`, here over a group of channels and all its positions,

    y = x̂·weight + bias,    ∂x = N(∂y·weight),    ∂weight = Σ ∂y·x̂,    ∂bias = Σ ∂y,

the sums over samples and positions. The whole backward pass is a named op, `group_norm_grad`; its own rule is a closed
form in public ops. Nothing here depends on how images lie in memory, and kernels take them as they lie.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .creation import full_like_
from .norm import check_affine, moments, pull_back, standardize, standardize_grad, standardize_grad_dx
from .reduce import sum_
from .shape import reshape

__all__ = ["group_norm", "group_norm_grad", "instance_norm"]

Array = Any
Shape = tuple[int, ...]


def _grouped(shape: Shape, groups: int) -> Shape:
    """(n, groups, elements of a group)."""
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise ValueError(
            f"group_norm needs an input (n, c, …) with c a multiple of groups={groups}, not {tuple(shape)}"
        )
    return shape[0], groups, math.prod(shape[1:]) // groups


def _channels(shape: Shape) -> tuple[Shape, tuple[int, ...]]:
    """The shape of one value a channel beside the array, and all axes but that of channels."""
    return (shape[1], *[1] * (len(shape) - 2)), (0, *range(2, len(shape)))


@primitive(name="group_norm", floating=True)
def group_norm_(x: Array, weight: Array, bias: Array, /, *, groups: int, eps: float = 1e-5, xp: Any) -> Array:
    """Group normalisation y = (x − μ)/√(σ² + ε)·weight + bias, with mean and biased variance of each sample's groups.

    x: (n, c, …), weight, bias: (c,) -> (n, c, …).
    """
    grouped, (column, _) = _grouped(tuple(x.shape), groups), _channels(tuple(x.shape))
    check_affine((x.shape[1],), weight, bias)
    centred, r = moments(xp.reshape(x, grouped), (2,), eps, xp)
    return xp.reshape(centred * r, x.shape) * xp.reshape(weight, column) + xp.reshape(bias, column)


@primitive(floating=True, outputs=3)
def group_norm_grad(
    gy: Array, x: Array, weight: Array, /, *, groups: int, eps: float = 1e-5, xp: Any
) -> tuple[Array, Array, Array]:
    """The cotangents of x, weight and bias from that of y: N(gy·weight), Σ gy·x̂ and Σ gy over all but the channels."""
    grouped, (column, over) = _grouped(tuple(x.shape), groups), _channels(tuple(x.shape))
    centred, r = moments(xp.reshape(x, grouped), (2,), eps, xp)
    xhat = centred * r
    v = xp.reshape(gy * xp.reshape(weight, column), grouped)
    dx = xp.reshape(pull_back(v, xhat, r, (2,), xp), x.shape)
    return dx, xp.sum(gy * xp.reshape(xhat, x.shape), axis=over), xp.sum(gy, axis=over)


def _group_norm_rule(g: Array, x: Array, weight: Array, groups: int, eps: float) -> tuple[Array, Array, Array]:
    dx, dweight, dbias = group_norm_grad(g, x, weight, groups=groups, eps=eps)
    return dx, dweight, dbias


group_norm_.vjp(_group_norm_rule)


def _group_norm_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, x: Array, weight: Array, groups: int, eps: float
) -> tuple[Any, Any, Any]:
    """The op is (N(gy·w), Σ gy·x̂, Σ gy) and N is symmetric; g are the cotangents (a, b, c) of the three."""
    shape = tuple(x.shape)
    grouped, (column, over) = _grouped(shape, groups), _channels(shape)
    a, b, c = g
    w, b, c = (reshape(p, shape=column) for p in (weight, b, c))
    flat = reshape(x, shape=grouped)

    def by_group(map_: Any, *arrays: Array) -> Array:
        return reshape(map_(*(reshape(v, shape=grouped) for v in arrays), flat, axes=1, eps=eps), shape=shape)

    pulled = by_group(standardize_grad, a)
    dgy = w * pulled + b * by_group(standardize) + c if need[0] else None
    dx = by_group(standardize_grad_dx, a, gy * w) + by_group(standardize_grad, gy * b) if need[1] else None
    return dgy, dx, sum_(gy * pulled, axis=over, keepdims=False) if need[2] else None


group_norm_grad.vjp(_group_norm_grad_rule)


def group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each sample over groups of channels: y = x̂·weight[c] + bias[c].

    x: (n, c, …); each of `groups` blocks of c/groups channels, with all its positions, has its own mean and biased
    variance. weight, bias: (c,), None for 1 and 0. `torch.nn.functional.group_norm`.

    Raises
    ------
    ValueError : the input has no channels, groups does not divide them, or weight or bias are not one a channel.
    """
    _grouped(tuple(x.shape), groups)
    channels = (x.shape[1],)
    weight = full_like_(x, value=1.0, shape=channels) if weight is None else weight
    bias = full_like_(x, value=0.0, shape=channels) if bias is None else bias
    return group_norm_(x, weight, bias, groups=groups, eps=eps)


def instance_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each channel of each sample over its positions: `group_norm` with one group a channel."""
    return group_norm(x, x.shape[1] if len(x.shape) > 1 else 1, weight, bias, eps)
