"""Neighbouring ops as one, where that saves passes over memory: a convolution with the ReLU and pooling behind it.

Each equals its parts exactly, and its rule is made of their rules, so nothing but speed depends on using them.
`nn.Sequential` does where it meets the pattern. The forwards here call the parts' forwards; backends with fast
convolutions override them.
"""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .activation import relu, relu_grad
from .conv import Pair, conv2d, conv2d_bias, conv2d_input_grad, conv2d_weight_grad, conv_output_size
from .reduce import sum_

__all__ = [
    "conv2d_relu", "conv2d_relu_grad", "conv2d_relu_max_pool2d", "conv2d_relu_max_pool2d_grad", "gather_places",
    "spread_places",
]  # fmt: skip

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


@primitive(floating=True, outputs=0)
def conv2d_relu_grad(
    gy: Array, y: Array, x: Array, weight: Array, /, *, need_x: bool, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Cotangents (weight, bias) or (weight, bias, x) in `conv2d_relu`, whose result y has the cotangent gy.

    With u = gy where y > 0 and 0 elsewhere, they are `conv2d_weight_grad(u, x)`, Σu and `conv2d_input_grad(u, weight)`.
    """
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _conv2d_grads(relu_grad.forward(gy, y, xp=xp), x, weight, need_x, geometry, xp)


def _conv2d_grads(
    u: Array, x: Array, weight: Array, need_x: bool, geometry: dict[str, Any], xp: Any
) -> tuple[Array, ...]:
    dweight = conv2d_weight_grad.forward(u, x, kernel_size=tuple(weight.shape[2:]), **geometry, xp=xp)
    dbias = xp.sum(u, axis=(0, 2, 3))
    if not need_x:
        return dweight, dbias
    return dweight, dbias, conv2d_input_grad.forward(u, weight, input_size=tuple(x.shape[2:]), **geometry, xp=xp)


def _second(
    g: tuple[Any, ...], u: Array, x: Array, weight: Array, need_x: bool, geometry: dict[str, Any]
) -> tuple[Array, Array, Any]:
    """Cotangents of u, x and weight from those of the results of `_conv2d_grads`, each of which is bilinear."""
    du = conv2d_bias(x, g[0], g[1], **geometry)
    dx = conv2d_input_grad(u, g[0], input_size=tuple(x.shape[2:]), **geometry)
    if not need_x:
        return du, dx, None
    dweight = conv2d_weight_grad(u, g[2], kernel_size=tuple(weight.shape[2:]), **geometry)
    return du + conv2d(g[2], weight, **geometry), dx, dweight


def _conv2d_relu_grad_rule(
    g: tuple[Any, ...], gy: Array, y: Array, x: Array, weight: Array, need_x: bool, stride: Pair, padding: Pair,
    dilation: Pair, groups: int, need: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    du, dx, dweight = _second(g, relu_grad(gy, y), x, weight, need_x, geometry)
    return relu_grad(du, y), None, dx, dweight


conv2d_relu_grad.vjp(_conv2d_relu_grad_rule)


def _conv2d_relu_rule(
    g: Array, x: Array, weight: Array, out: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    need: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if need[1] and need[2]:
        dweight, dbias, *dx = conv2d_relu_grad(g, out, x, weight, need_x=need[0], **geometry)
        return (dx[0] if dx else None), dweight, dbias
    return _parts(relu_grad(g, out), x, weight, need, geometry)


def _parts(u: Array, x: Array, weight: Array, need: tuple[bool, ...], geometry: dict[str, Any]) -> tuple[Any, ...]:
    """Those of the three cotangents that are needed, one by one."""
    return (
        conv2d_input_grad(u, weight, input_size=tuple(x.shape[2:]), **geometry) if need[0] else None,
        conv2d_weight_grad(u, x, kernel_size=tuple(weight.shape[2:]), **geometry) if need[1] else None,
        sum_(u, axis=(0, 2, 3), keepdims=False) if need[2] else None,
    )


conv2d_relu.vjp(_conv2d_relu_rule)


# ------------------------------------------------------- with pooling behind


@primitive
def spread_places(g: Array, place: Array, /, *, window: Pair, size: Pair, xp: Any) -> Array:
    """g at each window's `place`, 0 elsewhere. g, place: (n, c, oh, ow) -> (n, c, *size); windows side by side.

    A place counts through its window row by row; −1 is none. Its transpose is `gather_places`.
    """
    kh, kw = window
    n, c, oh, ow = g.shape
    zero = xp.zeros_like(g)
    parts = xp.stack([xp.where(place == k, g, zero) for k in range(kh * kw)], axis=-1)
    image = xp.permute_dims(xp.reshape(parts, (n, c, oh, ow, kh, kw)), (0, 1, 2, 4, 3, 5))
    out = xp.zeros((n, c, *size), dtype=g.dtype)
    out[:, :, : oh * kh, : ow * kw] = xp.reshape(image, (n, c, oh * kh, ow * kw))
    return out


@primitive
def gather_places(u: Array, place: Array, /, *, window: Pair, xp: Any) -> Array:
    """The element of u at each window's `place`, 0 where that is −1. u: (n, c, h, w), place: (n, c, oh, ow)."""
    windows = _windows(u, window, xp)
    taps = xp.arange(window[0] * window[1], dtype=xp.int8)
    return xp.sum(xp.where(xp.expand_dims(place, axis=-1) == taps, windows, xp.zeros_like(windows)), axis=-1)


def _windows(u: Array, window: Pair, xp: Any) -> Array:
    """(n, c, h, w) -> (n, c, h // kh, w // kw, kh·kw)."""
    kh, kw = window
    n, c, h, w = u.shape
    oh, ow = h // kh, w // kw
    parts = xp.reshape(u[:, :, : oh * kh, : ow * kw], (n, c, oh, kh, ow, kw))
    return xp.reshape(xp.permute_dims(parts, (0, 1, 2, 4, 3, 5)), (n, c, oh, ow, kh * kw))


spread_places.vjp(g=lambda g, place, window: gather_places(g, place, window=window))
gather_places.vjp(u=lambda g, place, u_shape, window: spread_places(g, place, window=window, size=tuple(u_shape[2:])))


@primitive(floating=True, outputs=2)
def conv2d_relu_max_pool2d(
    x: Array, weight: Array, bias: Array, /, *, window: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1, xp: Any,
) -> tuple[Array, Array]:  # fmt: skip
    """max_pool2d(conv2d_relu(x, weight, bias), window) for windows side by side, and where each maximum was.

    Returns y: (n, o, oh // kh, ow // kw) and, as int8 of that shape, the place of the first maximum in its window,
    row by row, or −1 where none is positive: the image in between is needed no more. stride, padding, dilation and
    groups are the convolution's.
    """
    if not 0 < window[0] * window[1] < 128:
        raise ValueError(f"the window {window} must have 1 to 127 places")
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    windows = _windows(conv2d_relu.forward(x, weight, bias, **geometry, xp=xp), window, xp)
    y = xp.max(windows, axis=-1)
    hit = xp.astype((windows == xp.expand_dims(y, axis=-1)) | (windows != windows), xp.int8)
    place = xp.astype(xp.argmax(hit, axis=-1), xp.int8)
    return y, xp.where(y == 0, xp.full_like(place, -1), place)


@primitive(floating=True, promote=("gy", "x", "weight"), outputs=0)
def conv2d_relu_max_pool2d_grad(
    gy: Array, place: Array, x: Array, weight: Array, /, *, need_x: bool, window: Pair, stride: Pair = (1, 1),
    padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Cotangents (weight, bias) or (weight, bias, x) in `conv2d_relu_max_pool2d`, as in `conv2d_relu_grad`.

    There u is gy at the places of the maxima.
    """
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    size = conv_output_size(tuple(x.shape[2:]), tuple(weight.shape[2:]), stride, padding, dilation)
    u = spread_places.forward(gy, place, window=window, size=size, xp=xp)
    return _conv2d_grads(u, x, weight, need_x, geometry, xp)


def _conv2d_relu_max_pool2d_grad_rule(
    g: tuple[Any, ...], gy: Array, place: Array, x: Array, weight: Array, need_x: bool, window: Pair, stride: Pair,
    padding: Pair, dilation: Pair, groups: int, need: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    size = conv_output_size(tuple(x.shape[2:]), tuple(weight.shape[2:]), stride, padding, dilation)
    u = spread_places(gy, place, window=window, size=size)
    du, dx, dweight = _second(g, u, x, weight, need_x, geometry)
    return gather_places(du, place, window=window), None, dx, dweight


conv2d_relu_max_pool2d_grad.vjp(_conv2d_relu_max_pool2d_grad_rule)


def _conv2d_relu_max_pool2d_rule(
    g: tuple[Any, ...], x: Array, weight: Array, out: tuple[Array, Array], window: Pair, stride: Pair, padding: Pair,
    dilation: Pair, groups: int, need: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if need[1] and need[2]:
        dweight, dbias, *dx = conv2d_relu_max_pool2d_grad(
            g[0], out[1], x, weight, need_x=need[0], window=window, **geometry
        )
        return (dx[0] if dx else None), dweight, dbias
    size = conv_output_size(tuple(x.shape[2:]), tuple(weight.shape[2:]), stride, padding, dilation)
    return _parts(spread_places(g[0], out[1], window=window, size=size), x, weight, need, geometry)


conv2d_relu_max_pool2d.vjp(_conv2d_relu_max_pool2d_rule)
