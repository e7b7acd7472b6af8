"""The eager interpreter: compute now, record if a gradient is wanted.

It checks, converts, promotes and reports. Elementwise ops on tensors that need nothing of this have a shorter way; see
`short.py`.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from ..backends import Backend, BackendError, FallbackWarning, current_backend
from .dtypes import DEFAULT_FLOAT, DType, promote
from .errors import user_location
from .graph import GraphError, Node, Output, recorded
from .primitive import Primitive
from .state import Now, state
from .tensor import Parameter, Tensor

_new = Tensor.__new__
_SCALARS = (bool, int, float)


def eager(prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Apply `prim` to Tensors, arrays and scalars: the interpreter that a thread starts with."""
    if params.keys() != prim.static_names:
        params = _complete(prim, params)
    flags = prim.promotes * len(args) if prim.variadic else prim.promotes
    if len(args) != len(flags):
        keywords = f"; {', '.join(prim.statics)}: by keyword" if prim.statics else ""
        raise TypeError(f"{prim.name} takes {len(flags)} array argument(s) {prim.inputs}, got {len(args)}{keywords}")
    values: list[Any] = []
    parents: list[Node | None] = []
    mask, bit, located = 0, 1, False
    backend: Any = None
    dtype: Any = None
    for a, promotes in zip(args, flags):  # noqa: B905 (hot)
        if not isinstance(a, Tensor) or (a.backend is not backend and backend is not None):
            break
        backend = a.backend
        value = a._value
        if promotes:
            if value.dtype is not dtype and dtype is not None:
                break
            dtype = value.dtype
        node = a._node
        values.append(value)
        parents.append(node)
        if node is not None:
            mask |= bit
            located = located or type(a) is Parameter
        bit <<= 1
    if len(values) != len(args) or backend is None or (prim.floating and dtype not in backend.float_dtypes):
        # not simply Tensors of one backend and dtype: convert them to that, then come again
        return _apply_converted(prim, args, flags, params)
    return _compute(prim, backend, args, values, parents, params, mask, located)


def _apply_converted(prim: Primitive, args: tuple[Any, ...], flags: tuple[bool, ...], params: dict[str, Any]) -> Any:
    backend = _backend_of(prim, args)
    if backend.levels:
        from .batching.boundary import lifted

        args = lifted(args, backend)
    if prim.promoted:
        args = _promote(prim, args, flags, backend)
    values: list[Any] = []
    parents: list[Node | None] = []
    mask, located = 0, False
    for i, a in enumerate(args):
        if isinstance(a, Tensor):
            values.append(a._value)
            parents.append(a._node)
            mask |= (a._node is not None) << i
            located = located or type(a) is Parameter
        else:
            values.append(a if prim.elementwise and type(a) in _SCALARS else _as_input(prim, i, a, backend))
            parents.append(None)
    return _compute(prim, backend, args, values, parents, params, mask, located)


def _compute(
    prim: Primitive, backend: Backend, args: Any, values: Any, parents: Any, params: dict[str, Any], mask: int,
    located: bool,
) -> Any:  # fmt: skip
    try:
        kernel = backend._table[prim.key]
    except KeyError:
        kernel = backend.kernel(prim.key, prim.forward, prim.takes_xp)
    try:
        result = kernel(*values, **params)
    except Exception as error:
        raise explain(prim, args, params, error) from error
    plan = prim.plan(mask) if mask and state.now.grad else None
    if prim.outputs == 1:
        return _wrap_one(prim, plan, params, parents, values, result, backend, located)
    return _wrap_many(prim, plan, params, parents, values, result, backend, located)


def _wrap_one(
    prim: Primitive, plan: Any, params: dict[str, Any], parents: Any, values: Any, value: Any, backend: Backend,
    located: bool,
) -> Tensor:  # fmt: skip
    if type(value) is not backend.array_type:
        value = array_result(prim, value, values, backend)
    out = _new(Tensor)
    out._value, out.backend, out._node = value, backend, None
    if plan is not None:
        saved = plan.save(values, value, backend.dtype_name)
        out._node = node = recorded(plan, params, tuple(parents), saved, tuple(value.shape), backend)
        if located:
            node.where = user_location()
    return out


