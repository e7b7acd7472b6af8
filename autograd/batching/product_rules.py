"""Batching rules of products: the batch becomes part of one product wherever that is possible.

An operand that is the same for every example takes part in one large product; where both differ, the products run as
a batch: in `matmul` as leading axes, in `einsum` as a label, in convolutions as groups of channels.
"""

from __future__ import annotations

import math
from typing import Any

from ..ops.activation import gelu, gelu_grad, gelu_second, relu, relu_grad
from ..ops.attention import attention, attention_grad
from ..ops.conv import conv2d, conv2d_bias, conv2d_input_grad, conv2d_weight_grad
from ..ops.elementwise import multiply
from ..ops.fused import conv2d_relu
from ..ops.fused_linear import linear_gelu, linear_gelu_grad, linear_relu, linear_relu_grad
from ..ops.linalg import einsum_pair, label, matmul, mT
from ..ops.linear import linear, linear_grad
from ..ops.reduce import sum_
from ..ops.shape import permute_, reshape_
from .backend import Batch, stretched

Array = Any

# ---------------------------------------------------------------- matrices


@matmul.batch
def _matmul(batch: Batch, x: Array, y: Array) -> Array:
    (mapped_x, mapped_y), size = batch.mapped, batch.size
    row, column = x.ndim - mapped_x == 1, y.ndim - mapped_y == 1
    if not mapped_y and y.ndim <= 2:  # one product over all rows of all examples
        rows = reshape_(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))
        return reshape_(matmul(rows, y), shape=(*x.shape[:-1], *([] if column else [y.shape[1]])))
    if not mapped_x and x.ndim == 2 and column:
        return matmul(y, mT(x))
    if row:
        x = reshape_(x, shape=(*x.shape[:-1], 1, x.shape[-1]))
    if column:
        y = reshape_(y, shape=(*y.shape, 1))
    axes = max(x.ndim - mapped_x, y.ndim - mapped_y)
    left, right = stretched(x, axes) if mapped_x else x, stretched(y, axes) if mapped_y else y
    # products of columns and rows, as the weight gradients of single examples are, are no sums
    out = multiply(left, right) if x.shape[-1] == 1 else matmul(left, right)
    kept = [
        n for i, n in enumerate(out.shape) if not (row and i == out.ndim - 2) and not (column and i == out.ndim - 1)
    ]
    return reshape_(out, shape=(size, *kept[1:])) if row or column else out


@einsum_pair.batch
def _einsum_pair(batch: Batch, x: Array, y: Array, *, spec: tuple[str, str, str]) -> Array:
    a, b, out = spec
    used = set(a + b + out)
    fresh = next(c for c in map(label, range(len(used) + 1)) if c not in used)
    mapped_x, mapped_y = batch.mapped
    return einsum_pair(x, y, spec=(fresh * mapped_x + a, fresh * mapped_y + b, fresh + out))


@linear.batch
def _linear(batch: Batch, x: Array, weight: Array, bias: Array) -> Array:
    mapped_x, mapped_weight, mapped_bias = batch.mapped
    if not mapped_weight and not mapped_bias:
        return linear(x, weight, bias)
    product = _matmul(Batch(matmul, batch.size, (mapped_x, mapped_weight), batch.base), x, mT(weight)) if (
        mapped_x or mapped_weight
    ) else matmul(x, mT(weight))  # fmt: skip
    mapped = mapped_x or mapped_weight
    return product + (stretched(bias, product.ndim - mapped) if mapped_bias else bias)


@linear_grad.batch
def _linear_grad(batch: Batch, gy: Array, x: Array, weight: Array, *, need_x: bool) -> tuple[Array, ...]:
    gy, x = batch.full(gy, 0), batch.full(x, 1)
    lead = gy.shape[1:-1]
    rows, flat = (reshape_(a, shape=(batch.size, math.prod(lead), a.shape[-1])) for a in (gy, x))
    made = matmul(mT(rows), flat), sum_(rows, axis=(1,), keepdims=False)
    if not need_x:
        return made
    dx = _matmul(Batch(matmul, batch.size, (True, batch.mapped[2]), batch.base), rows, weight)
    return (*made, reshape_(dx, shape=(batch.size, *lead, weight.shape[-1])))


@linear_relu_grad.batch
def _linear_relu_grad(batch: Batch, gy: Array, y: Array, x: Array, weight: Array, **params: Any) -> Any:
    u = relu_grad(batch.full(gy, 0), batch.full(y, 1))
    inner = Batch(linear_grad, batch.size, (True, *batch.mapped[2:]), batch.base)
    return _linear_grad(inner, u, x, weight, **params)


@linear_relu.batch
def _linear_relu(batch: Batch, x: Array, weight: Array, bias: Array) -> Array:
    return relu(_linear(batch, x, weight, bias))


@linear_gelu.batch
def _linear_gelu(batch: Batch, x: Array, weight: Array, bias: Array, *, approximate: str) -> tuple[Array, Array]:
    u = _linear(batch, x, weight, bias)
    return gelu(u, approximate=approximate), gelu_grad(1.0, u, approximate=approximate)


