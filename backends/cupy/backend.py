"""The CuPy backend: arrays on one NVIDIA GPU."""

from __future__ import annotations

from typing import Any

import cupy as cp
import numpy as np

from ..base import Array, Backend
from ..errors import BackendError
from . import conv, namespace, norm, pool, random, softmax, update

INSTALL = "pip install 'pullback[cuda12x]' (CUDA 12) or 'pullback[cuda13x]' (CUDA 13)"


class CupyBackend(Backend):
    """CuPy arrays and functions, cuBLAS products, and the CUDA C kernels of this folder.

    Raises
    ------
    BackendError : there is no usable GPU; the message says what the driver answered.
    """

    name = "cupy"
    array_type = cp.ndarray
    host = False

    def __init__(self) -> None:
        _find_device()
        super().__init__(namespace.namespace())
        for family in (conv, pool, softmax, norm, update, random):
            family.register(self)

    def asarray(self, data: Any, dtype: np.dtype[Any] | None = None) -> Array:
        """`data` on the GPU; nothing is copied if it already is a CuPy array of that dtype."""
        return cp.asarray(data, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """A copy in host memory; waits for the array to be computed."""
        return np.asarray(cp.asnumpy(array))

    @property
    def device(self) -> str:
        """The current device, e.g. `"cuda:0"`."""
        return f"cuda:{cp.cuda.runtime.getDevice()}"

    def synchronize(self) -> None:
        """Wait for the current stream."""
        cp.cuda.get_current_stream().synchronize()

    def describe(self) -> str:
        """CuPy's version, CUDA's versions, the device's name and compute capability."""
        runtime = cp.cuda.runtime
        properties = runtime.getDeviceProperties(runtime.getDevice())
        name = properties["name"].decode()
        return (
            f"CuPy {cp.__version__}, CUDA runtime {_version(runtime.runtimeGetVersion())}, driver for "
            f"{_version(runtime.driverGetVersion())}, {name} (compute capability {properties['major']}."
            f"{properties['minor']})"
        )


def _version(number: int) -> str:
    """CUDA's version number as people write it: 12090 -> 12.9."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _find_device() -> None:
    try:
        count = cp.cuda.runtime.getDeviceCount()
    except Exception as error:  # CUDA's own error types, and those of libraries that do not load
        raise BackendError(
            f"backend 'cupy' finds no usable NVIDIA GPU ({error}); it needs one, with a driver for the CUDA version "
            f"that CuPy was built for: {INSTALL}"
        ) from error
    if not count:
        raise BackendError(
            "backend 'cupy' finds no NVIDIA GPU; set CUDA_VISIBLE_DEVICES to one, or use another backend"
        )
