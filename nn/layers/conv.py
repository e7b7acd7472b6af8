"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from .. import init
from ..arguments import choice, pair, whole
from ..module import Module
from ..parameters import parameter


class Conv2d(Module):
    """Two-dimensional convolution: (n, in_channels, h, w) -> (n, out_channels, h', w').

    h' = (h + 2·padding − dilation·(kernel_size − 1) − 1) // stride + 1. An input without the batch axis is allowed.

    Parameters
    ----------
    in_channels, out_channels : numbers of channels; `groups` divides both.
    kernel_size, stride, dilation : an int or a pair (height, width).
    padding : an int, a pair, "valid" (none) or "same" (h' = h; stride 1 only).
    groups : each block of out_channels/groups outputs sees its own block of in_channels/groups inputs.
    bias : whether one number a channel is added.
    padding_mode : only "zeros".
    dtype, backend : of the parameters; float32 on the current backend by default.

    Attributes
    ----------
    weight : (out_channels, in_channels/groups, kh, kw); bias : (out_channels,) or None. Both are drawn from U(−b, b)
        with b = 1/√(kh·kw·in_channels/groups), as in PyTorch.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", *, dtype: Any = None,
        backend: Any = None,
    ) -> None:  # fmt: skip
        self.in_channels = whole("Conv2d", "in_channels", in_channels)
        self.out_channels = whole("Conv2d", "out_channels", out_channels)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.groups = whole("Conv2d", "groups", groups)
        if isinstance(padding, str):
            self.padding: Any = choice("Conv2d", "padding", padding, ("valid", "same"))
            if padding == "same" and self.stride != (1, 1):
                raise ValueError(f'Conv2d: padding="same" needs stride 1, not {self.stride}')
        else:
            self.padding = pair("Conv2d", "padding", padding)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"Conv2d: groups={groups} must divide {name}={channels}")
        self.padding_mode = choice("Conv2d", "padding_mode", padding_mode, ("zeros",))
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = parameter(*shape, dtype=dtype, backend=backend)
        self.bias = parameter(out_channels, dtype=dtype, backend=backend) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h', w')."""
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"
