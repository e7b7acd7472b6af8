"""What `python -m pullback info` prints: what is installed here and what of it is used."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Iterator

from .backends import BackendError, current_backend, get_backend
from .backends.registry import availability
from .data.files import DataUnavailableError, cache_dir, data_dir

LIBRARIES = (
    "pullback", "numpy", "scipy", "safetensors", "tqdm", "numba", "llvmlite", "cupy-cuda12x", "cupy-cuda13x", "cupy",
    "scikit-learn", "matplotlib", "pooch",
)  # fmt: skip


def report() -> str:
    """Versions, backends with why each is or is not available, threads and BLAS libraries, folders."""
    sections = {
        "versions": _versions(), "backends": _backends(), "threads": _threads(), "BLAS": _blas(), "folders": _folders(),
    }  # fmt: skip
    lines = []
    for title, entries in sections.items():
        pairs = list(entries)
        width = max(len(key) for key, _ in pairs)
        lines += [title, *(f"  {key:<{width}}  {value}" for key, value in pairs)]
    return "\n".join(lines)


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    for name in LIBRARIES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if not name.startswith("cupy-"):
                yield name, "not installed"


def _backends() -> Iterator[tuple[str, str]]:
    reasons = availability()
    for name, reason in reasons.items():
        if reason:
            yield name, f"not available: {reason}"
        else:
            found = get_backend(name)
            yield name, "; ".join(filter(None, ["available", found.describe(), f"device {found.device}"]))
    try:
        yield "current", current_backend().name
    except BackendError as error:
        yield "current", f"none: {error}"


def _threads() -> Iterator[tuple[str, str]]:
    yield (
        "cpus",
        f"{os.cpu_count()}, {len(os.sched_getaffinity(0))} usable"
        if hasattr(os, "sched_getaffinity")
        else f"{os.cpu_count()}",
    )
    for name in (
        "PULLBACK_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
    ):
        if name in os.environ:
            yield name, os.environ[name]


def _blas() -> Iterator[tuple[str, str]]:
    if importlib.util.find_spec("threadpoolctl"):
        import numpy  # noqa: F401  (its BLAS must be loaded to be seen)
        from threadpoolctl import threadpool_info

        for pool in threadpool_info():
            version = f" {pool['version']}" if pool["version"] else ""
            yield pool["internal_api"] + version, f"{pool['num_threads']} threads, {pool['filepath']}"
        return
    from numpy import show_config

    blas = show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index, call-overload]
    yield (
        str(blas.get("name")),
        f"version {blas.get('version')} (thread counts are shown where threadpoolctl is installed)",
    )


def _folders() -> Iterator[tuple[str, str]]:
    try:
        yield "PULLBACK_DATA", str(data_dir() or "not set")
    except DataUnavailableError as error:
        yield "PULLBACK_DATA", str(error)
    yield "data cache", str(cache_dir())
    yield "numba cache", os.environ.get("NUMBA_CACHE_DIR", "beside the modules")
