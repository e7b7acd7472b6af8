"""Pooling layers: (n, c, …) -> (n, c, …) with shorter axes, or both without the n."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from ..arguments import each
from ..module import Module


class _Pool(Module):
    axes = 0
    function: Callable[..., Any]

    def _check(self, **least: int) -> None:
        for name, n in least.items():
            each(type(self).__name__, name, getattr(self, name), self.axes, n)


# ---------------------------------------------------------------- maximum


class _MaxPool(_Pool):
    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        self._check(kernel_size=1, stride=1, padding=0, dilation=1)

    def forward(self, input: Tensor) -> Any:
        """(n, c, …) -> the pooled array, and with return_indices the places of the maxima."""
        function = type(self).function
        return function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


_MAX = """

    Parameters
    ----------
    kernel_size, stride, padding, dilation : an int, or one for each axis; `stride` is `kernel_size` by default.
        What is padded is −∞.
    return_indices : also give where the maxima stand in the flattened axes, as int64, for `MaxUnpool`.
    ceil_mode : round the output size up, not down, so that the last windows may reach over the border.
    """


class MaxPool1d(_MaxPool):
    __doc__ = f"""The largest value of each window. (n, c, l) -> (n, c, l').{_MAX}"""

    axes = 1
    function = F.max_pool1d


class MaxPool2d(_MaxPool):
    __doc__ = f"""The largest value of each window. (n, c, h, w) -> (n, c, h', w').{_MAX}"""

    axes = 2
    function = F.max_pool2d


class MaxPool3d(_MaxPool):
    __doc__ = f"""The largest value of each window. (n, c, d, h, w) -> (n, c, d', h', w').{_MAX}"""

    axes = 3
    function = F.max_pool3d


class _MaxUnpool(_Pool):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        name = type(self).__name__
        self.kernel_size = each(name, "kernel_size", kernel_size, self.axes, 1)
        self.stride = self.kernel_size if stride is None else each(name, "stride", stride, self.axes, 1)
        self.padding = each(name, "padding", padding, self.axes)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Values and their places, as a MaxPool gave them -> zeros with the values at those places."""
        function = type(self).function
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """A partial inverse of `MaxPool1d`: the maxima at their places, zeros elsewhere. (n, c, l) -> (n, c, l')."""

    axes = 1
    function = F.max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """A partial inverse of `MaxPool2d`: the maxima at their places, zeros elsewhere. (n, c, h, w) -> (n, c, h', w')."""

    axes = 2
    function = F.max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """A partial inverse of `MaxPool3d`: the maxima at their places, zeros elsewhere."""

    axes = 3
    function = F.max_unpool3d


# ---------------------------------------------------------------- average and power


class _AvgPool(_Pool):
    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override
        self._check(kernel_size=1, stride=1, padding=0)

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, …) -> (n, c, …)."""
        function = type(self).function
        return function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


_AVG = """

    Parameters
    ----------
    kernel_size, stride, padding : an int, or one for each axis; `stride` is `kernel_size` by default.
    ceil_mode : round the output size up, not down.
    count_include_pad : whether padded zeros count as elements of the mean."""


class AvgPool1d(_AvgPool):
    __doc__ = f"""The mean of each window. (n, c, l) -> (n, c, l').{_AVG}
    """

    axes = 1

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        for name in ("kernel_size", "stride", "padding"):  # as PyTorch shows them
            setattr(self, name, each("AvgPool1d", name, getattr(self, name), 1))

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, l) -> (n, c, l')."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPool):
    __doc__ = f"""The mean of each window. (n, c, h, w) -> (n, c, h', w').{_AVG}
    divisor_override : divides the sums instead of the number of elements.
    """

    axes = 2
    function = F.avg_pool2d


class AvgPool3d(_AvgPool):
    __doc__ = f"""The mean of each window. (n, c, d, h, w) -> (n, c, d', h', w').{_AVG}
    divisor_override : divides the sums instead of the number of elements.
    """

    axes = 3
    function = F.avg_pool3d


class _LPPool(_Pool):
    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode
        self._check(kernel_size=1)

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, …) -> (n, c, …)."""
        function = type(self).function
        return function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window with p = norm_type. (n, c, l) -> (n, c, l'). Parameters as in `AvgPool1d`."""

    axes = 1
    function = F.lp_pool1d


class LPPool2d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window with p = norm_type. (n, c, h, w) -> (n, c, h', w'). Parameters as in `AvgPool2d`."""

    axes = 2
    function = F.lp_pool2d


class LPPool3d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window with p = norm_type. (n, c, d, h, w) -> (n, c, d', h', w')."""

    axes = 3
    function = F.lp_pool3d


# ---------------------------------------------------------------- adaptive


class _AdaptiveAvg(Module):
    function: Callable[..., Tensor]

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, …) -> (n, c, *output_size)."""
        function = type(self).function
        return function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvg):
    """Means over windows that give the length `output_size`. (n, c, l) -> (n, c, output_size)."""

    function = F.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvg):
    """Means over windows that give the size `output_size`: an int or a pair, None keeps an axis."""

    function = F.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptiveAvg):
    """Means over windows that give the size `output_size`: an int or a triple, None keeps an axis."""

    function = F.adaptive_avg_pool3d


class _AdaptiveMax(Module):
    function: Callable[..., Any]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """(n, c, …) -> (n, c, *output_size), and with return_indices the places of the maxima."""
        function = type(self).function
        return function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Maxima over windows that give the length `output_size`. (n, c, l) -> (n, c, output_size)."""

    function = F.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Maxima over windows that give the size `output_size`: an int or a pair, None keeps an axis."""

    function = F.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMax):
    """Maxima over windows that give the size `output_size`: an int or a triple, None keeps an axis."""

    function = F.adaptive_max_pool3d