def _wrap_many(
    prim: Primitive, plan: Any, params: dict[str, Any], parents: Any, values: Any, result: Any, backend: Backend,
    located: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    arrays = tuple(v if type(v) is backend.array_type else array_result(prim, v, values, backend) for v in result)
    node = None
    if plan is not None:
        shapes = tuple((tuple(v.shape), backend.dtype_name(v)) for v in arrays)
        node = recorded(plan, params, tuple(parents), plan.save(values, arrays, backend.dtype_name), shapes, backend)
        if located:
            node.where = user_location()
    outs = []
    for i, value in enumerate(arrays):
        out = _new(Tensor)
        out._value, out.backend, out._node = value, backend, None
        if node is not None and value.dtype in backend.float_dtypes:
            out._node = Output(node, i, tuple(value.shape))
        outs.append(out)
    return tuple(outs)


def array_result(prim: Primitive, value: Any, values: Any, backend: Backend) -> Any:
    """What a kernel returned other than an array of its backend, as one: NumPy's scalars, a user's kernel's numbers.

    A Python float takes the dtype of the floating inputs, so that a compiled function that returns one narrows and
    widens nothing.
    """
    if isinstance(value, np.generic):
        return backend.asarray(value)
    if type(value) is float:
        strong = [backend.dtype_of(v) for v in values if hasattr(v, "dtype")]
        floating = [dtype for dtype in strong if dtype.kind == "f"]
        return backend.asarray(np.asarray(value, dtype=promote(floating, [float])))
    try:
        array = backend.asarray(value)
        real = backend.dtype_of(array).kind in "biuf"
    except (TypeError, ValueError, KeyError):
        real = False
    if not real:
        raise TypeError(f"{prim.name}: its forward returned a {type(value).__name__}, not an array of numbers")
    return array


def _complete(prim: Primitive, params: dict[str, Any]) -> dict[str, Any]:
    """Static parameters with defaults filled in; unknown and missing ones are an error that names the op."""
    if params.keys() == prim.static_names:
        return params
    if "dim" in params and "axis" in prim.static_names:
        if "axis" in params:
            raise TypeError(f"{prim.name}: give axis= or dim=, not both: they are the same argument")
        params = {("axis" if name == "dim" else name): value for name, value in params.items()}
    unknown = params.keys() - prim.static_names
    if unknown:
        raise TypeError(f"{prim.name} has no parameter {sorted(unknown)}; it takes {list(prim.statics)}")
    params = {**prim.defaults, **params}
    missing = [name for name in prim.statics if name not in params]
    if missing:
        raise TypeError(f"{prim.name} needs the parameter(s) {missing}")
    return params


def _backend_of(prim: Primitive, args: tuple[Any, ...]) -> Backend:
    backend = None
    for a in args:
        if isinstance(a, Tensor) and a.backend is not backend:
            if backend is None:
                backend = a.backend
            else:
                from .batching.boundary import joined

                backend = joined(prim.name, backend, a.backend)
    return current_backend() if backend is None else backend


def _promote(prim: Primitive, args: tuple[Any, ...], flags: tuple[bool, ...], backend: Backend) -> tuple[Any, ...]:
    """Cast the inputs that take part in promotion to one dtype; Python scalars adopt the tensors' dtype."""
    strong, weak = [], []
    converted = list(args)
    for i, (a, takes_part) in enumerate(zip(args, flags, strict=True)):
        if not takes_part:
            continue
        if type(a) in _SCALARS:
            weak.append(type(a))
            continue
        if not isinstance(a, Tensor):
            converted[i] = a = Tensor._wrap(_as_input(prim, i, a, backend), backend)
        strong.append(a.dtype)
    target = promote(strong, weak)
    if prim.floating and target.kind != "f":
        target = DEFAULT_FLOAT
    keep_scalars = prim.elementwise and strong
    for i, (a, takes_part) in enumerate(zip(converted, flags, strict=True)):
        if not takes_part:
            continue
        if isinstance(a, Tensor):
            if a.dtype != target:
                converted[i] = a.astype(target)
        elif not keep_scalars:
            converted[i] = Tensor._wrap(backend.asarray(np.asarray(a, dtype=target)), backend)
    return tuple(converted)


def _as_input(prim: Primitive, i: int, a: Any, backend: Backend) -> Any:
    """Input i of an op, which is no Tensor, as an array."""
    if a is None or isinstance(a, str):
        raise TypeError(f"{prim.name}: input {i} is {a!r}; it must be a Tensor, an array or a number")
    try:
        return as_array(a, backend)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{prim.name}: input {i}: {error}") from error


def as_array(data: Any, backend: Backend, dtype: DType | None = None) -> Any:
    """Host data as an array of `backend`: NumPy arrays keep their dtype, Python floats become float32, unless told."""
    if type(data) is backend.array_type:
        return data
    if isinstance(data, np.ndarray | np.generic):
        array = np.asarray(data)
    elif isinstance(data, numbers.Number | list | tuple | range):
        if isinstance(data, list | tuple):
            data = _unwrapped(data)
        array = _from_python(data, dtype)
        if dtype is None and array.dtype == np.float64:
            array = array.astype(DEFAULT_FLOAT)
        elif dtype is None and array.dtype.kind == "i":
            array = array.astype(np.int64, copy=False)
    elif hasattr(data, "__array__"):
        array = np.asarray(data)
    else:
        raise TypeError(f"cannot make a tensor of {type(data).__name__}; give numbers, sequences, or a NumPy array")
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"cannot make a tensor of dtype {array.dtype}; there are bool, integer and real floating tensors"
        )
    return backend.asarray(array)


