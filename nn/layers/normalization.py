"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...autograd import ops
from ...autograd.tensor import Tensor
from .. import functional as F
from .. import init
from ..arguments import whole
from ..hooks import observed
from ..module import Module
from ..parameters import buffer, parameter


class _RunningNorm(Module):
    """Normalisation of channels with running statistics: what batch and instance normalisation share."""

    ranks: tuple[int, ...] = ()
    layout = ""

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, *, bias: bool = True, dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        self.num_features = whole(type(self).__name__, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = parameter(num_features, value=1.0, dtype=dtype, backend=backend) if affine else None
        self.bias = parameter(num_features, dtype=dtype, backend=backend) if affine and bias else None
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.running_mean = buffer(num_features, dtype=dtype, backend=backend)
            self.running_var = buffer(num_features, value=1.0, dtype=dtype, backend=backend)
            self.num_batches_tracked = buffer(dtype="int64", backend=backend)

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and the running statistics as at the start."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _mismatch(self, input: Tensor) -> ValueError:
        return ValueError(
            f"{type(self).__name__}({self.num_features}) takes an input of shape "
            f"{self.layout.replace('c', str(self.num_features))}, not {input.shape}"
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    def forward(self, input: Tensor) -> Tensor:
        """The input's shape."""
        return self._apply(F.batch_norm, input)

    def relu(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """What residual blocks are made of: the layer, a sum and a ReLU, by `nn.functional.batch_norm_relu`.

        >>> import pullback as pb
        >>> from pullback import nn
        >>> norm, x = nn.BatchNorm1d(2), pb.tensor([[1.0, 4.0], [3.0, 2.0]])
        >>> norm.relu(x, residual=x).round().tolist()
        [[0.0, 5.0], [4.0, 1.0]]
        """
        if observed(self):
            y = self(input)
            return ops.relu(y if residual is None else y + residual)
        return self._apply(F.batch_norm_relu, input, residual)

    def _apply(self, op: Any, input: Tensor, *residual: Tensor | None) -> Tensor:
        if input.ndim not in self.ranks or input.shape[1] != self.num_features:
            raise self._mismatch(input)
        momentum = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.assign(self.num_batches_tracked + 1)
            if momentum is None:  # the mean over all batches so far
                momentum = 1.0 / self.num_batches_tracked.item()
        y: Tensor = op(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, 0.0 if momentum is None else momentum, self.eps, *residual,
        )  # fmt: skip
        return y


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (n, c) or (n, c, l): each channel to mean bias and standard deviation weight.

    y = (x − mean)/√(var + eps)·weight + bias. In training the statistics are the batch's (biased variance), and the
    running ones move towards them: running ← (1 − momentum)·running + momentum·batch, with the unbiased variance; in
    evaluation the running ones are used. Ioffe & Szegedy 2015.

    Parameters
    ----------
    num_features : channels c.
    momentum : weight of the newest batch; None for the plain mean over all batches.
    affine : whether there are trained weight and bias. bias : False for a weight only.
    track_running_stats : whether there are running statistics.
    """

    ranks = (2, 3)
    layout = "(n, c) or (n, c, l)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (n, c, h, w), as `BatchNorm1d`; the statistics are over n, h and w."""

    ranks = (4,)
    layout = "(n, c, h, w)"


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (n, c, d, h, w), as `BatchNorm1d`; the statistics are over all axes but c."""

    ranks = (5,)
    layout = "(n, c, d, h, w)"


class _InstanceNorm(_RunningNorm):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, *, bias: bool = True, dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, bias=bias, dtype=dtype, backend=backend
        )

    def forward(self, input: Tensor) -> Tensor:
        """The input's shape."""
        without, ranks = input.ndim == self.ranks[0] - 1, self.ranks
        x = ops.unsqueeze(input, 0) if without else input
        if x.ndim not in ranks or x.shape[1] != self.num_features:
            raise self._mismatch(input)
        y = F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        return ops.squeeze(y, 0) if without else y


class InstanceNorm1d(_InstanceNorm):
    """Normalisation of each channel of each sample of (n, c, l): to mean bias and standard deviation weight.

    y = (x − mean)/√(var + eps)·weight + bias with the biased variance over l. Ulyanov et al. 2016.

    Parameters
    ----------
    num_features : channels c.
    affine : whether there are trained weight and bias. bias : False for a weight only.
    track_running_stats : keep running statistics, with the given momentum, and use them in evaluation.
    """

    ranks = (3,)
    layout = "(n, c, l) or (c, l)"


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (n, c, h, w), as `InstanceNorm1d`; the statistics are over h and w."""

    ranks = (4,)
    layout = "(n, c, h, w) or (c, h, w)"


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (n, c, d, h, w), as `InstanceNorm1d`; the statistics are over d, h and w."""

    ranks = (5,)
    layout = "(n, c, d, h, w) or (c, d, h, w)"


class LocalResponseNorm(Module):
    """x / (k + alpha·m)^beta with the mean m of x² over `size` neighbouring channels. Krizhevsky et al. 2012."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = whole("LocalResponseNorm", "size", size)
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, …) -> the same shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _shape(owner: str, value: int | Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, Sequence) else (value,)
    if not sizes:
        raise ValueError(f"{owner}: normalized_shape must have at least one axis")
    return tuple(whole(owner, "normalized_shape", n) for n in sizes)


class LayerNorm(Module):
    """Normalisation over the last axes: y = (x − mean)/√(var + eps)·weight + bias. Ba et al. 2016.

    Parameters
    ----------
    normalized_shape : sizes of the last axes, over which mean and (biased) variance are taken.
    elementwise_affine : whether there are weight and bias of that shape. bias : False for a weight only.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, *, dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        self.normalized_shape = _shape("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = (
            parameter(*self.normalized_shape, value=1.0, dtype=dtype, backend=backend) if elementwise_affine else None
        )
        self.bias = (
            parameter(*self.normalized_shape, dtype=dtype, backend=backend) if elementwise_affine and bias else None
        )

    def forward(self, input: Tensor) -> Tensor:
        """(…, *normalized_shape) -> the same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={bias}"


class RMSNorm(Module):
    """x/√(mean(x²) + eps)·weight over the last axes. Zhang & Sennrich 2019.

    Parameters
    ----------
    normalized_shape : sizes of the last axes. eps : the machine epsilon of the input's dtype for None.
    elementwise_affine : whether there is a weight of that shape.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True, *,
        dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        self.normalized_shape = _shape("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = (
            parameter(*self.normalized_shape, value=1.0, dtype=dtype, backend=backend) if elementwise_affine else None
        )

    def forward(self, input: Tensor) -> Tensor:
        """(…, *normalized_shape) -> the same shape."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalisation of each image's channels in `num_groups` groups. Wu & He 2018.

    Parameters
    ----------
    num_groups : divides num_channels. num_channels : size of axis 1.
    affine : whether there are weight and bias, one a channel. bias : False for a weight only.
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True,
        dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        self.num_groups = whole("GroupNorm", "num_groups", num_groups)
        self.num_channels = whole("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.eps = eps
        self.affine = affine
        self.weight = parameter(num_channels, value=1.0, dtype=dtype, backend=backend) if affine else None
        self.bias = parameter(num_channels, dtype=dtype, backend=backend) if affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        """(n, num_channels, …) -> the same shape."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"
