"""Which backends exist, which one is current, and why one is not available.

Backends load lazily, on first use. The current one is chosen most specific first: an explicit argument,
`with backend(name)`, `set_backend(name)`, the environment variable `PULLBACK_BACKEND`, numba where it is installed,
numpy.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .base import Backend
from .errors import BackendError

ENTRY_POINTS = "pullback.backends"

# name -> (module, factory, the library it needs, how to install it)
_BUILTIN = {
    "numpy": (".numpy", "NumpyBackend", "numpy", "pip install numpy"),
    "numba": (".numba", "NumbaBackend", "numba", "pip install 'pullback[numba]'"),
    "cupy": (
        ".cupy",
        "CupyBackend",
        "cupy",
        "pip install 'pullback[cuda12x]' (CUDA 12) or 'pullback[cuda13x]' (CUDA 13)",
    ),
}
_factories: dict[str, Callable[[], Backend]] = {}
_loaded: dict[str, Backend] = {}
_lock = threading.RLock()
_default: Backend | None = None


class _Local(threading.local):
    stack: tuple[Backend, ...] = ()


_local = _Local()


def register_backend(name: str, factory: Callable[[], Backend]) -> None:
    """Make a backend known under `name`; `factory` is called once, at first use.

    Packages can do the same without being imported, with an entry point in the group `pullback.backends`.
    """
    with _lock:
        if name in _BUILTIN:
            raise BackendError(f"{name!r} is a built-in backend; register yours under another name")
        _factories[name] = factory
        _loaded.pop(name, None)


def _entry_points() -> dict[str, Callable[[], Callable[[], Backend]]]:
    from importlib.metadata import entry_points

    return {point.name: point.load for point in entry_points(group=ENTRY_POINTS)}


def backend_names() -> list[str]:
    """Names of all known backends, built-in first, whether or not they can be loaded here."""
    return [*_BUILTIN, *sorted({*_factories, *_entry_points()} - set(_BUILTIN))]


def get_backend(which: str | Backend | None = None) -> Backend:
    """The backend of that name, loaded if need be; the current one for None.

    Raises
    ------
    BackendError
        The name is unknown, or the backend's library is missing or finds no device; the message says what to do.
    """
    if which is None:
        return current_backend()
    if isinstance(which, Backend):
        return which
    found = _loaded.get(which)
    if found is None:
        with _lock:
            found = _loaded.get(which)
            if found is None:
                found = _loaded[which] = _load(which)
    return found


def _load(name: str) -> Backend:
    if name in _factories:
        return _factories[name]()
    if name in _BUILTIN:
        module, factory, library, install = _BUILTIN[name]
        if importlib.util.find_spec(library) is None:
            raise BackendError(f"backend {name!r} needs the package {library}, which is not installed: {install}")
        try:
            loaded = importlib.import_module(module, __package__)
        except ImportError as error:  # installed, but broken or not fitting this machine
            raise BackendError(f"backend {name!r} cannot import {library} ({error}): {install}") from error
        made: Backend = getattr(loaded, factory)()
        return made
    points = _entry_points()
    if name in points:
        return points[name]()()
    if not isinstance(name, str):
        raise BackendError(f"a backend is named by a string, one of {', '.join(backend_names())}, not {name!r}")
    meant = {"cpu": "numpy' or 'numba", "cuda": "cupy", "gpu": "cupy"}.get(name.partition(":")[0])
    raise BackendError(
        f"unknown backend {name!r}; known are {', '.join(backend_names())}. "
        f"{f'(A device is not named here: {meant!r}?) ' if meant else ''}"
        f"A package can add one with an entry point in the group {ENTRY_POINTS!r}."
    )


def current_backend() -> Backend:
    """The backend new tensors are created on in this thread."""
    stack = _local.stack
    if stack:
        return stack[-1]
    return _default if _default is not None else _environment_backend()


def _environment_backend() -> Backend:
    global _default
    name = os.environ.get("PULLBACK_BACKEND")
    if name is None:
        name = "numba" if importlib.util.find_spec("numba") is not None else "numpy"
    _default = get_backend(name)
    return _default


def set_backend(which: str | Backend) -> Backend:
    """Make a backend the default for the whole process, and return it."""
    global _default
    _default = get_backend(which)
    return _default


@contextmanager
def backend(which: str | Backend) -> Iterator[Backend]:
    """Within the block, new tensors of this thread are created on `which`.

    >>> import pullback as pb
    >>> with pb.backend("numpy"):
    ...     pb.zeros(3).backend.name
    'numpy'
    """
    chosen = get_backend(which)
    before = _local.stack
    _local.stack = (*before, chosen)
    try:
        yield chosen
    finally:
        _local.stack = before


def availability() -> dict[str, str]:
    """Backend name -> "" where it can be used, else one line that says why not and what to do."""
    reasons = {}
    for name in backend_names():
        try:
            get_backend(name)
            reasons[name] = ""
        except Exception as error:  # a third-party factory may raise anything; the reason is what is wanted
            reasons[name] = f"{error}"
    return reasons
