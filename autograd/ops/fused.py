"""Neighbouring ops as one, where that saves passes over memory: a layer with the ReLU that follows it.

Each equals its parts exactly, and its rule is made of their rules, so nothing but speed depends on using them.
`nn.Sequential` does where it meets the pattern. The forwards here call the parts' forwards; backends with fast
convolutions override them.
"""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .activation import relu, relu_grad
from .conv import Pair, conv2d_bias, conv2d_input_grad, conv2d_weight_grad
from .linalg import matmul, mT
from .linear import flat_rows, linear
from .pool import max_pool2d, max_pool2d_gather, max_pool2d_unpool
from .reduce import sum_

__all__ = ["conv2d_relu", "linear_relu", "relu_max_pool2d", "relu_max_pool2d_grad"]

Array = Any
Shape = tuple[int, ...]


@primitive(floating=True)
def conv2d_relu(
    x: Array, weight: Array, bias: Array, /, *, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1, xp: Any,
) -> Array:  # fmt: skip
    """max(conv2d(x, weight) + bias, 0). See `conv2d_bias` and `relu`."""
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return relu.forward(conv2d_bias.forward(x, weight, bias, **geometry, xp=xp), xp=xp)


def _conv2d_relu_rule(
    g: Array, x: Array, weight: Array, out: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    need: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    g = relu_grad(g, out)
    geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (
        conv2d_input_grad(g, weight, input_size=tuple(x.shape[2:]), **geometry) if need[0] else None,
        conv2d_weight_grad(g, x, kernel_size=tuple(weight.shape[2:]), **geometry) if need[1] else None,
        sum_(g, axis=(0, 2, 3), keepdims=False) if need[2] else None,
    )


conv2d_relu.vjp(_conv2d_relu_rule)


@primitive(floating=True)
def relu_max_pool2d(
    x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1),
    ceil_mode: bool = False, xp: Any,
) -> Array:  # fmt: skip
    """max_pool2d(relu(x)). (…, h, w) -> (…, oh, ow)."""
    windows = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    return max_pool2d.forward(relu.forward(x, xp=xp), **windows, ceil_mode=ceil_mode, xp=xp)


@primitive(floating=True)
def relu_max_pool2d_grad(
    u: Array, x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1),
    ceil_mode: bool = False, xp: Any,
) -> Array:  # fmt: skip
    """Cotangent of x in `relu_max_pool2d` from that of its result: u at each window's first maximum if it is positive.

    u: (…, oh, ow), x: (…, h, w) -> (…, h, w). ∂u gathers from the same places; ∂x is 0.
    """
    windows = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    y = relu.forward(x, xp=xp)
    return relu_grad.forward(max_pool2d_unpool.forward(u, y, **windows, ceil_mode=ceil_mode, xp=xp), y, xp=xp)


def _pooled_rule(
    g: Array, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Array:
    return relu_max_pool2d_grad(
        g, x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )


def _gathered_rule(
    g: Array, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Array:
    y = relu(x)
    return max_pool2d_gather(
        relu_grad(g, y), y, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode,
    )  # fmt: skip


relu_max_pool2d.vjp(x=_pooled_rule)
relu_max_pool2d_grad.vjp(u=_gathered_rule)


@primitive(promote=True)
def linear_relu(x: Array, weight: Array, bias: Array, /, *, xp: Any) -> Array:
    """max(x·Wᵀ + b, 0). See `linear` and `relu`."""
    return relu.forward(linear.forward(x, weight, bias, xp=xp), xp=xp)


def _linear_relu_rule(g: Array, x: Array, weight: Array, out: Array, need: tuple[bool, ...]) -> tuple[Any, ...]:
    g = relu_grad(g, out)
    return (
        matmul(g, weight) if need[0] else None,
        matmul(mT(flat_rows(g)), flat_rows(x)) if need[1] else None,
        g if need[2] else None,  # the engine sums over the leading axes
    )


linear_relu.vjp(_linear_relu_rule)
