"""Convolution layers along one, two and three axes, and transposed ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from .. import init
from ..arguments import choice, each, whole
from ..convolution import same_padding
from ..module import Module
from ..parameters import parameter

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What all convolutions have: channels, window, parameters."""

    axes = 0
    transposed = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
        output_padding: Any, groups: int, bias: bool, padding_mode: str, dtype: Any, backend: Any,
    ) -> None:  # fmt: skip
        name, axes = type(self).__name__, self.axes
        self.in_channels = whole(name, "in_channels", in_channels)
        self.out_channels = whole(name, "out_channels", out_channels)
        self.kernel_size = each(name, "kernel_size", kernel_size, axes, 1)
        self.stride = each(name, "stride", stride, axes, 1)
        self.dilation = each(name, "dilation", dilation, axes, 1)
        self.output_padding = each(name, "output_padding", output_padding, axes)
        self.groups = whole(name, "groups", groups)
        if isinstance(padding, str):
            self.padding: Any = choice(name, "padding", padding, ("valid", "same"))
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(f'{name}: padding="same" needs stride 1, not {self.stride}')
        else:
            self.padding = each(name, "padding", padding, axes)
        for side, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: groups={groups} must divide {side}={channels}")
        self.padding_mode = choice(name, "padding_mode", padding_mode, _MODES[:1] if self.transposed else _MODES)
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = parameter(first, second // groups, *self.kernel_size, dtype=dtype, backend=backend)
        self.bias = parameter(out_channels, dtype=dtype, backend=backend) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.axes:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else text + f", padding_mode={self.padding_mode}"


class _ConvForward(_Conv):
    function: Callable[..., Tensor]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", *, dtype: Any = None,
        backend: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, dtype,
            backend,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """(n, in_channels, …) -> (n, out_channels, …), or both without n."""
        padding = self.padding
        if self.padding_mode != "zeros" and padding != "valid":
            if padding == "same":
                widths = same_padding(self.kernel_size, self.dilation)
            else:
                widths = [n for k in reversed(padding) for n in (k, k)]
            input, padding = F.pad(input, widths, self.padding_mode), 0
        function = type(self).function
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


_PARAMETERS = """

    Parameters
    ----------
    in_channels, out_channels : numbers of channels; `groups` divides both.
    kernel_size, stride, dilation : an int, or one for each axis.
    padding : an int, one for each axis, "valid" (none) or "same" (the size stays; stride 1 only).
    groups : each block of out_channels/groups outputs sees its own block of in_channels/groups inputs.
    bias : whether one number a channel is added.
    padding_mode : what stands in the padding: "zeros", "reflect", "replicate" or "circular", as in `functional.pad`.
    dtype, backend : of the parameters; float32 on the current backend by default.

    Attributes
    ----------
    weight : (out_channels, in_channels/groups, *kernel_size); bias : (out_channels,) or None. Both are drawn from
        U(−b, b) with b = 1/√(in_channels/groups·prod(kernel_size)), as in PyTorch.
    """


class Conv1d(_ConvForward):
    __doc__ = f"""Convolution along one axis: (n, in_channels, l) -> (n, out_channels, l').

    l' = (l + 2·padding − dilation·(kernel_size − 1) − 1) // stride + 1. An input without the batch axis is allowed.{
        _PARAMETERS
    }"""

    axes = 1
    function = F.conv1d


class Conv2d(_ConvForward):
    __doc__ = f"""Two-dimensional convolution: (n, in_channels, h, w) -> (n, out_channels, h', w').

    h' = (h + 2·padding − dilation·(kernel_size − 1) − 1) // stride + 1. An input without the batch axis is allowed.{
        _PARAMETERS
    }"""

    axes = 2
    function = F.conv2d


class Conv3d(_ConvForward):
    __doc__ = f"""Three-dimensional convolution: (n, in_channels, d, h, w) -> (n, out_channels, d', h', w').

    d' = (d + 2·padding − dilation·(kernel_size − 1) − 1) // stride + 1. An input without the batch axis is allowed.{
        _PARAMETERS
    }"""

    axes = 3
    function = F.conv3d


class _ConvTranspose(_Conv):
    transposed = True
    function: Callable[..., Tensor]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1, padding_mode: str = "zeros", *,
        dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        each(type(self).__name__, "padding", padding, self.axes)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
            padding_mode, dtype, backend,
        )  # fmt: skip

    def _more(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The output padding that gives a wanted size."""
        if output_size is None:
            return self.output_padding
        wanted, lengths = tuple(output_size)[-self.axes :], input.shape[-self.axes :]
        least = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                lengths, self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )  # fmt: skip
        most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
        if len(wanted) != self.axes or any(
            not low <= n <= high for n, low, high in zip(wanted, least, most, strict=True)
        ):
            raise ValueError(
                f"{type(self).__name__}: an output_size of {tuple(output_size)} for an input of shape {input.shape}; "
                f"sizes from {least} to {most} are possible"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(n, in_channels, …) -> (n, out_channels, …); `output_size` chooses among the sizes a stride allows."""
        function = type(self).function
        return function(
            input, self.weight, self.bias, self.stride, self.padding, self._more(input, output_size), self.groups,
            self.dilation,
        )  # fmt: skip


_TRANSPOSED = """

    Parameters
    ----------
    in_channels, out_channels : numbers of channels; `groups` divides both.
    kernel_size, stride, dilation : an int, or one for each axis.
    padding : what the convolution that this one transposes is padded with: so much is cut off on each side.
    output_padding : added to the size on one side; less than stride or dilation.
    groups : each block of out_channels/groups outputs sees its own block of in_channels/groups inputs.
    bias : whether one number a channel is added. padding_mode : only "zeros".
    dtype, backend : of the parameters; float32 on the current backend by default.

    Attributes
    ----------
    weight : (in_channels, out_channels/groups, *kernel_size); bias : (out_channels,) or None. Both are drawn from
        U(−b, b) with b = 1/√(out_channels/groups·prod(kernel_size)), as in PyTorch.
    """


class ConvTranspose1d(_ConvTranspose):
    __doc__ = f"""The transpose of a convolution along one axis: (n, in_channels, l) -> (n, out_channels, l').

    l' = (l − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1.{_TRANSPOSED}"""

    axes = 1
    function = F.conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    __doc__ = f"""The transpose of a two-dimensional convolution: (n, in_channels, h, w) -> (n, out_channels, h', w').

    h' = (h − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1.{_TRANSPOSED}"""

    axes = 2
    function = F.conv_transpose2d


class ConvTranspose3d(_ConvTranspose):
    __doc__ = f"""The transpose of a convolution along three axes: (n, in_channels, d, h, w) -> (n, out_channels, …).

    d' = (d − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1.{_TRANSPOSED}"""

    axes = 3
    function = F.conv_transpose3d
