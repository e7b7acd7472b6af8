"""Neighbouring layers that a backend computes as one op: same values and gradients, fewer passes over memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import ops
from ..autograd.state import is_grad_enabled
from ..autograd.tensor import Tensor
from . import functional as F
from .hooks import observed
from .layers.activation import GELU, ReLU
from .layers.conv import Conv2d
from .layers.linear import Linear
from .layers.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .layers.pooling import MaxPool2d
from .module import Module


def _fits(linear: Any, x: Tensor) -> bool:
    """If not, the layer itself does it, or says what is wrong."""
    return linear.bias is not None and x.ndim > 0 and x.shape[-1] == linear.in_features


def _linear_relu(linear: Any, _: Any, x: Tensor) -> Tensor | None:
    return ops.linear_relu(x, linear.weight, linear.bias) if _fits(linear, x) else None


def _linear_gelu(linear: Any, gelu: Any, x: Tensor) -> Tensor | None:
    """Only where a gradient will be wanted: the op computes what that needs beside the values."""
    if not _fits(linear, x) or not is_grad_enabled():
        return None
    y: Tensor = ops.linear_gelu(x, linear.weight, linear.bias, approximate=gelu.approximate)[0]
    return y


def _convolution(conv: Any, x: Tensor) -> dict[str, Any] | None:
    """The op's static parameters; None where the layer itself must do it, or say what is wrong."""
    if conv.bias is None or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return None
    if x.ndim != 4 or x.shape[1] != conv.in_channels:
        return None
    return {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation, "groups": conv.groups}


def _conv2d_relu(conv: Any, _: Any, x: Tensor) -> Tensor | None:
    geometry = _convolution(conv, x)
    return None if geometry is None else ops.conv2d_relu(x, conv.weight, conv.bias, **geometry)


def _conv2d_relu_max_pool2d(conv: Any, _: Any, pool: Any, x: Tensor) -> Tensor | None:
    """For windows of 2 × 2, side by side."""
    geometry = _convolution(conv, x)
    settings = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, pool.return_indices)
    if geometry is None or tuple(map(_single, settings)) != (2, 2, 0, 1, False, False):
        return None
    return ops.conv2d_relu_max_pool2d(x, conv.weight, conv.bias, window=(2, 2), **geometry)[0]


def _batch_norm_relu(norm: Any, _: Any, x: Tensor) -> Tensor:
    y: Tensor = norm.relu(x)
    return y


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1] else value


# layers in a row -> the op, and how to apply it; longer rows first
_ROWS: dict[tuple[type, ...], tuple[str, Any]] = {
    (Conv2d, ReLU, MaxPool2d): ("conv2d_relu_max_pool2d", _conv2d_relu_max_pool2d),
    (Conv2d, ReLU): ("conv2d_relu", _conv2d_relu),
    (Linear, ReLU): ("linear_relu", _linear_relu),
    (Linear, GELU): ("linear_gelu", _linear_gelu),
    **dict.fromkeys(
        ((norm, ReLU) for norm in (BatchNorm1d, BatchNorm2d, BatchNorm3d)), ("batch_norm_relu", _batch_norm_relu)
    ),
}
_STARTS = frozenset(row[0] for row in _ROWS)


def run_fused(modules: Sequence[Module], i: int, x: Any) -> tuple[Tensor, int] | None:
    """Some of modules[i:] applied to x as one op, and how many they were; None where there is no such op.

    A backend must have a kernel for it, and nobody may watch the layers: no hooks, no `forward` set on the object.
    """
    if type(modules[i]) not in _STARTS or not isinstance(x, Tensor):
        return None
    for row, (op, apply) in _ROWS.items():
        some = modules[i : i + len(row)]
        if tuple(map(type, some)) != row or op not in x.backend.kernels:
            continue
        if any(map(observed, some)):
            continue
        out = apply(*some, x)
        if out is not None:
            return out, len(row)
    return None


_MODULES: dict[Any, Module] = {F.relu: ReLU(), F.gelu: GELU()}


def activated(linear: Linear, activation: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """activation(linear(x)), as one op where there is one for that function."""
    module = _MODULES.get(activation)
    fused = None if module is None else run_fused((linear, module), 0, x)
    return activation(linear(x)) if fused is None else fused[0]
