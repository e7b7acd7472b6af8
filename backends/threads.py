"""How many threads the CPU backends compute with: one number for compiled kernels and for NumPy's and SciPy's BLAS.

The first answer found counts: `set_num_threads`, the environment variable `PULLBACK_NUM_THREADS`, the number of cores
this process may run on. Results do not depend on it: kernels cut their work into pieces by its shape alone.

After a fork, the threads of a kernel's pool do not exist in the child, so there the kernels step aside and the generic
forwards run (`forked`). Start data workers with the "spawn" or "forkserver" method.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["forked", "get_num_threads", "set_num_threads"]

_SETTERS = (
    "scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)  # fmt: skip


class _Threads:
    """The chosen count, and a version that tells each Python thread when to read it again."""

    count: int | None = None
    version = 0
    forked = False
    kernels = False


_threads = _Threads()


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """The number of threads that kernels compute with."""
    if _threads.count is None:
        text = os.environ.get("PULLBACK_NUM_THREADS")
        _threads.count = available_cores() if text is None else _checked(text, "PULLBACK_NUM_THREADS")
    return _threads.count


def set_num_threads(n: int) -> None:
    """Compute with `n` threads from now on, in every Python thread: compiled kernels, or OpenBLAS where none has run.

    More threads than the process has cores gain nothing; kernels use at most as many as their pool was started with.

    Raises
    ------
    ValueError : n is not a positive integer.
    """
    _threads.count = _checked(n, "the number of threads")
    _threads.version += 1
    limit_blas(1 if _threads.kernels else _threads.count)


def kernels_started() -> None:
    """Leave the threads to the kernels from now on: BLAS computes with one.

    OpenBLAS's own threads spin for milliseconds after every product, on the cores that the next kernel needs.
    """
    _threads.kernels = True
    limit_blas(1)


def version() -> int:
    """Counts the changes of `set_num_threads`."""
    return _threads.version


def forked() -> bool:
    """True in the child of a fork, where no kernel's threads exist."""
    return _threads.forked


def apply_environment() -> None:
    """Give NumPy's BLAS the number of threads that `PULLBACK_NUM_THREADS` asks for, if it is set."""
    if "PULLBACK_NUM_THREADS" in os.environ:
        limit_blas(1 if _threads.kernels else get_num_threads())


def _checked(n: int | str, what: str) -> int:
    try:
        count = int(n)
    except ValueError:
        count = 0
    if count < 1 or (not isinstance(n, str) and count != n):
        raise ValueError(f"{what} must be a positive integer, not {n!r}")
    return count


def limit_blas(n: int) -> None:
    """Set the number of threads of every OpenBLAS loaded in this process, by the library's own setter."""
    for path in openblas_paths():
        setter = _setter(path)
        if setter is not None:
            setter(n)


def openblas_paths() -> Iterator[str]:
    """Files of the OpenBLAS libraries in this process: NumPy's and SciPy's wheels bring one each."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        lines = (line.split(maxsplit=5) for line in maps.read_text(errors="replace").splitlines())
        yield from sorted({line[5] for line in lines if len(line) == 6 and "openblas" in Path(line[5]).name})
        return
    for package in ("numpy", "scipy"):
        module = sys.modules.get(package)
        if module is not None and module.__file__ is not None:
            home = Path(module.__file__).parent
            for folder in (home.parent / f"{package}.libs", home / ".dylibs"):
                yield from (str(path) for path in sorted(folder.glob("*openblas*")))


def _setter(path: str) -> Callable[[int], None] | None:
    try:
        library = ctypes.CDLL(path)
    except OSError:
        return None
    for name in _SETTERS:
        setter = getattr(library, name, None)
        if setter is not None:
            setter.argtypes, setter.restype = [ctypes.c_int], None
            called: Callable[[int], None] = setter
            return called
    return None


def _after_fork() -> None:
    _threads.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
