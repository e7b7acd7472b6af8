"""The NumPy backend: the reference every other backend is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, Backend, Kernel
from .namespace import Namespace

# Ops whose kernel is one ufunc: naming it here saves a Python call per op.
UFUNCS = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.true_divide,
    "negative": np.negative, "exp": np.exp, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt, "sin": np.sin,
    "cos": np.cos, "abs": np.abs, "maximum": np.maximum, "minimum": np.minimum, "matmul": np.matmul,
}  # fmt: skip


def erf(x: Array) -> Array:
    """Error function, by SciPy, which is imported when first needed."""
    from scipy.special import erf as scipy_erf

    return scipy_erf(x)


def index_add(x: Array, index: Array, updates: Array, axis: int) -> Array:
    """A copy of x with updates added at index along axis; repeated indices accumulate."""
    out = np.array(x)
    np.add.at(out, (slice(None),) * axis + (index,), updates)
    return out


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
            Namespace(np, erf=erf, index_add=index_add, sliding_windows=sliding_windows),
        )
        for op, ufunc in UFUNCS.items():
            self.kernels[op] = Kernel(ufunc)

    def asarray(self, data: Any, dtype: np.dtype[Any] | None = None) -> Array:
        """`data` as an ndarray; nothing is copied if it already is one of that dtype."""
        return np.asarray(data, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """The array itself."""
        return np.asarray(array)

    def describe(self) -> str:
        """NumPy's version."""
        return f"NumPy {np.__version__}"
