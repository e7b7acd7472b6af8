"""Pooling layers: (n, c, h, w) -> (n, c, h', w')."""

from __future__ import annotations

from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from ..arguments import pair
from ..module import Module


class MaxPool2d(Module):
    """The largest value of each window.

    Parameters
    ----------
    kernel_size, stride, padding, dilation : an int or a pair (height, width); `stride` is `kernel_size` by default.
        What is padded is −∞.
    ceil_mode : round the output size up, not down, so that the last windows may reach over the border.
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> None:
        pair("MaxPool2d", "kernel_size", kernel_size, 1)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode
        pair("MaxPool2d", "stride", self.stride, 1)
        pair("MaxPool2d", "padding", padding)
        pair("MaxPool2d", "dilation", dilation, 1)

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h', w')."""
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window.

    Parameters
    ----------
    kernel_size, stride, padding : an int or a pair (height, width); `stride` is `kernel_size` by default.
    ceil_mode : round the output size up, not down.
    count_include_pad : whether padded zeros count as elements of the mean.
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        pair("AvgPool2d", "kernel_size", kernel_size, 1)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        pair("AvgPool2d", "stride", self.stride, 1)
        pair("AvgPool2d", "padding", padding)

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h', w')."""
        return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _Adaptive(Module):
    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(_Adaptive):
    """Means over windows that give the size `output_size`: an int or a pair, None keeps an axis."""

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, *output_size)."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """Maxima over windows that give the size `output_size`: an int or a pair, None keeps an axis."""

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, *output_size)."""
        return F.adaptive_max_pool2d(input, self.output_size)
