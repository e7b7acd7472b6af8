"""Compiling kernels: one decorator for helpers, one for kernels.

A kernel is a function of arrays, numbers and, last, the index of a *task*. `kernel` compiles it to a C function that
finds its arguments in a block of 8-byte words; called as `kernel(tasks, *arguments)` it runs all tasks, on all threads
if there are several (`running.py`).

Results are the same bits from run to run and for any number of threads: work is cut into tasks by shape alone, and
partial results are combined in a fixed order. So no `fastmath` but `contract`, which fuses a·b + c.

Kernels are cached on disk (`caching.py`).
"""

from __future__ import annotations

import ctypes
import functools
import operator
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc
from numba.core.datamodel.models import ArrayModel
from numba.extending import intrinsic as _intrinsic
from numba.extending import lower_builtin, register_model
from numba.extending import overload as _overload
from numba.np import arrayobj

from .caching import cached
from .running import Launch, local, run

#: What a kernel's parameters are called in its annotations. Arrays are row-major and seen as one-dimensional.
Array = Any
Floats = Any  #: of the kernel's floating dtype
Ints = Any  #: int64
Words = Any  #: uint32
Bytes = Any  #: int8
Doubles = Any  #: float64
Flag = Any  #: int64, one element, 0 until a task meets bad data
_FIXED: dict[str, np.dtype[Any]] = {
    "Ints": np.dtype(np.int64), "Words": np.dtype(np.uint32), "Bytes": np.dtype(np.int8),
    "Doubles": np.dtype(np.float64), "Flag": np.dtype(np.int64),
}  # fmt: skip
#: By dtype, an array that gives it to a kernel without arrays of its own.
LIKE = {np.dtype(t): np.empty(1, t) for t in (np.float32, np.float64)}
_SCALARS: dict[str, tuple[Any, Any]] = {"int": (types.int64, ctypes.c_int64), "float": (types.float64, ctypes.c_double)}


def intrinsic(fn: Callable[..., Any]) -> Any:
    """A function that writes LLVM's language itself: it gives a signature and what builds the code."""
    return _intrinsic(fn)


