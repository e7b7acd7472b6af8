"""The NumPy backend: the reference every other backend is compared with."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from . import threads
from .base import FLOATING, Array, Backend, Kernel
from .namespace import Namespace
from .numpy_special import SPECIAL
from .numpy_updates import kernels as update_kernels

# Ops whose kernel is one ufunc: naming it here saves a Python call per op.
UFUNCS: dict[str, Callable[..., Any]] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.true_divide,
    "negative": np.negative, "exp": np.exp, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt, "sin": np.sin,
    "cos": np.cos, "abs": np.abs, "reciprocal": np.reciprocal, "maximum": np.maximum, "minimum": np.minimum,
    "power": operator.pow,  # the operator has short ways for exponents like 2 and 0.5, which np.power lacks
    "exp2": np.exp2, "expm1": np.expm1, "log1p": np.log1p, "log2": np.log2, "log10": np.log10,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "sign": np.sign,
    "atan2": np.arctan2, "hypot": np.hypot, "logaddexp": np.logaddexp, "clip_min": np.maximum, "clip_max": np.minimum,
    "floor_divide": np.floor_divide, "remainder": np.remainder, "fmod": np.fmod, "equal": np.equal,
    "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor, "logical_and": np.logical_and, "logical_or": np.logical_or,
}  # fmt: skip


def tanh_grad(u: Array, y: Array) -> Array:
    """u − u·y·y: NumPy is slow with Python's numbers, such as the 1 of u·(1 − y²)."""
    return u - u * y * y


def erf(x: Array) -> Array:
    """Error function, by SciPy, which is imported when first needed."""
    from scipy.special import erf as scipy_erf

    return scipy_erf(x)


def index_add(x: Array, index: Array, updates: Array, axis: int) -> Array:
    """A copy of x with updates added at index along axis; repeated indices accumulate, in order."""
    out = np.array(np.moveaxis(x, axis, 0), order="C")
    index = wrap_index(index, out.shape[0])
    width = math.prod(out.shape[1:])
    if width != 1:  # `add.at` on one flat index runs many times faster than on rows
        index = (index[:, None] * width + np.arange(width)).reshape(-1)
    np.add.at(out.reshape(-1), index, np.moveaxis(updates, axis, 0).reshape(-1))
    return np.moveaxis(out, 0, axis)


def wrap_index(index: Array, n: int) -> Array:
    """An integer array with negative indices counted from the start; an IndexError if one is out of bounds."""
    index = np.asarray(index).astype(np.int64, copy=False)
    if index.size == 0:
        return index
    low, high = index.min(), index.max()
    if low < -n or high >= n:
        raise IndexError(f"index {high if high >= n else low} is out of bounds for an axis of length {n}")
    return index if low >= 0 else np.where(index < 0, index + n, index)


def masked(mask: Array, x: Array) -> Array:
    """The values of x where the mask holds, else 0: on the bits, because `np.where` is slow on random masks."""
    bits = np.dtype(f"i{x.dtype.itemsize}")
    kept: Array = np.bitwise_and(x.view(bits), np.negative(mask.view(np.int8)), dtype=bits).view(x.dtype)
    return kept


def where(condition: Array, x: Array, y: Array) -> Array:
    """Choose x where the condition holds, else y. Beside a scalar 0, as rules have it, floats are masked bitwise."""
    if type(y) is float and y == 0.0 and getattr(x, "dtype", None) in FLOATING:
        return masked(condition, x)
    if type(x) is float and x == 0.0 and getattr(y, "dtype", None) in FLOATING:
        return masked(np.logical_not(condition), y)
    return np.where(condition, x, y)


def square(x: Array) -> Array:
    """x², of bools too, which `np.square` would make numbers."""
    product: Array = np.multiply(x, x)
    return product


def rsqrt(x: Array) -> Array:
    """1/√x."""
    root: Array = np.reciprocal(np.sqrt(x))
    return root


def clip(x: Array, *, min: float | None, max: float | None) -> Array:
    """x limited to [min, max], either of which may be None."""
    limited: Array = np.clip(x, min, max)
    return limited


def astype(x: Array, *, dtype: str) -> Array:
    """The values in another dtype."""
    return x.astype(dtype)


def sum_(x: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Sum over axes; bools and integers as int64. The ufunc's own reduction skips half of `np.sum`'s overhead."""
    reduce: Callable[..., Any] = np.add.reduce
    return reduce(x, axis=axis, keepdims=keepdims, dtype=None if x.dtype in FLOATING else np.int64)


def mean_(x: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Mean of a floating array over axes; NaN of nothing."""
    reduce: Callable[..., Any] = np.add.reduce
    total = reduce(x, axis=axis, keepdims=keepdims)
    n = x.size // total.size if total.size else 1
    mean: Array = total / n if n else total * math.nan
    return mean


def prod_(x: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Product over axes; bools and integers as int64."""
    reduce: Callable[..., Any] = np.multiply.reduce
    return reduce(x, axis=axis, keepdims=keepdims, dtype=None if x.dtype in FLOATING else np.int64)


def max_(x: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Maximum over axes."""
    reduce: Callable[..., Any] = np.maximum.reduce
    return reduce(x, axis=axis, keepdims=keepdims)


def min_(x: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Minimum over axes."""
    reduce: Callable[..., Any] = np.minimum.reduce
    return reduce(x, axis=axis, keepdims=keepdims)


def sliding_windows(x: Array, window: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Array:
    """A read-only strided view of all windows: no copy. See `backends.generic.sliding_windows`."""
    k = len(window)
    spatial, steps = x.shape[x.ndim - k :], x.strides[x.ndim - k :]
    out = tuple(
        max((n - d * (w - 1) - 1) // s + 1, 0) for n, w, s, d in zip(spatial, window, stride, dilation, strict=True)
    )
    strides = (
        *x.strides[: x.ndim - k],
        *(step * s for step, s in zip(steps, stride, strict=True)),
        *(step * d for step, d in zip(steps, dilation, strict=True)),
    )
    shape = (*x.shape[: x.ndim - k], *out, *window)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


class NumpyBackend(Backend):
    """NumPy arrays, NumPy functions, SciPy's special functions."""

    name = "numpy"
    array_type = np.ndarray

    def __init__(self) -> None:
        super().__init__(
            Namespace(
                np,
                erf=erf,
                index_add=index_add,
                masked=masked,
                sliding_windows=sliding_windows,
                wrap_index=wrap_index,
                **SPECIAL,
            ),
        )
        threads.apply_environment()
        for op, ufunc in UFUNCS.items():
            self.kernels[op] = Kernel(ufunc)
        self.kernels["tanh_grad"] = Kernel(tanh_grad)
        self.kernels["where"] = Kernel(where)
        for op, fn in (("square", square), ("rsqrt", rsqrt), ("clip", clip), ("astype", astype)):
            self.kernels[op] = Kernel(fn)
        for op, reduce in (("sum", sum_), ("mean", mean_), ("max", max_), ("min", min_), ("prod", prod_)):
            self.kernels[op] = Kernel(reduce)
        self.kernels.update(update_kernels())

    def asarray(self, data: Any, dtype: np.dtype[Any] | None = None) -> Array:
        """`data` as an ndarray; nothing is copied if it already is one of that dtype."""
        return np.asarray(data, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """The array itself."""
        return np.asarray(array)

    def shares(self, x: Array, y: Array) -> bool:
        """Whether they overlap in memory, by their bounds."""
        return np.may_share_memory(x, y)

    def describe(self) -> str:
        """NumPy's version."""
        return f"NumPy {np.__version__}"
