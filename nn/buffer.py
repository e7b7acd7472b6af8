"""Buffer: a tensor that a module owns and no optimiser touches, such as a running mean."""

from __future__ import annotations

from typing import Any

from ..autograd.state import state
from ..autograd.tensor import Parameter, Tensor, copied
from ..backends import Backend


class Buffer(Tensor):
    """State of a module that is saved and moved with it but not trained. It changes only by `assign`.

    Parameters
    ----------
    data, dtype, backend : as for `Tensor`.
    persistent : whether `state_dict()` holds it.
    """

    __slots__ = ("persistent",)

    def __init__(
        self, data: Any, dtype: Any = None, *, persistent: bool = True, backend: str | Backend | None = None
    ) -> None:
        super().__init__(data, dtype, backend=backend)
        self.persistent = persistent

    def assign(self, value: Any) -> None:
        """Replace the values. Same shape; converted to this dtype and backend, and cut off from any graph."""
        new = Tensor(value, backend=self.backend)
        if new.shape != self.shape:
            raise ValueError(f"assign: the buffer has shape {self.shape}, the value {new.shape}")
        if new.dtype != self.dtype:
            new = new.detach().astype(self.dtype)
        elif not isinstance(value, Tensor) or isinstance(value, Parameter):  # memory that others may write to
            new = copied(new)
        if state.now.capture is not None:
            state.now.capture.assigned(self)
        self._value = new._value

    def takes(self, value: Tensor) -> bool:
        """Whether the value has this shape, dtype and backend."""
        return value.shape == self.shape and value.dtype == self.dtype and value.backend is self.backend

    def detach(self) -> Tensor:
        """A copy of the values: a compiled step writes into the buffer's memory."""
        return copied(self)

    def numpy(self) -> Any:
        """A copy of the values as a read-only NumPy array."""
        return self.detach().numpy()

    def _move(self, backend: Backend) -> None:
        """Move to another backend in place: the buffer stays the same object."""
        if backend is not self.backend:
            self._value = backend.asarray(self.backend.to_numpy(self._value))
            self.backend = backend

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        return _rebuild(self.numpy().copy(), self.backend.name, self.persistent)

    def __reduce__(self) -> Any:
        return _rebuild, (self.numpy().copy(), self.backend.name, self.persistent)


def _rebuild(values: Any, backend: str, persistent: bool) -> Buffer:
    return Buffer(values, persistent=persistent, backend=backend)
