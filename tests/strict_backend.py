"""array-api-strict as a backend: generic code that runs here uses the Python array API standard and nothing else.

`strict` computes on the host. `strict-device` keeps its arrays on the library's second device, where converting them to
NumPy implicitly, or mixing them with host arrays, raises: it stands in for a GPU.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import array_api_strict
import numpy as np

from pullback.backends import Backend, Namespace

API_VERSION = "2024.12"
CREATION = ("arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros")
HOST, DEVICE = array_api_strict.Device("CPU_DEVICE"), array_api_strict.Device("device1")


class StrictBackend(Backend):
    """The standard's functions as array-api-strict has them, and the generic extras; no kernels."""

    name = "strict"
    array_type = type(array_api_strict.asarray(0))
    host = True
    _device = HOST

    def __init__(self) -> None:
        array_api_strict.set_array_api_strict_flags(api_version=API_VERSION)
        super().__init__(Namespace(_on_device(self._device)))
        self.float_dtypes = frozenset({array_api_strict.float32, array_api_strict.float64})
        self._names = {dtype: name for name, dtype in array_api_strict.__array_namespace_info__().dtypes().items()}

    def asarray(self, data: Any, dtype: np.dtype[Any] | None = None) -> Any:
        """`data` as a strict array on this backend's device; an array of another device is refused."""
        native = None if dtype is None else self.native_dtype(np.dtype(dtype).name)
        if isinstance(data, self.array_type) and data.device != self._device:
            raise ValueError(f"an array on {data.device} does not move to {self._device} by itself")
        return array_api_strict.asarray(data, dtype=native, device=self._device)

    def to_numpy(self, array: Any) -> np.ndarray[Any, Any]:
        """A NumPy view of the array's values, after an explicit move to the host."""
        return np.asarray(array.to_device(HOST)).view()

    def dtype_of(self, array: Any) -> np.dtype[Any]:
        return np.dtype(self._names[array.dtype])

    def dtype_name(self, array: Any) -> str:
        return self._names[array.dtype]

    @property
    def device(self) -> str:
        return "cpu"

    def describe(self) -> str:
        return f"array-api-strict {array_api_strict.__version__}, standard {API_VERSION}"


class StrictDeviceBackend(StrictBackend):
    """The same with every array on the library's `device1`."""

    name = "strict-device"
    host = False
    _device = DEVICE

    @property
    def device(self) -> str:
        return "device1"


def _on_device(device: Any) -> Any:
    """The library with its creation functions making arrays on `device`, as a GPU library's do on the GPU."""
    if device == HOST:
        return array_api_strict
    names = {name: getattr(array_api_strict, name) for name in dir(array_api_strict) if not name.startswith("_")}
    names["linalg"] = array_api_strict.linalg  # loaded on first access, so not in dir()
    for name in CREATION:
        names[name] = functools.partial(names[name], device=device)
    return SimpleNamespace(**names)
