"""Launching the kernels of the CUDA sources: modules compiled on first use, argument types, grid sizes."""

from __future__ import annotations

import functools
from typing import Any

import cupy as cp
import numpy as np

from . import sources

Array = Any

THREADS = 256
#: Kernels loop with the grid's stride, so this many blocks keep any GPU busy whatever the number of elements.
MOST_BLOCKS = 1 << 16
#: Coordinates inside kernels are 32-bit; guards decline larger arrays. The margin is for a loop's last step.
LARGEST = 2**31 - 2**16

FLOATS = frozenset(np.dtype(name) for name in sources.FLOATS)


@functools.cache
def _function(device: int, module: str, dtype: str, name: str) -> Any:
    return _module(device, module, dtype).get_function(name)


@functools.cache
def _module(device: int, module: str, dtype: str) -> Any:
    return cp.RawModule(code=sources.source(module), options=sources.options(dtype))


def launch(
    module: str, name: str, dtype: np.dtype[Any], grid: int | tuple[int, ...], *args: Any, threads: int = THREADS
) -> None:
    """Run one kernel of `module`, in its variant for `dtype`.

    Python ints are passed as 32-bit `int`, floats as `double`, NumPy scalars as what they are, arrays as pointers:
    pass a `numpy.int64` where the kernel takes an `i64`.
    """
    shape = (grid,) if isinstance(grid, int) else grid
    if 0 in shape:
        return
    function = _function(cp.cuda.runtime.getDevice(), module, dtype.name, name)
    function(shape, (threads,), tuple(_argument(a) for a in args))


def launch_each(module: str, name: str, dtype: np.dtype[Any], n: int, *args: Any) -> None:
    """Run a kernel over n independent elements; n is its first argument, an `i64`."""
    launch(module, name, dtype, min(-(-n // THREADS), MOST_BLOCKS), np.int64(n), *args)


def _argument(value: Any) -> Any:
    if isinstance(value, bool | int):
        return np.int32(value)
    if isinstance(value, float):
        return np.float64(value)
    return value


def packed(x: Array) -> Array:
    """The array with its elements next to each other in row-major order, as kernels read it."""
    return cp.ascontiguousarray(x)


def floats(*arrays: Array) -> bool:
    """Whether the arrays are float32 or float64, all the same, and small enough for 32-bit coordinates."""
    dtype = arrays[0].dtype
    return dtype in FLOATS and all(a.dtype == dtype and a.size <= LARGEST for a in arrays)
