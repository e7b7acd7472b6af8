"""Making tensors: from data, filled, ranges, and from other libraries' arrays.

Every function takes `dtype` and `backend` by keyword; the defaults are float32 and the current backend.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import Backend, BackendError, get_backend
from ..dtypes import DEFAULT_FLOAT, DEFAULT_INT, as_dtype
from ..primitive import primitive
from ..state import state

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace", "ones",
    "ones_like", "tensor", "zeros", "zeros_like",
]  # fmt: skip

Array = Any
BackendLike = str | Backend | None


@primitive(name="full_like")
def full_like_(
    x: Array, /, *, value: float, dtype: str | None = None, shape: tuple[int, ...] | None = None, xp: Any
) -> Array:
    """A constant array with x's shape and dtype, or the given ones. Constant, so not differentiable."""
    native = x.dtype if dtype is None else getattr(xp, dtype)
    size = x.shape if shape is None else shape
    if value == 0:  # fresh zeros cost nothing where the library asks the system for them
        return xp.zeros(size, dtype=native)
    return xp.full(size, value, dtype=native)


@primitive
def duplicate(x: Array, /, *, xp: Any) -> Array:
    """x in memory of its own."""
    return xp.asarray(x, copy=True)


duplicate.vjp(x=lambda g: g)


def full_like(x: Any, value: float, *, dtype: Any = None) -> Any:
    """A tensor of x's shape, dtype (unless given) and backend, filled with a number."""
    return full_like_(x, value=value, dtype=None if dtype is None else as_dtype(dtype).name, shape=None)


def zeros_like(x: Any, *, dtype: Any = None) -> Any:
    """Zeros of x's shape, dtype (unless given) and backend."""
    return full_like(x, 0, dtype=dtype)


def ones_like(x: Any, *, dtype: Any = None) -> Any:
    """Ones of x's shape, dtype (unless given) and backend."""
    return full_like(x, 1, dtype=dtype)


def empty_like(x: Any, *, dtype: Any = None) -> Any:
    """The same as `zeros_like`: tensors are immutable, so memory without values is of no use."""
    return full_like(x, 0, dtype=dtype)


def tensor(data: Any, dtype: Any = None, *, requires_grad: bool = False, backend: BackendLike = None) -> Tensor:
    """A new tensor with a copy of the data, as in PyTorch; `asarray` and `Tensor(data)` copy only if they must.

    Parameters
    ----------
    data : number, nested sequence, NumPy array, Tensor. Python floats become float32, ints int64; arrays keep their
        dtype.
    dtype : convert to this dtype.
    requires_grad : make it a leaf whose `.grad` is filled by `backward()`.
    backend : where it lives; the current backend by default.

    >>> import pullback as pb
    >>> pb.tensor([1, 2]).dtype, pb.tensor([1.0, 2.0]).dtype
    (dtype('int64'), dtype('float32'))
    """
    out = asarray(data, dtype, backend=backend)
    if out is data or not isinstance(data, numbers.Number | list | tuple):
        from ..tensor import copied

        out = copied(out)
    out.requires_grad = requires_grad
    return out


def asarray(data: Any, dtype: Any = None, *, backend: BackendLike = None) -> Tensor:
    """The data as a tensor, without a copy where possible; a Tensor of that dtype and backend is returned as it is."""
    from ..tensor import Tensor

    if isinstance(data, Tensor):
        if (backend is None or get_backend(backend) is data.backend) and (
            dtype is None or as_dtype(dtype) == data.dtype
        ):
            return data
        return data.to(data.backend if backend is None else get_backend(backend), dtype)
    return Tensor(data, dtype, backend=backend)


def every_value(x: Tensor) -> np.ndarray[Any, Any]:
    """The values of a tensor on the host, under `vmap` those of all examples."""
    if state.now.capture is not None:
        state.now.capture.values_read(x, "looking at its values")
    return x.backend.every_value(x._value)


def check(condition: Callable[..., Any], error: Callable[..., Exception], *tensors: Tensor) -> None:
    """Raise an error unless a condition holds for the values of tensors; a captured step checks at every replay.

    `condition(*values)` and `error(*values)` take NumPy arrays, under `vmap` of all examples.
    """

    def run(*arrays: Any) -> None:
        values = [x.backend.every_value(a) for x, a in zip(tensors, arrays, strict=True)]
        if not condition(*values):
            raise error(*values)

    run(*(x._value for x in tensors))
    if state.now.capture is not None:
        state.now.capture.checked(run, tensors)


