"""Tensor: an array of some backend, and the node that says where it came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends import Backend, BackendError, get_backend
from ..backends.base import DTYPES
from .dtypes import DType, as_dtype
from .function_methods import FunctionMethods
from .graph import GraphError, Leaf, Node, Shape
from .hooks import RemovableHandle
from .methods import TensorMethods
from .object_methods import ObjectMethods
from .shape_methods import ShapeMethods
from .state import state


class Tensor(TensorMethods, ShapeMethods, FunctionMethods, ObjectMethods):
    """An n-dimensional array that records what is done with it.

    Parameters
    ----------
    data : number, nested sequence, NumPy array, object with `__array__` or DLPack, or Tensor. NumPy arrays keep their
        dtype; Python floats become float32, ints int64. Data of the same backend is not copied.
    dtype : convert to this dtype.
    requires_grad : make it a leaf whose `.grad` is filled by `backward()`. Floating dtypes only.
    backend : name of the backend or the backend; the current one by default.

    >>> import pullback as pb
    >>> x = pb.Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.numpy()
    array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_grad", "_node", "_value", "backend")
    __array_ufunc__ = None  # NumPy's operators defer to ours
    _value: Any
    _node: Node | None
    backend: Backend
    _grad: Tensor | None

    def __init__(
        self, data: Any, dtype: Any = None, *, requires_grad: bool = False, backend: str | Backend | None = None
    ) -> None:
        from .eager import as_array

        wanted = None if dtype is None else as_dtype(dtype)
        if isinstance(data, Tensor):
            if state.now.capture is not None and type(data) is not Tensor:
                state.now.capture.holds(data)
            chosen = data.backend if backend is None else get_backend(backend)
            value = data._value if chosen is data.backend else as_array(data.numpy(), chosen)
        else:
            chosen = get_backend(backend)
            value = as_array(data, chosen, wanted)
        if wanted is not None and chosen.dtype_of(value) != wanted:
            from .ops.elementwise import astype

            value = astype(Tensor._wrap(value, chosen), dtype=wanted.name)._value
        self._value = value
        self.backend = chosen
        self._node = None
        if requires_grad:
            self.requires_grad = True

    @classmethod
    def _wrap(cls, value: Any, backend: Backend, node: Node | None = None) -> Tensor:
        """A Tensor around an array of `backend`, unchecked."""
        out: Tensor = Tensor.__new__(Tensor)
        out._value = value
        out.backend = backend
        out._node = node
        return out

    # ------------------------------------------------------------ properties

    @property
    def shape(self) -> Shape:
        """Size along each axis."""
        return tuple(self._value.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._value.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for k in self._value.shape:
            n *= k
        return n

    def dim(self) -> int:
        """Number of axes, as a method: PyTorch's name."""
        return self.ndim

    def numel(self) -> int:
        """Number of elements, as a method: PyTorch's name."""
        return self.size

    @property
    def dtype(self) -> DType:
        """The element type, as a NumPy dtype on every backend."""
        return self.backend.dtype_of(self._value)

    @property
    def device(self) -> str:
        """Where the array lives: `"cpu"`, `"cuda:0"`."""
        return self.backend.device

    @property
    def requires_grad(self) -> bool:
        """Whether ops on this tensor are recorded. Settable on leaves only."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not value:
            if self._node is not None and not isinstance(self._node, Leaf):
                raise GraphError("requires_grad can be cleared on leaves only; use .detach() for a computed tensor")
            self._node = None
        elif self._node is None:
            if self.dtype.kind != "f":
                raise TypeError(f"only floating tensors can require gradients, not {self.dtype}; convert with .float()")
            self._node = Leaf(self)

    def requires_grad_(self, value: bool = True) -> Tensor:
        """Set `requires_grad` and return the tensor itself."""
        self.requires_grad = value
        return self

    @property
    def is_leaf(self) -> bool:
        """True for tensors that no recorded op produced."""
        return self._node is None or isinstance(self._node, Leaf)

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by `backward()`, or None."""
        if state.now.capture is not None:
            state.now.capture.gradient_read(self)
        try:
            return self._grad
        except AttributeError:
            return None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and value.shape != self.shape:
            raise ValueError(f".grad must have the tensor's shape {self.shape}, not {value.shape}")
        if state.now.capture is not None:
            state.now.capture.gradient_written(self)
        self._grad = value

    # ------------------------------------------------------------ the graph

    def backward(self, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it depends on.

        Parameters
        ----------
        gradient : cotangent of this tensor, of its shape; 1 for a tensor with one element.
        retain_graph : keep the graph's residuals so that it can be differentiated again.
        create_graph : record the backward pass itself, for higher derivatives. Implies `retain_graph`.

        Raises
        ------
        GraphError : the tensor depends on no leaf, or its graph was freed by an earlier backward.
        ValueError : no `gradient` for a tensor with more than one element, or one of another shape.
        """
        from .backward import deliver, sweep
        from .transforms import seed

        if self._node is None:
            raise GraphError(
                "backward() on a tensor that depends on no leaf with requires_grad=True "
                "(made under no_grad(), detached, from constants only, or by an op without a derivative)"
            )
        g = seed(self, gradient, create_graph)
        found = sweep([(self._node, g)], create_graph=create_graph, retain_graph=retain_graph)
        deliver(found.items(), create_graph)

    def detach(self) -> Tensor:
        """The same values, cut off from the graph."""
        return Tensor._wrap(self._value, self.backend)

    def register_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """Call `hook(grad)` when this tensor's gradient is known; what it returns, if anything, replaces the gradient.

        Returns a handle: its `remove()`, or the end of a `with` block, takes the hook away.
        """
        node = self._node
        if node is None:
            raise GraphError("register_hook needs a tensor that requires a gradient")
        if node.hooks is None:
            node.hooks = []
        node.hooks.append(hook)
        return RemovableHandle(node.hooks, hook)

    def retain_grad(self) -> None:
        """Fill `.grad` of this computed tensor in backward too."""
        import weakref

        if self.is_leaf:
            return
        me = weakref.ref(self)

        def keep(g: Tensor) -> None:
            tensor = me()
            if tensor is not None:
                tensor.grad = g if tensor.grad is None else tensor.grad + g

        self.register_hook(keep)

    # ------------------------------------------------------------ leaving

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array: read-only and without a copy where the backend's memory is the host's."""
        _read(self, "numpy()")
        array = self.backend.to_numpy(self._value)
        if array is self._value or array.base is not None:
            array = array.view()
        array.flags.writeable = False
        return array

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self.size != 1:
            raise ValueError(f"item() needs a tensor with one element, this one has shape {self.shape}")
        _read(self, "item()")
        return self.backend.to_numpy(self._value).reshape(()).item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        _read(self, "tolist()")
        return self.backend.to_numpy(self._value).tolist()

    def to(self, backend: str | Backend | None = None, dtype: Any = None) -> Tensor:
        """This tensor on another backend, or in another dtype; differentiable through both.

        `backend` may also be a dtype, as in PyTorch: `x.to(pb.float64)`.
        """
        from .ops.transfer import transfer

        named = isinstance(backend, str) and dtype is None and backend in _DTYPE_NAMES
        if named or not isinstance(backend, str | Backend | None):
            backend, dtype = None, backend
        out = self if backend is None else transfer(self, get_backend(backend))
        return out if dtype is None else out.astype(dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if not self.backend.host:
            raise BackendError(
                f"this tensor lives on {self.backend.device}; NumPy gets it by an explicit x.numpy() or x.to('numpy')"
            )
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, *, copy: bool | None = None, **kwargs: Any) -> Any:
        """This tensor's values for another library: its own memory, which the other must not write to.

        A copy, though, where the memory may change underneath or is part of a graph (a tensor that requires a
        gradient, a Parameter), and where it is read-only, which most consumers cannot express.
        """
        _read(self, "__dlpack__()")
        ours = self._node is None and type(self) is Tensor
        value = self._value
        if copy is not True and ours and (not self.backend.host or _writeable(value)):
            return value.__dlpack__(**kwargs)
        if copy is False:
            raise BufferError(
                "a tensor that requires a gradient, or is read-only, exports a copy only: drop copy=False"
            )
        return self.backend.xp.asarray(value, copy=True).__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._value.__dlpack_device__()
        return device


def _read(x: Tensor, how: str) -> None:
    """Values leave the graph for Python: a step that is being captured cannot repeat what is done with them."""
    if state.now.capture is not None:
        state.now.capture.values_read(x, how)


def copied(x: Tensor) -> Tensor:
    """The same values in memory of their own, cut off from the graph."""
    if state.now.capture is not None:
        from .ops.creation import duplicate

        if type(x) is not Tensor:
            state.now.capture.holds(x)

        out: Tensor = duplicate(Tensor._wrap(x._value, x.backend))
        return out
    return Tensor._wrap(x.backend.xp.asarray(x._value, copy=True), x.backend)


def _writeable(value: Any) -> bool:
    flags = getattr(value, "flags", None)
    return flags is None or bool(flags.writeable)


_DTYPE_NAMES = frozenset(dtype.name for dtype in DTYPES)


class Parameter(Tensor):
    """A leaf that a model owns and an optimiser changes. It changes only by `assign`.

    Its memory may be reused by an optimiser step, so `numpy()` and `detach()` give copies.
    """

    __slots__ = ()

    def __init__(
        self, data: Any, dtype: Any = None, *, requires_grad: bool = True, backend: str | Backend | None = None
    ) -> None:
        super().__init__(data, dtype, requires_grad=False, backend=backend)
        if self.dtype.kind != "f":
            requires_grad = False
        if isinstance(data, Tensor) or type(data) is self.backend.array_type:
            self._value = self.backend.xp.asarray(self._value, copy=True)
        if requires_grad:
            self.requires_grad = True

    def assign(self, value: Any) -> None:
        """Replace the values. Same shape; converted to this dtype and backend.

        A graph that saved the old values refuses to be differentiated afterwards.
        """
        new = Tensor(value, backend=self.backend)
        if new.shape != self.shape:
            raise ValueError(f"assign: the parameter has shape {self.shape}, the value {new.shape}")
        if new.dtype != self.dtype:
            new = new.astype(self.dtype)
        elif new._value is not self._value:
            new = copied(new)
        self._adopt(new._value)

    def _adopt(self, array: Any) -> None:
        """Take over an array that nobody else holds (an optimiser step's result)."""
        if state.now.capture is not None:
            state.now.capture.assigned(self)
        self._value = array
        if isinstance(self._node, Leaf):
            self._node.mark_assigned()

    def _move(self, backend: Backend) -> None:
        """Move to another backend in place: the parameter stays the same object, its gradient goes along."""
        requires_grad, grad = self.requires_grad, self.grad
        if backend is self.backend:
            return
        self._value = backend.asarray(self.backend.to_numpy(self._value))
        self.backend = backend
        self._node = Leaf(self) if requires_grad else None
        self._grad = None if grad is None else grad.detach().to(backend)

    def detach(self) -> Tensor:
        """A copy of the values, cut off from the graph."""
        return copied(self)

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy of the values as a read-only NumPy array."""
        _read(self, "numpy()")
        array = np.array(self.backend.to_numpy(self._value))
        array.flags.writeable = False
        return array
