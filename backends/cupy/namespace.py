"""CuPy as the array API standard has it: its own functions, and thin ones where it lacks or differs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cupy as cp
import numpy as np
from cupy.lib.stride_tricks import as_strided

from ..namespace import STANDARD, Namespace
from . import index

Array = Any
Axis = int | tuple[int, ...] | None


def namespace() -> Namespace:
    """The namespace handed to generic forwards on the GPU."""
    own = {name: getattr(cp, name) for name in STANDARD if hasattr(cp, name)}
    library = SimpleNamespace(**{**own, **{fn.__name__.rstrip("_"): fn for fn in ADAPTED}})
    return Namespace(library, erf=erf, index_add=index.index_add, sliding_windows=sliding_windows)


def erf(x: Array) -> Array:
    """Error function, by cupyx, which is imported when first needed."""
    from cupyx.scipy.special import erf as cupyx_erf

    return cupyx_erf(x)


def sliding_windows(x: Array, window: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Array:
    """A strided view of all windows: no copy. See `backends.generic.sliding_windows`."""
    k = len(window)
    spatial, steps = x.shape[x.ndim - k :], x.strides[x.ndim - k :]
    out = tuple(
        max((n - d * (w - 1) - 1) // s + 1, 0) for n, w, s, d in zip(spatial, window, stride, dilation, strict=True)
    )
    shape = (*x.shape[: x.ndim - k], *out, *window)
    strides = (
        *x.strides[: x.ndim - k],
        *(step * s for step, s in zip(steps, stride, strict=True)),
        *(step * d for step, d in zip(steps, dilation, strict=True)),
    )
    return as_strided(x, shape, strides)


# ------------------------------------------------------------------------ functions that CuPy lacks or spells otherwise


def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
    """CuPy calls the bounds a_min and a_max."""
    return cp.clip(x, min, max)


def var(x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """CuPy calls the correction ddof."""
    return cp.var(x, axis=axis, ddof=correction, keepdims=keepdims)


def std(x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """CuPy calls the correction ddof."""
    return cp.std(x, axis=axis, ddof=correction, keepdims=keepdims)


def count_nonzero(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """CuPy has no keepdims."""
    return cp.sum(x != 0, axis=axis, keepdims=keepdims, dtype=np.int64)


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """CuPy has no default axis."""
    return cp.take_along_axis(x, indices, axis)


def sort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """CuPy sorts in ascending order alone; all its sorts are stable."""
    out = cp.sort(x, axis=axis)
    return cp.flip(out, axis=axis) if descending else out


def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """CuPy sorts in ascending order alone; sorting the flipped array keeps equal elements in their order."""
    if not descending:
        return cp.argsort(x, axis=axis)
    return x.shape[axis] - 1 - cp.flip(cp.argsort(cp.flip(x, axis=axis), axis=axis), axis=axis)


def vecdot(x: Array, y: Array, /, *, axis: int = -1) -> Array:
    """CuPy has none."""
    return cp.sum(x * y, axis=axis)


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """CuPy has none."""
    return tuple(cp.moveaxis(x, axis, 0))


def max_(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """CuPy refuses empty arrays also where the result is empty."""
    return _extreme(cp.max, x, axis, keepdims, None)


def min_(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """CuPy refuses empty arrays also where the result is empty."""
    return _extreme(cp.min, x, axis, keepdims, None)


def argmax(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """CuPy refuses empty arrays also where the result is empty."""
    return _extreme(cp.argmax, x, axis, keepdims, np.int64)


def argmin(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """CuPy refuses empty arrays also where the result is empty."""
    return _extreme(cp.argmin, x, axis, keepdims, np.int64)


def _extreme(reduce: Any, x: Array, axis: Axis, keepdims: bool, dtype: Any) -> Array:
    if x.size == 0 and axis is not None:
        axes = {a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)}
        if all(x.shape[a] for a in axes):
            shape = (1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes)
            return cp.empty(tuple(shape), dtype=dtype or x.dtype)
    return reduce(x, axis=axis, keepdims=keepdims)


ADAPTED = (
    argmax, argmin, argsort, clip, count_nonzero, max_, min_, sort, std, take_along_axis, unstack, var, vecdot,
)  # fmt: skip
