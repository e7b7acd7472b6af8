"""The backend protocol: an array namespace, a few functions the array standard lacks, and a table of kernels.

A backend knows nothing of autograd. It is told an op's *name* and its generic forward function, and answers with the
callable that computes it on this backend's arrays: a kernel of its own where one fits, the generic forward otherwise.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import BackendError
from .namespace import Namespace

#: An array of some backend (`numpy.ndarray`, `cupy.ndarray`, ...). Backends differ in type, so this is `Any`.
Array = Any

DTYPES = tuple(
    np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64",
    )
)  # fmt: skip
FLOATING = frozenset(dtype for dtype in DTYPES if dtype.kind == "f")
DTYPE_NAME = {dtype: dtype.name for dtype in DTYPES}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A backend's own implementation of an op, and the predicate that says which arguments it takes.

    Attributes
    ----------
    fn : called as `fn(*arrays, **static_parameters)`; returns the array, or a tuple for ops with several outputs.
    guard : called with the same arguments; False sends the call to the generic forward, and it is counted.
    """

    fn: Callable[..., Any]
    guard: Callable[..., bool] | None = None


class FallbackWarning(RuntimeWarning):
    """An op with a kernel on this backend ran its generic forward because the kernel's guard declined."""


class Backend:
    """One place where arrays live and ops are computed. Subclass it, then `pb.register_backend`.

    Attributes
    ----------
    name : what users write in `PULLBACK_BACKEND` and `.to(name)`.
    xp : the array API namespace handed to generic forwards, with the extra functions of `Namespace`.
    array_type : the type of this backend's arrays.
    kernels : op name -> `Kernel`, this backend's overrides.
    float_dtypes : the library's own dtype objects of floating arrays, for a quick test.
    host : True where arrays live in the host's memory, so that converting from NumPy copies between no devices.
    large : elements from which arithmetic by its kernels is quicker than by its arrays' operators; None if never.
    levels : the `vmap` calls that its tensors are inside of; none, but for the engine's own batched backends.
    """

    name: str = "abstract"
    array_type: Any = object
    host: bool = True
    large: int | None = None
    levels: tuple[Any, ...] = ()

    def __init__(self, xp: Namespace) -> None:
        self.xp = xp
        self.kernels: dict[str, Kernel] = {}
        self.fallbacks: Counter[str] = Counter()
        self.float_dtypes: frozenset[Any] = frozenset(FLOATING)
        self._table: dict[str, Callable[..., Any]] = {}

    # ---------------------------------------------------------------- arrays

    def asarray(self, data: Any, dtype: np.dtype[Any] | None = None) -> Array:
        """`data` (array-like, or an array of this backend) as an array of this backend; copies only if it must."""
        raise NotImplementedError

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """The array's values as a NumPy array in host memory."""
        raise NotImplementedError

    def every_value(self, array: Array) -> np.ndarray[Any, Any]:
        """The values that a check should look at: `to_numpy`, or under `vmap` those of all examples."""
        return self.to_numpy(array)

    def text(self, array: Array, prefix: str) -> str:
        """The values as they stand in a tensor's repr, behind a prefix."""
        values = self.to_numpy(array)
        return np.array2string(values, precision=4, threshold=24, edgeitems=3, separator=", ", prefix=prefix)

    def dtype_of(self, array: Array) -> np.dtype[Any]:
        """The array's dtype as a NumPy dtype, whatever the backend's own dtype objects are."""
        dtype: np.dtype[Any] = np.dtype(array.dtype)
        return dtype

    def dtype_name(self, array: Array) -> str:
        """The dtype's name, e.g. `"float32"`: hashable and the same on every backend."""
        return DTYPE_NAME[array.dtype]

    def native_dtype(self, name: str) -> Any:
        """The backend's own dtype object of that name."""
        return getattr(self.xp, name)

    @property
    def device(self) -> str:
        """Where arrays of this backend live, e.g. `"cpu"` or `"cuda:0"`."""
        return "cpu"

    def synchronize(self) -> None:
        """Wait until everything submitted so far is computed; a no-op where calls are synchronous."""

    def describe(self) -> str:
        """One line for `python -m pullback info`: library version, threads, device."""
        return ""

    # --------------------------------------------------------------- kernels

    def register(self, op: str, guard: Callable[..., bool] | None = None) -> Callable[[Callable[..., Any]], Any]:
        """Decorator: make the function this backend's kernel for the op of that name."""

        def add(fn: Callable[..., Any]) -> Callable[..., Any]:
            self.kernels[op] = Kernel(fn, guard)
            self._table.pop(op, None)
            return fn

        return add

    def kernel(self, op: str, forward: Callable[..., Any], takes_xp: bool = True) -> Callable[..., Any]:
        """The callable that computes `op` here, resolved once and remembered."""
        found = self._table.get(op)
        if found is None:
            generic = functools.partial(forward, xp=self.xp) if takes_xp else forward
            found = self._table[op] = self._choose(op, generic)
        return found

    def _choose(self, op: str, generic: Callable[..., Any]) -> Callable[..., Any]:
        kernel = self.kernels.get(op)
        if kernel is None:
            return generic
        fn, guard = kernel.fn, kernel.guard
        if guard is None:
            return fn

        def guarded(*arrays: Array, **static: Any) -> Any:
            if guard(*arrays, **static):
                return fn(*arrays, **static)
            self.count_fallback(op, arrays)
            return generic(*arrays, **static)

        return guarded

    # ------------------------------------------------ steps that are recorded and replayed

    def launched(
        self, fn: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any], constant: frozenset[int]
    ) -> tuple[Any, Any]:
        """Run a kernel for a recorded step: its result, and its launches, or None where only `fn` can repeat it.

        `constant` are the positions of arguments that have the same values at every replay.
        Launches read their arguments and write their results at the same places in memory whenever they are run.
        """
        return fn(*args, **params), None

    def player(self, launches: list[Any], touched: list[Array]) -> Any:
        """What runs launches: an object with two methods.

        `play(i, j)` runs launches[i:j] in order and returns −1, or the index of the one that met bad data and stopped.
        `place(array)` is the array at the place where the player has put it. Memory that `touched` does not reach holds
        nothing that anyone but the launches needs, from its first use to its last in one replay, and may be shared.
        """
        raise NotImplementedError

    def trim(self) -> None:
        """Give back memory that is kept for later and not used."""

    def shares(self, x: Array, y: Array) -> bool:
        """Whether writing to y may change x; False where that cannot be told, and then views are made anew."""
        return False

    def count_fallback(self, op: str, arrays: tuple[Array, ...], why: str | None = None) -> None:
        """Note that `op` ran generically although a kernel exists; warn or raise as `PULLBACK_FALLBACK` says."""
        self.fallbacks[op] += 1
        policy = os.environ.get("PULLBACK_FALLBACK", "allow")
        if policy == "allow":
            return
        what = ", ".join(f"{tuple(a.shape)} {a.dtype}" if hasattr(a, "shape") else repr(a) for a in arrays)
        message = f"{op}: the {self.name} kernel declined ({what}); the generic forward runs instead"
        if why is not None:
            message = f"{op} ({what}): {why}"
        if policy == "error":
            raise BackendError(f"{message}. PULLBACK_FALLBACK=error forbids that; set it to allow or warn.")
        if policy == "warn":
            warnings.warn(message, FallbackWarning, stacklevel=4)
            return
        raise BackendError(f"PULLBACK_FALLBACK must be allow, warn or error, not {policy!r}")

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    def __reduce__(self) -> Any:
        from .registry import get_backend

        return get_backend, (self.name,)
