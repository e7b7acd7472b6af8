"""How a Tensor behaves as a Python object: length, truth, numbers, text, pickling, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import GraphError

if TYPE_CHECKING:
    from .tensor import Tensor

#: What PyTorch has and a Tensor has not, and what to write instead.
_INSTEAD = {
    "cpu": "x.to('numpy')",
    "cuda": "x.to('cupy')",
    "copy_": "parameter.assign(values)",
    "data": "x.detach() to read, parameter.assign(values) to write",
    "grad_fn": "pullback.draw_graph(x) to see the graph",
    "is_cuda": "x.device",
    "nelement": "x.numel() or x.size",
    "zero_": "x.grad = None or optimizer.zero_grad() for gradients, pullback.zeros_like(x) for values",
}


class ObjectMethods:
    """Mixin with Python's protocols."""

    __slots__ = ()

    def __len__(self) -> int:
        shape = self._value.shape  # type: ignore[attr-defined]
        if not shape:
            raise TypeError("a 0-d tensor has no length")
        return int(shape[0])

    def __iter__(self) -> Any:
        from .ops.shape import unbind

        len(self)  # a 0-d tensor has nothing to iterate over, and says so
        return iter(unbind(self))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def _scalar(self, kind: str) -> Any:
        if self.size != 1:  # type: ignore[attr-defined]
            raise ValueError(
                f"{kind}() of a tensor with shape {self.shape} is ambiguous; "  # type: ignore[attr-defined]
                "reduce it first, or use .item()"
            )
        return self.item()  # type: ignore[attr-defined]

    def __bool__(self) -> bool:
        return bool(self._scalar("bool"))

    def __float__(self) -> float:
        return float(self._scalar("float"))

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":  # type: ignore[attr-defined]
            raise TypeError(f"only integer tensors can be an index, not {self.dtype}")  # type: ignore[attr-defined]
        return int(self._scalar("index"))

    def __format__(self, spec: str) -> str:
        """`f"{loss:.4f}"` formats the number in a 0-d tensor."""
        if not spec:
            return str(self)
        if self._value.shape:  # type: ignore[attr-defined]
            raise TypeError(
                f"the format {spec!r} suits a number, not a tensor of shape {self.shape}; "  # type: ignore[attr-defined]
                "take an element or reduce it first"
            )
        return format(self.item(), spec)  # type: ignore[attr-defined]

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("tensors are immutable: write x = x.at[i].set(v), or x.at[i].add(v), instead of x[i] = v")

    if not TYPE_CHECKING:  # a checker would take it for leave to use any name

        def __getattr__(self, name: str) -> Any:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name in _INSTEAD:
                message += f"; write {_INSTEAD[name]}"
            elif name.endswith("_") and not name.startswith("_") and hasattr(type(self), name[:-1]):
                message += f": tensors are immutable; write x = x.{name[:-1]}(...)"
            raise AttributeError(message, name=name, obj=self)

    def __repr__(self) -> str:
        x: Tensor = self  # type: ignore[assignment]
        kind = type(x).__name__
        values = x.backend.text(x._value, prefix=f"{kind}(")
        op = "" if x._node is None else f", op={x._node.name}" if not x.is_leaf else ", requires_grad=True"
        return f"{kind}({values}, shape={x.shape}, dtype={x.dtype}, backend={x.backend.name}{op})"

    def __reduce__(self) -> Any:
        x: Tensor = self  # type: ignore[assignment]
        return _rebuild, (type(x), np.asarray(x.numpy()), x.backend.name, x.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        x: Tensor = self  # type: ignore[assignment]
        if not x.is_leaf:
            raise GraphError("only leaves can be deep-copied; use .detach() first")
        return _rebuild(type(x), x.numpy().copy(), x.backend.name, x.requires_grad)


def _rebuild(kind: type[Tensor], values: Any, backend: str, requires_grad: bool) -> Tensor:
    return kind(values, requires_grad=requires_grad, backend=backend)
