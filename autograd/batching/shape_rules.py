"""Batching rules of ops along axes: the batch axis stands in front, and all others have moved back by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..ops.arrange import roll_
from ..ops.creation import full_like_
from ..ops.resample import resample
from ..ops.selection import nonzero_
from ..ops.shape import broadcast_to_, flip_, permute_, reshape_, split_, unbind_
from ..ops.slicing import getitem_, getitem_transpose, pad_, place_regions, setitem
from .backend import Batch, aligned, give, stretched

Array = Any
Shape = tuple[int, ...]

# ---------------------------------------------------------------- along axes


def back(axis: int) -> int:
    """An axis of one example as an axis of the batch: negative ones count from the end as before."""
    return axis + 1 if axis >= 0 else axis


def _everywhere(batch: Batch, *args: Array, **params: Any) -> Any:
    """The op itself, which treats leading axes as a batch."""
    return batch.prim(*(batch.full(a, i) for i, a in enumerate(args)), **params)


def _reduction(batch: Batch, x: Array, *, axis: Any, **params: Any) -> Any:
    """Reductions: the axes moved back; all of them but the first for None."""
    axes = range(x.ndim - 1) if axis is None else (axis,) if isinstance(axis, int) else axis
    return batch.prim(x, axis=tuple(back(a) for a in axes) if x.ndim > 1 else (), **params)


def _position(batch: Batch, x: Array, *, axis: int | None, keepdims: bool) -> Any:
    """argmax and argmin: over one axis, or over all as one."""
    if axis is not None and x.ndim > 1:
        return batch.prim(x, axis=back(axis), keepdims=keepdims)
    found = batch.prim(reshape_(x, shape=(x.shape[0], math.prod(x.shape[1:]))), axis=1, keepdims=False)
    return reshape_(found, shape=(x.shape[0], *[1] * (x.ndim - 1))) if keepdims else found


def _along(batch: Batch, *args: Array, axis: int, **params: Any) -> Any:
    """Ops along one axis of all their inputs, which a 0-d input has, too."""
    full = [batch.full(a, i) for i, a in enumerate(args)]
    if full[0].ndim > 1:
        return batch.prim(*full, axis=back(axis), **params)
    columns = [reshape_(a, shape=(a.shape[0], 1)) for a in full]
    return reshape_(batch.prim(*columns, axis=1, **params), shape=(full[0].shape[0],))


def _stacking(batch: Batch, *args: Array, axis: int) -> Any:
    return batch.prim(*(batch.full(a, i) for i, a in enumerate(args)), axis=back(axis))


_RULES: dict[str, Callable[..., Any]] = {
    "astype cholesky clip det eigh identity inv one_hot pinv qr slogdet standardize standardize_grad svd svd_full "
    "tril triu": _everywhere,
    "all any logsumexp max mean min norm prod std sum var": _reduction,
    "argmax argmin": _position,
    "argsort cumprod cumsum log_softmax log_softmax_grad logcumsumexp softmax softmax_grad": _along,
    "concatenate stack": _stacking,
    "solve": aligned,
}
for _names, _rule in _RULES.items():
    give(_rule, *_names.split())
flip_.batch(lambda batch, x, *, axes: flip_(x, axes=tuple(map(back, axes))))
roll_.batch(lambda batch, x, *, shifts, axes: roll_(x, shifts=shifts, axes=tuple(map(back, axes))))
split_.batch(lambda batch, x, *, sizes, axis: split_(x, sizes=sizes, axis=back(axis)))
resample.batch(lambda batch, x, *, axis, **params: resample(x, axis=back(axis), **params))
unbind_.batch(lambda batch, x, *, axis: unbind_(x, axis=back(axis)))

# ---------------------------------------------------------------- shapes


@reshape_.batch
def _reshape(batch: Batch, x: Array, *, shape: Shape) -> Array:
    if -1 in shape:
        known = -math.prod(shape)
        shape = tuple(math.prod(x.shape[1:]) // max(known, 1) if n == -1 else n for n in shape)
    return reshape_(x, shape=(x.shape[0], *shape))


@permute_.batch
def _permute(batch: Batch, x: Array, *, axes: tuple[int, ...]) -> Array:
    return permute_(x, axes=(0, *(a % (x.ndim - 1) + 1 for a in axes)))


@broadcast_to_.batch
def _broadcast_to(batch: Batch, x: Array, *, shape: Shape) -> Array:
    return broadcast_to_(stretched(x, len(shape)), shape=(x.shape[0], *shape))


@full_like_.batch
def _full_like(batch: Batch, x: Array, *, value: float, dtype: str | None, shape: Shape | None) -> Array:
    made = full_like_(x, value=value, dtype=dtype, shape=tuple(x.shape[1:]) if shape is None else shape)
    return broadcast_to_(made, shape=(x.shape[0], *made.shape))


@pad_.batch
def _pad(batch: Batch, x: Array, *, widths: tuple[tuple[int, int], ...], value: float) -> Array:
    return pad_(x, widths=((0, 0), *widths), value=value)


# ---------------------------------------------------------------- basic indices


def _all(n: int) -> tuple[int, int, int]:
    return (0, n, 1)


@getitem_.batch
def _getitem(batch: Batch, x: Array, *, index: Any) -> Array:
    return getitem_(x, index=(_all(x.shape[0]), *index))


@getitem_transpose.batch
def _getitem_transpose(batch: Batch, g: Array, *, index: Any, shape: Shape, order: Any) -> Array:
    return getitem_transpose(g, index=(_all(batch.size), *index), shape=(batch.size, *shape))


@place_regions.batch
def _place_regions(batch: Batch, *gs: Array, indices: tuple[Any, ...], shape: Shape, order: Any) -> Array:
    full = [batch.full(g, i) for i, g in enumerate(gs)]
    indices = tuple((_all(batch.size), *index) for index in indices)
    return place_regions(*full, indices=indices, shape=(batch.size, *shape))


@setitem.batch
def _setitem(batch: Batch, x: Array, v: Array, *, index: Any) -> Array:
    return setitem(batch.full(x, 0), batch.full(v, 1), index=(_all(batch.size), *index))


# ---------------------------------------------------------------- without a rule that could be


@nonzero_.batch
def _nonzero(batch: Batch, mask: Array) -> Any:
    raise ValueError(
        "vmap: how many elements a mask selects differs between examples, so the result has no one shape; use pb.where "
        "or masked_fill instead of selecting"
    )
