"""Memory for large results, kept when they die and given to the next one of about their size.

A fresh large array costs a page fault for every 4 KiB written, several times what a pass over it costs; a training step
makes the same arrays again and again. What is kept, used and unused together, is never more than was in use at once.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from typing import Any

import numpy as np

Array = Any

LARGE = 1 << 18  # bytes; smaller arrays come from NumPy
LINE = 64  # bytes of a cache line. Two threads that write the ends of one wait for each other: arrays begin with one
_SMALL = 1 << 14  # bytes; such arrays are not worth the microsecond that it takes


class _Pool:
    """Unused memory by size, and how many bytes are in use, unused, and were in use at most."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a block may die, and come back, while its thread holds the lock
        self.unused: dict[int, list[Array]] = {}
        self.live = self.idle = self.peak = 0

    def take(self, size: int) -> Array:
        with self.lock:
            found = self.unused.get(size)
            self.live += size
            self.peak = max(self.peak, self.live)
            if found:
                self.idle -= size
                return found.pop()
            self._shrink()
        return np.empty(size, np.uint8)

    def give(self, memory: Array) -> None:
        with self.lock:
            self.live -= memory.nbytes
            self.idle += memory.nbytes
            self.unused.setdefault(memory.nbytes, []).append(memory)

    def _shrink(self) -> None:
        for size in sorted(self.unused, reverse=True):
            kept = self.unused[size]
            while kept and self.live + self.idle > self.peak:
                kept.pop()
                self.idle -= size
            if not kept:
                del self.unused[size]


class _Block:
    """The owner of an array's memory. When the array and all views of it are gone, the memory is free again."""

    __slots__ = ("__array_interface__", "memory", "pool")

    def __init__(self, memory: Array, pool: _Pool, shape: tuple[int, ...], dtype: Any) -> None:
        self.memory, self.pool = memory, pool
        self.__array_interface__ = {
            "version": 3, "data": (memory.ctypes.data + LINE - 1 & -LINE, False), "shape": shape, "typestr": dtype.str,
        }  # fmt: skip

    def __del__(self) -> None:
        self.pool.give(self.memory)


_pool = _Pool()
_library = ctypes.CDLL(None) if os.name == "posix" else None


def trim() -> None:
    """Give unused memory back to the system."""
    with _pool.lock:
        _pool.unused.clear()
        _pool.idle, _pool.peak = 0, _pool.live
    if _library is not None and hasattr(_library, "malloc_trim"):  # glibc keeps freed memory for itself otherwise
        _library.malloc_trim(0)


def _unlock() -> None:
    _pool.lock = threading.RLock()  # another thread of the parent may have held it at the fork


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """As `np.empty`, row-major."""
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        if size < _SMALL:
            return np.empty(shape, dtype)
        memory = np.empty(size + LINE, np.uint8)
        return np.ndarray(shape, dtype, memory, -memory.ctypes.data % LINE)
    step = 1 << (size.bit_length() - 4)  # eight sizes between one power of two and the next
    return np.asarray(_Block(_pool.take(-(-size // step) * step + LINE), _pool, shape, dtype))


def empty_images(n: int, c: int, h: int, w: int, dtype: Any) -> Array:
    """Uninitialised (n, c, h, w), channels last in memory."""
    return empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)
