"""Array backends: the protocol, the registry, and NumPy, Numba and CuPy implementations, loaded on first use."""

from .base import DTYPE_NAME, Array, Backend, FallbackWarning, Kernel
from .errors import BackendError
from .namespace import Namespace
from .registry import (
    availability,
    backend,
    backend_names,
    current_backend,
    get_backend,
    register_backend,
    set_backend,
)
from .threads import get_num_threads, set_num_threads

__all__ = [
    "DTYPE_NAME",
    "Array",
    "Backend",
    "BackendError",
    "FallbackWarning",
    "Kernel",
    "Namespace",
    "availability",
    "backend",
    "backend_names",
    "current_backend",
    "get_backend",
    "get_num_threads",
    "register_backend",
    "set_backend",
    "set_num_threads",
]