def in_kernels(chooser: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: a function that exists within kernels alone. It gives the code for the types of its arguments."""

    @functools.wraps(chooser)
    def name(*args: Any) -> Any:
        raise TypeError(f"{chooser.__name__} is computed within kernels only")

    # a loop with a call in it is not vectorised
    options = {"fastmath": {"contract"}, "error_model": "numpy", "forceinline": True}
    _overload(name, jit_options=options)(chooser)
    return name


def jit(fn: Callable[..., Any], inline: str = "never") -> Any:
    """Compile a helper that kernels call. It becomes part of them, so it has no cache of its own."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "inline": inline}
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(fn)


_word_at = ctypes.c_size_t.from_address
_DATA = object.__basicsize__  # the data pointer is the first thing after an array object's header
#: Where an array's data begins. NumPy's `x.ctypes.data` says the same ten times slower.
_DATA_OF = "word_at(id({0}) + offset).value"
if _word_at(id(_probe := np.zeros(1)) + _DATA).value != _probe.ctypes.data:  # another layout of objects than CPython's
    _DATA_OF = "{0}.ctypes.data"
_data_of: Callable[[Any], int] = eval(f"lambda x: {_DATA_OF.format('x')}", {"word_at": _word_at, "offset": _DATA})

_CONTENT = bytes.__basicsize__ - 1  # where the content of a bytes object begins
_BYTES_LIE_THERE = ctypes.string_at(id(_bytes := b"block of words") + _CONTENT, 14) == _bytes


def address_of(x: Any) -> int:
    """Where the array's data begins, for a table of addresses that a kernel reads."""
    if local.notes is not None:
        local.notes.addressed.append(x)
    return _data_of(x)


def addresses_of(arrays: Sequence[Any]) -> list[int]:
    """`address_of` for many."""
    if local.notes is not None:
        local.notes.addressed += arrays
    return [*map(_data_of, arrays)]


# ------------------------------------------------------------ the arrays that kernels see


class Flat(types.Array):  # type: ignore[misc]
    """A row-major array of one dimension whose indices are never negative.

    NumPy's own arrays count negative indices from the end. That choice at every access keeps LLVM from vectorising any
    loop whose start it cannot prove to be positive, which is every loop over one task's part of an array.
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__(dtype, 1, "C", name=f"flat({dtype})")

    def copy(self, dtype: Any = None, ndim: Any = None, layout: Any = None, readonly: Any = None) -> Any:
        """The type of a part of it, or of an array like it."""
        if ndim in (None, 1) and layout in (None, "C") and not readonly:
            return Flat(self.dtype if dtype is None else dtype)
        return super().copy(dtype, ndim, layout, readonly)


register_model(Flat)(ArrayModel)


def _counted(context: Any, builder: Any, sig: Any, args: Any) -> tuple[Any, Any]:
    """The same access with an unsigned index, which Numba takes as it is."""
    array, index, *value = sig.args
    whole = context.cast(builder, args[1], index, types.intp)
    return sig.replace(args=(array, types.uintp, *value)), (args[0], whole, *args[2:])


@lower_builtin(operator.getitem, Flat, types.Integer)
def _get(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return arrayobj.getitem_arraynd_intp(context, builder, *_counted(context, builder, sig, args))


@lower_builtin(operator.setitem, Flat, types.Integer, types.Any)
def _set(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return arrayobj.setitem_array(context, builder, *_counted(context, builder, sig, args))


KERNELS: dict[str, Kernel] = {}  #: every kernel of the modules imported so far, by "module.name"


class Kernel:
    """A compiled function of arrays, numbers and a task's index. See this module's text."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        KERNELS[f"{fn.__module__}.{fn.__qualname__}"] = self
        self.__doc__ = fn.__doc__
        self.kinds = list(fn.__annotations__.values())[:-2]  # without the task's index and the result
        fields: list[tuple[str, Any]] = []
        for i, kind in enumerate(self.kinds):
            scalar = _SCALARS.get(kind)
            fields += [(f"v{i}", scalar[1])] if scalar else [(f"p{i}", ctypes.c_int64), (f"n{i}", ctypes.c_int64)]
        self._block = type("Block", (ctypes.Structure,), {"_fields_": fields})
        self._packed = struct.Struct("".join("d" if kind is ctypes.c_double else "q" for _, kind in fields)).pack
        self._words = _words(self.kinds, self._complain)
        self._addresses: dict[Any, int] = {}
        self._compiled: list[Any] = []  # keeps the machine code alive
        self._lock = threading.Lock()

    def __call__(self, tasks: int, *args: Any) -> None:
        """Run the tasks 0 … tasks-1 with these arguments."""
        dtype, words = self._words(*args)
        address = self._addresses.get(dtype) or self.compile(dtype)
        if local.notes is None and _BYTES_LIE_THERE:  # a quarter of the time that a structure takes
            packed = self._packed(*words)
            run(address, id(packed) + _CONTENT, tasks)
            return
        block = self._block(*words)
        if local.notes is not None:
            local.notes.launches.append(Launch(address, block, tasks, args, self.kinds))
        run(address, ctypes.addressof(block), tasks)

    def _complain(self, dtype: Any, *args: Any) -> None:
        for kind, value in zip(self.kinds, args, strict=True):
            expected = _FIXED.get(kind, dtype)
            if kind not in _SCALARS and (value.dtype != expected or not value.flags.c_contiguous):
                raise TypeError(
                    f"kernel {self.fn.__name__} needs a row-major {expected}, not {value.dtype} {value.shape}"
                )

    def compile(self, dtype: Any) -> int:
        """Compile, or load from the cache, the version for a floating dtype; returns the C function's address."""
        with self._lock:
            if dtype not in self._addresses:
                kinds: list[Any] = []
                for kind in self.kinds:
                    if kind in _SCALARS:
                        kinds.append(_SCALARS[kind][0])
                    else:
                        element = numba.from_dtype(np.dtype(_FIXED.get(kind, dtype)))
                        kinds.append(Flat(element))
                signature = types.void(types.int64, types.int64)
                options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
                made: Any = CFunc(
                    _entry(jit(self.fn, "always"), _unpack(kinds), len(kinds)),
                    (signature.args, signature.return_type),
                    {},
                    options,
                )
                cached(made, self.fn, str(dtype)).compile()
                self._compiled.append(made)
                self._addresses[dtype] = made.address
        return self._addresses[dtype]

    @property
    def found(self) -> bool:
        """Whether all that was compiled so far came from the cache."""
        return all(made.cache_hits for made in self._compiled)


def _words(kinds: list[str], complain: Callable[..., None]) -> Callable[..., tuple[Any, tuple[Any, ...]]]:
    """A function of a kernel's arguments: their floating dtype, and the words of their block.

    Written out, since every launch calls it: a loop over the arguments would take three times as long.
    """
    names = [f"a{i}" for i in range(len(kinds))]
    floats = [name for name, kind in zip(names, kinds, strict=True) if kind == "Floats"]
    scope: dict[str, Any] = {"word_at": _word_at, "offset": _DATA, "complain": complain}
    checks, words = [], []
    for name, kind in zip(names, kinds, strict=True):
        if kind in _SCALARS:
            words.append(name)
            continue
        if kind != "Floats":
            scope[kind] = _FIXED[kind]
        if name not in floats[:1]:
            checks.append(f"{name}.dtype == {'dtype' if kind == 'Floats' else kind}")
        checks.append(f"{name}.flags.c_contiguous")
        words += [_DATA_OF.format(name), f"{name}.size"]
    exec(
        f"def words({', '.join(names)}):\n"
        f"    dtype = {floats[0] + '.dtype' if floats else None}\n"
        f"    if not ({' and '.join(checks) or True}):\n"
        f"        complain(dtype, {', '.join(names)})\n"
        f"    return dtype, ({', '.join(words)},)\n",
        scope,
    )
    made: Callable[..., tuple[Any, tuple[Any, ...]]] = scope["words"]
    return made


def kernel(fn: Callable[..., Any]) -> Kernel:
    """Make a function a kernel. Its annotations are its signature; the last parameter is the task's index."""
    return Kernel(fn)


def _entry(fn: Any, unpack: Any, count: int) -> Any:
    """What is called for a task. Written out, so that Numba can make the kernel part of it before it compiles."""
    names = "".join(f"a{i}, " for i in range(count))
    scope = {"__name__": __name__, "fn": fn, "unpack": unpack}  # a cached function is looked up in its module
    exec(f"def entry(block, task):\n    ({names}) = unpack(block)\n    fn({names}task)\n", scope)
    return scope["entry"]


def _unpack(kinds: list[Any]) -> Any:
    """An intrinsic: address of the block of words -> tuple of the arguments."""

    @intrinsic
    def unpack(typingctx: Any, block: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            words = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
            slot = 0

            def word() -> Any:
                nonlocal slot
                slot += 1
                return builder.load(builder.gep(words, [ir.Constant(ir.IntType(64), slot - 1)]))

            values = []
            for kind in kinds:
                value = word()
                if isinstance(kind, types.Array):
                    array = context.make_array(kind)(context, builder)
                    size = context.get_constant(types.intp, kind.dtype.bitwidth // 8)
                    data = builder.inttoptr(value, array.data.type)
                    arrayobj.populate_array(
                        array, data=data, shape=[word()], strides=[size], itemsize=size, meminfo=None
                    )
                    value = array._getvalue()
                elif kind is types.float64:
                    value = builder.bitcast(value, ir.DoubleType())
                values.append(value)
            return context.make_tuple(builder, signature.return_type, values)

        return types.Tuple(kinds)(types.int64), codegen

    return unpack


@intrinsic
def array_at(typingctx: Any, like: Any, address: Any, size: Any) -> Any:
    """In a kernel: the `size` elements at an address, as an array of the type of `like`. Nobody owns it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(like)(context, builder)
        step = context.get_constant(types.intp, like.dtype.bitwidth // 8)
        data = builder.inttoptr(args[1], array.data.type)
        arrayobj.populate_array(array, data=data, shape=[args[2]], strides=[step], itemsize=step, meminfo=None)
        return array._getvalue()

    return like(like, types.int64, types.int64), codegen


@intrinsic
def choose(typingctx: Any, condition: Any, x: Any, y: Any) -> Any:
    """x if the condition holds, else y, both computed: a Python choice may become a branch, which is not vectorised."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return x(types.boolean, x, x), codegen
