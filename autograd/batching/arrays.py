"""`BatchArray`: one array for all examples, which looks like the array of a single one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import ops

if TYPE_CHECKING:
    from .backend import Batched


@dataclass(eq=False, frozen=True, slots=True)
class Level:
    """One call of `vmap`: its number (a later call has a greater one), how many examples, and what random ops do."""

    number: int
    size: int
    randomness: str


class BatchArray:
    """The arrays of all examples in one.

    Attributes
    ----------
    value : an array of the base backend, with one leading axis per level.
    levels : the `vmap` calls over which the values differ, in ascending order; the last one's axis is the innermost.
    root : the batched backend without levels, which knows the kernels.
    """

    __slots__ = ("levels", "root", "value")
    __array_ufunc__ = None  # NumPy arrays on the left leave operators to us

    def __init__(self, value: Any, levels: tuple[Level, ...], root: Batched) -> None:
        self.value = value
        self.levels = levels
        self.root = root

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example's array."""
        return tuple(self.value.shape[len(self.levels) :])

    @property
    def ndim(self) -> int:
        """Number of axes of one example's array."""
        return len(self.value.shape) - len(self.levels)

    @property
    def dtype(self) -> Any:
        """The base backend's dtype object."""
        return self.value.dtype

    def __repr__(self) -> str:
        sizes = " × ".join(str(level.size) for level in self.levels) or "no"
        return f"<{sizes} examples of shape {self.shape}, {self.dtype}>"


def _operator(name: str, reverse: bool = False) -> Callable[..., Any]:
    prim = getattr(ops, name)

    def forward(self: BatchArray, other: Any) -> Any:
        return self.root.compute(prim, (self, other))

    def backward(self: BatchArray, other: Any) -> Any:
        return self.root.compute(prim, (other, self))

    return backward if reverse else forward


def _unary(name: str) -> Callable[[BatchArray], Any]:
    prim = getattr(ops, name)
    return lambda self: self.root.compute(prim, (self,))


# The operators that derivative rules use on arrays, each the op of that name.
for _symbol, _name in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}.items():  # fmt: skip
    setattr(BatchArray, f"__{_symbol}__", _operator(_name))
    setattr(BatchArray, f"__r{_symbol}__", _operator(_name, reverse=True))
for _symbol, _name in {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}.items():  # fmt: skip
    setattr(BatchArray, f"__{_symbol}__", _operator(_name))
for _symbol, _name in {"neg": "negative", "abs": "abs", "invert": "bitwise_invert"}.items():
    setattr(BatchArray, f"__{_symbol}__", _unary(_name))