def _new(value: Any, backend: Backend) -> Tensor:
    from ..tensor import Tensor

    return Tensor._wrap(value, backend)


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given as separate ints or as one sequence."""
    if len(shape) == 1 and isinstance(shape[0], list | tuple):
        shape = tuple(shape[0])
    return tuple(int(n) for n in shape)


def _filled(shape: tuple[int, ...], value: Any, dtype: Any, requires_grad: bool, backend: BackendLike) -> Tensor:
    chosen = get_backend(backend)
    native = chosen.native_dtype(as_dtype(dtype).name)
    xp = chosen.xp
    made = xp.zeros(shape, dtype=native) if value == 0 else xp.full(shape, value, dtype=native)
    out = _new(made, chosen)
    out.requires_grad = requires_grad
    return out


def zeros(*shape: Any, dtype: Any = DEFAULT_FLOAT, requires_grad: bool = False, backend: BackendLike = None) -> Tensor:
    """Zeros of a shape given as ints or as one tuple.

    >>> import pullback as pb
    >>> pb.zeros(2, 3).shape
    (2, 3)
    """
    return _filled(_sizes(shape), 0, dtype, requires_grad, backend)


def ones(*shape: Any, dtype: Any = DEFAULT_FLOAT, requires_grad: bool = False, backend: BackendLike = None) -> Tensor:
    """Ones of a shape given as ints or as one tuple."""
    return _filled(_sizes(shape), 1, dtype, requires_grad, backend)


def empty(*shape: Any, dtype: Any = DEFAULT_FLOAT, requires_grad: bool = False, backend: BackendLike = None) -> Tensor:
    """The same as `zeros`: tensors are immutable, so memory without values is of no use."""
    return _filled(_sizes(shape), 0, dtype, requires_grad, backend)


def full(
    shape: int | tuple[int, ...], value: float, *, dtype: Any = None, requires_grad: bool = False,
    backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """A tensor filled with a number, whose type decides the dtype unless one is given."""
    if dtype is None:
        dtype = bool if isinstance(value, bool) else DEFAULT_INT if isinstance(value, int) else DEFAULT_FLOAT
    return _filled(_sizes((shape,)), value, dtype, requires_grad, backend)


def eye(
    n: int, m: int | None = None, k: int = 0, *, dtype: Any = DEFAULT_FLOAT, requires_grad: bool = False,
    backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Ones on the k-th diagonal of an (n, m) matrix of zeros; m is n by default."""
    chosen = get_backend(backend)
    out = _new(chosen.asarray(np.eye(n, m, k, dtype=as_dtype(dtype))), chosen)
    out.requires_grad = requires_grad
    return out


def arange(
    start: float, stop: float | None = None, step: float = 1, *, dtype: Any = None, requires_grad: bool = False,
    backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Numbers start, start + step, … below stop (above, for a negative step); `arange(n)` counts from 0.

    int64 if all arguments are ints, else float32; computed in float64 on the host, so the same on every backend. For
    an integer dtype the arguments are truncated first, as in PyTorch.

    >>> import pullback as pb
    >>> pb.arange(2, 8, 2).tolist()
    [2, 4, 6]
    """
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        dtype = DEFAULT_INT if all(isinstance(v, int | np.integer) for v in (start, stop, step)) else DEFAULT_FLOAT
    elif as_dtype(dtype).kind in "iu":
        start, stop, step = int(start), int(stop), int(step)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    chosen = get_backend(backend)
    out = _new(chosen.asarray(np.arange(start, stop, step).astype(as_dtype(dtype))), chosen)
    out.requires_grad = requires_grad
    return out


def linspace(
    start: float, stop: float, num: int = 50, *, endpoint: bool = True, dtype: Any = DEFAULT_FLOAT,
    requires_grad: bool = False, backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """`num` evenly spaced numbers from start to stop, stop included unless `endpoint` is False."""
    chosen = get_backend(backend)
    values = np.linspace(start, stop, num, endpoint=endpoint, dtype=np.float64).astype(as_dtype(dtype))
    out = _new(chosen.asarray(values), chosen)
    out.requires_grad = requires_grad
    return out


def from_dlpack(array: Any, *, backend: BackendLike = None) -> Tensor:
    """A tensor on the memory of another library's array, through DLPack: nothing is copied.

    The other library can still write to that memory, and must not while the tensor is in use; `pb.tensor` of its
    NumPy form copies.

    Parameters
    ----------
    array : an object with `__dlpack__` and `__dlpack_device__` (PyTorch, JAX, CuPy, NumPy …).
    backend : a backend whose device the memory is on; the current one by default.

    Raises
    ------
    BackendError : the backend cannot use memory of that device.
    """
    chosen = get_backend(backend)
    if not hasattr(array, "__dlpack__"):
        raise TypeError(
            f"from_dlpack: {type(array).__name__} does not speak DLPack; pb.tensor takes numbers and sequences"
        )
    try:
        value = chosen.xp.from_dlpack(array)
    except (BufferError, RuntimeError, ValueError, TypeError) as error:
        raise BackendError(
            f"from_dlpack: the backend {chosen.name!r} cannot take this {type(array).__name__}: {error}"
        ) from error
    if chosen.dtype_of(value).kind not in "biuf":
        raise TypeError(f"from_dlpack: pullback has no dtype {value.dtype}")
    return _new(value, chosen)