def _from_python(data: Any, dtype: DType | None) -> np.ndarray[Any, Any]:
    """Numbers and nested sequences of them as an array."""
    try:
        array = np.asarray(data, dtype=dtype)
    except OverflowError as error:
        raise OverflowError(f"cannot make a tensor of {dtype} of these integers: one is out of its range") from error
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError(
                "cannot make a tensor of nested sequences of unequal lengths; pad them to one length first"
            ) from error
        raise
    if array.dtype == object and isinstance(data, int):
        raise OverflowError(f"cannot make a tensor of the integer {data}: it does not fit in 64 bits")
    return array


def _unwrapped(data: Any) -> Any:
    """Nested sequences with Tensors inside, as nested sequences of NumPy arrays."""
    if isinstance(data, Tensor):
        return data.numpy()
    if isinstance(data, list | tuple):
        return [_unwrapped(item) for item in data]
    return data


def explain(prim: Primitive, args: tuple[Any, ...], params: dict[str, Any], error: Exception) -> Exception:
    """The same kind of error, naming the op, its shapes, dtypes and parameters. Never shows array contents."""
    if isinstance(error, BackendError | FallbackWarning | GraphError | MemoryError):
        return error
    kind = next((k for k in (IndexError, TypeError, ValueError, OverflowError) if isinstance(error, k)), RuntimeError)
    what = ", ".join(describe(a) for a in args)
    static = "".join(f", {k}={v}" for k, v in params.items())
    return kind(f"{prim.name}({what}{static}): {error}")


def describe(a: Any) -> str:
    """A value in a message: shape and dtype of arrays, scalars as they are."""
    if hasattr(a, "shape") and hasattr(a, "dtype"):
        return f"{tuple(a.shape)} {a.dtype}"
    return repr(a) if isinstance(a, bool | int | float | type(None)) else type(a).__name__


Now.default = state.now.apply = eager
