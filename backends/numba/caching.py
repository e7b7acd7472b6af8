"""Compiled functions on disk: beside their file, in `NUMBA_CACHE_DIR`, or in the user's cache directory.

Where none of them can be written, functions run uncached. A cached function is found only under the exact text of *all*
sources of this package, so one that calls a helper in another file cannot go stale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile

STAMP = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()


class Cache(FunctionCache):  # type: ignore[misc]  # Numba's types are unknown
    """Numba's cache of compiled functions, keyed by all of this package's sources, and never an obstacle."""

    def __init__(self, fn: Callable[..., Any], dtype: str) -> None:
        super().__init__(fn)
        self._dtype = dtype
        name = f"{self._impl.filename_base}-{dtype}-{STAMP[:16]}"
        self._cache_file = IndexDataCacheFile(cache_path=self._cache_path, filename_base=name, source_stamp=STAMP)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self._dtype

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a file cut short by a full disk or a kill unpickles to anything: compile instead
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:  # the disk is full, the directory has become read-only, or the index is damaged
            self.disable()


def cached(compiled: Any, fn: Callable[..., Any], dtype: str) -> Any:
    """A function that Numba will compile, with its cache: `dtype` tells its versions apart."""
    with suppress(RuntimeError):  # no cache directory can be written
        compiled._cache = Cache(fn, dtype)
    return compiled


def cache_directory() -> Path | None:
    """Where compiled kernels are kept; None if no directory can be written."""
    try:
        return Path(Cache(cached, "").cache_path)
    except RuntimeError:
        return None