@linear_gelu_grad.batch
def _linear_gelu_grad(
    batch: Batch, gy: Array, gslope: Array, slope: Array, x: Array, weight: Array, bias: Array, *, approximate: str,
    **params: Any,
) -> Any:  # fmt: skip
    gy, gslope, slope = (batch.full(a, i) for i, a in enumerate((gy, gslope, slope)))
    u = _linear(Batch(linear, batch.size, batch.mapped[3:], batch.base), x, weight, bias)
    v = gy * slope + gslope * gelu_second(u, approximate)
    inner = Batch(linear_grad, batch.size, (True, *batch.mapped[3:5]), batch.base)
    return _linear_grad(inner, v, x, weight, **params)


def _attention(batch: Batch, *args: Array, **params: Any) -> Any:
    """Heads and other leading axes broadcast behind the batch axis, which every input has."""
    full = [batch.full(a, i) for i, a in enumerate(args)]
    behind = [1 if name in ("lse", "glse") else 2 for name in batch.prim.inputs]  # axes of the op itself
    lead = max(a.ndim - 1 - n for a, n in zip(full, behind, strict=True))
    return batch.prim(*(stretched(a, lead + n) for a, n in zip(full, behind, strict=True)), **params)


attention.batch(_attention)
attention_grad.batch(_attention)


# ---------------------------------------------------------------- convolutions


def folded(x: Array, axis: int = 0) -> Array:
    """The batch axis merged into another: (B, …, n, …) -> (…, B·n, …)."""
    moved = permute_(x, axes=(*range(1, axis + 1), 0, *range(axis + 1, x.ndim))) if axis else x
    return reshape_(
        moved, shape=(*moved.shape[:axis], moved.shape[axis] * moved.shape[axis + 1], *moved.shape[axis + 2 :])
    )


def unfolded(x: Array, size: int, axis: int = 0) -> Array:
    """The batch axis taken out of another, to the front: the inverse of `folded`."""
    n = x.shape[axis] // size if size else 0
    split = reshape_(x, shape=(*x.shape[:axis], size, n, *x.shape[axis + 1 :]))
    return permute_(split, axes=(axis, *range(axis), *range(axis + 1, split.ndim))) if axis else split


def _channels(batch: Batch, image: Array, weight: Array, *, groups: int, out: int, **params: Any) -> Array:
    """A convolution with the examples as groups of channels: image (n, B·c, …), weight (B·o, c/groups, …)."""
    image, weight = folded(batch.full(image, 0), 1), folded(batch.full(weight, 1))
    return unfolded(batch.prim(image, weight, groups=batch.size * groups, **params), batch.size, out)


@conv2d.batch
def _conv(batch: Batch, x: Array, weight: Array, *, groups: int, **params: Any) -> Array:
    if not batch.mapped[1]:
        return unfolded(batch.prim(folded(x), weight, groups=groups, **params), batch.size)
    if not batch.mapped[0] and groups == 1:
        return unfolded(batch.prim(x, folded(weight), groups=1, **params), batch.size, 1)
    return _channels(batch, x, weight, groups=groups, out=1, **params)


@conv2d_input_grad.batch
def _conv_input_grad(batch: Batch, gy: Array, weight: Array, *, groups: int, **params: Any) -> Array:
    if not batch.mapped[1]:
        return unfolded(batch.prim(folded(gy), weight, groups=groups, **params), batch.size)
    return _channels(batch, gy, weight, groups=groups, out=1, **params)


@conv2d_weight_grad.batch
def _conv_weight_grad(batch: Batch, gy: Array, x: Array, *, groups: int, **params: Any) -> Array:
    if groups == 1 and not batch.mapped[1]:
        return unfolded(batch.prim(folded(gy, 1), x, groups=1, **params), batch.size)
    if groups == 1 and not batch.mapped[0]:
        return unfolded(batch.prim(gy, folded(x, 1), groups=1, **params), batch.size, 1)
    gy, x = folded(batch.full(gy, 0), 1), folded(batch.full(x, 1), 1)
    return unfolded(batch.prim(gy, x, groups=batch.size * groups, **params), batch.size)


@conv2d_bias.batch
def _conv_bias(batch: Batch, x: Array, weight: Array, bias: Array, **params: Any) -> Array:
    mapped_x, mapped_weight, mapped_bias = batch.mapped
    if mapped_x and not mapped_weight and not mapped_bias:
        return unfolded(batch.prim(folded(x), weight, bias, **params), batch.size)
    both = (mapped_x, mapped_weight)
    y = (
        _conv(Batch(conv2d, batch.size, both, batch.base), x, weight, **params)
        if any(both)
        else conv2d(x, weight, **params)
    )
    space = [1] * (weight.ndim - mapped_weight - 2)
    if mapped_bias:
        return y + reshape_(bias, shape=(batch.size, 1, bias.shape[1], *space))
    return y + reshape_(bias, shape=(bias.shape[0], *space))


@conv2d_relu.batch
def _conv_relu(batch: Batch, x: Array, weight: Array, bias: Array, **params: Any) -> Array:
    return relu(_conv_bias(Batch(conv2d_bias, batch.size, batch.mapped, batch.base), x, weight, bias, **params))
