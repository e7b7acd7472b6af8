"""Neighbouring layers that a backend computes as one op: same values and gradients, fewer passes over memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import ops
from ..autograd.tensor import Tensor
from .arguments import pair
from .layers.activation import ReLU
from .layers.conv import Conv2d
from .layers.linear import Linear
from .layers.pooling import MaxPool2d
from .module import Module


def _linear_relu(linear: Any, _: Any, x: Tensor) -> Tensor | None:
    if linear.bias is None or not x.ndim or x.shape[-1] != linear.in_features:
        return None  # the layer itself does it, or says what is wrong
    return ops.linear_relu(x, linear.weight, linear.bias)


def _conv2d_relu(conv: Any, _: Any, x: Tensor) -> Tensor | None:
    if conv.bias is None or x.ndim != 4 or x.shape[1] != conv.in_channels or isinstance(conv.padding, str):
        return None
    if conv.padding_mode != "zeros":
        return None
    return ops.conv2d_relu(
        x, conv.weight, conv.bias, stride=conv.stride, padding=conv.padding, dilation=conv.dilation, groups=conv.groups
    )


def _relu_max_pool2d(_: Any, pool: Any, x: Tensor) -> Tensor | None:
    if x.ndim != 4 or pool.return_indices:
        return None
    return ops.relu_max_pool2d(
        x, kernel_size=pair("MaxPool2d", "kernel_size", pool.kernel_size, 1),
        stride=pair("MaxPool2d", "stride", pool.stride, 1), padding=pair("MaxPool2d", "padding", pool.padding),
        dilation=pair("MaxPool2d", "dilation", pool.dilation, 1), ceil_mode=bool(pool.ceil_mode),
    )  # fmt: skip


# (first, second) -> the op, and how to apply it
_PAIRS: dict[tuple[type, type], tuple[str, Any]] = {
    (Linear, ReLU): ("linear_relu", _linear_relu),
    (Conv2d, ReLU): ("conv2d_relu", _conv2d_relu),
    (ReLU, MaxPool2d): ("relu_max_pool2d", _relu_max_pool2d),
}


def run_fused(modules: Sequence[Module], i: int, x: Any) -> Tensor | None:
    """modules[i] and modules[i + 1] applied to x as one op; None where there is no such op for them and this input.

    A backend must have a kernel for it, and nobody may watch the layers: no hooks, no `forward` set on the object.
    A ReLU between a convolution and a pooling belongs to the pooling, which then reads and writes less.
    """
    first, second = modules[i], modules[i + 1]
    found = _PAIRS.get((type(first), type(second)))
    if found is None or not isinstance(x, Tensor) or found[0] not in x.backend.kernels:
        return None
    if type(second) is ReLU and i + 2 < len(modules) and (ReLU, type(modules[i + 2])) in _PAIRS:
        return None
    if any(m.__dict__.get("_hooks") or "forward" in m.__dict__ for m in (first, second)):
        return None
    return found[1](first, second, x)
