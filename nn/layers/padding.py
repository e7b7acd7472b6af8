"""Padding layers. `padding` is an int for all sides, or in PyTorch's order: (left, right, top, bottom, front, back)."""

from __future__ import annotations

from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from ..module import Module


class _Pad(Module):
    axes = 0
    mode = "constant"

    def __init__(self, padding: Any) -> None:
        sides = 2 * self.axes
        given = tuple(padding) if isinstance(padding, tuple | list) else (padding,) * sides
        if len(given) != sides or not all(isinstance(n, int) for n in given):
            raise ValueError(f"{type(self).__name__}: padding is an integer or {sides} of them, not {padding!r}")
        self.padding = given

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, …) or (c, …) -> the same number of axes."""
        if input.ndim not in (self.axes + 1, self.axes + 2):
            lengths = ", ".join("dhw"[3 - self.axes :]) if self.axes > 1 else "l"
            raise ValueError(f"{type(self).__name__} takes (n, c, {lengths}) or (c, {lengths}), not {input.shape}")
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Any shape with enough axes -> the same number of axes."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A constant `value` put around the last axis."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """A constant `value` put around the last two axes."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """A constant `value` put around the last three axes."""

    axes = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Zeros put around the last axis."""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """Zeros put around the last two axes."""

    axes = 2


class ZeroPad3d(_ZeroPad):
    """Zeros put around the last three axes."""

    axes = 3


class ReflectionPad1d(_Pad):
    """The input mirrored about its first and last element: (n, c, l) -> (n, c, l')."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The input mirrored about its border elements: (n, c, h, w) -> (n, c, h', w')."""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The input mirrored about its border elements: (n, c, d, h, w) -> (n, c, d', h', w')."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The first and last element repeated outwards: (n, c, l) -> (n, c, l')."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The border elements repeated outwards: (n, c, h, w) -> (n, c, h', w')."""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The border elements repeated outwards: (n, c, d, h, w) -> (n, c, d', h', w')."""

    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """The input continued from its other end: (n, c, l) -> (n, c, l')."""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """The input continued from its other ends: (n, c, h, w) -> (n, c, h', w')."""

    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    """The input continued from its other ends: (n, c, d, h, w) -> (n, c, d', h', w')."""

    axes, mode = 3, "circular"
