"""Which arguments the kernels take. Nothing here needs Numba: a backend that is never used for real work loads quickly.

A guard gets the op's own arguments; what it declines runs the inherited way, where wrong arguments get their error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import threads
from ..regions import tiling

Array = Any
Pair = tuple[int, int]

FLOATS = frozenset((np.dtype(np.float32), np.dtype(np.float64)))


def has_kernels(x: Array) -> bool:
    """Whether an array is of single or double precision, and this process has its threads."""
    return x.dtype in FLOATS and not threads.forked()


def floats(*arrays: Array) -> bool:
    """Arrays of one floating dtype, single or double, with elements; and this process has its threads."""
    dtype = getattr(arrays[0], "dtype", None)
    if dtype not in FLOATS or threads.forked():
        return False
    return all(type(a) is np.ndarray and a.dtype == dtype and a.size for a in arrays)


def one_shape(*arrays: Array) -> bool:
    """Floating arrays of the same shape: no scalars, nothing to broadcast."""
    return floats(*arrays) and all(a.shape == arrays[0].shape for a in arrays)


def larger_share(u: Array, x: Array, y: Array) -> bool:
    """As `one_shape`; y may be a number, in an array or by itself."""
    if type(y) in (int, float):
        return one_shape(u, x)
    return floats(u, x, y) and u.shape == x.shape and y.shape in ((), x.shape)


def gelu(*arrays: Array, approximate: str) -> bool:
    """As `one_shape`, with a known way to approximate."""
    return approximate in ("none", "tanh") and one_shape(*arrays)


def shaped(*arrays: Array, **numbers: float) -> bool:
    """As `one_shape`, beside static parameters that are numbers."""
    return one_shape(*arrays)


def _pairs(least: int, *pairs: Any) -> bool:
    return all(isinstance(p, tuple) and len(p) == 2 and min(p) >= least for p in pairs)


def _fits(size: Pair, out: Pair | None, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> bool:
    """Valid parameters that give at least one window, and exactly `out` of them if that is known."""
    if not (_pairs(1, size, kernel, stride, dilation) and _pairs(0, padding)):
        return False
    for i in (0, 1):
        room = size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1
        if room < 0 or (out is not None and room // stride[i] + 1 != out[i]):
            return False
    return True


def conv2d(x: Array, weight: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
    """Images and weights that belong together."""
    if not floats(x, weight) or x.ndim != 4 or weight.ndim != 4 or groups < 1:
        return False
    if weight.shape[1] * groups != x.shape[1] or weight.shape[0] % groups:
        return False
    return _fits(x.shape[2:], None, weight.shape[2:], stride, padding, dilation)


def conv2d_bias(x: Array, weight: Array, bias: Array, **static: Any) -> bool:
    """As `conv2d`, with one bias an output channel."""
    return floats(x, bias) and bias.shape == weight.shape[:1] and conv2d(x, weight, **static)


def conv2d_relu_grad(gy: Array, y: Array, x: Array, weight: Array, *, need_x: bool, **static: Any) -> bool:
    """A cotangent and a result as large as the output for these images and weights."""
    return (
        one_shape(gy, y)
        and floats(gy, x)
        and conv2d(x, weight, **static)
        and gy.ndim == 4
        and gy.shape[:2] == (len(x), len(weight))
        and _fits(x.shape[2:], gy.shape[2:], weight.shape[2:], *(static[k] for k in ("stride", "padding", "dilation")))
    )


def conv2d_relu_max_pool2d(x: Array, weight: Array, bias: Array, *, window: Pair, **static: Any) -> bool:
    """Windows of 2 × 2, and at least one of them."""
    if window != (2, 2) or not conv2d_bias(x, weight, bias, **static):
        return False
    return min(_convolved(x, weight, **static)) >= 2


def _convolved(x: Array, weight: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Pair:
    (h, w), (kh, kw) = x.shape[2:], weight.shape[2:]
    return (
        (h + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1,
        (w + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1,
    )


def conv2d_relu_max_pool2d_grad(
    gy: Array, place: Array, x: Array, weight: Array, *, need_x: bool, window: Pair, **static: Any
) -> bool:
    """A cotangent and places as large as the pooled output for these images and weights."""
    if window != (2, 2) or not floats(gy, x) or not conv2d(x, weight, **static):
        return False
    oh, ow = _convolved(x, weight, **static)
    return place.dtype == np.int8 and bool(gy.shape == place.shape == (len(x), len(weight), oh // 2, ow // 2))


def linear(x: Array, weight: Array, bias: Array) -> bool:
    """Rows, and a weight and bias that fit them."""
    return bool(
        floats(x, weight, bias)
        and x.ndim >= 2
        and weight.ndim == 2
        and x.shape[-1] == weight.shape[1]
        and bias.shape == weight.shape[:1]
    )


def linear_grad(gy: Array, x: Array, weight: Array, *, need_x: bool) -> bool:
    """A cotangent as large as the output for these rows and this weight."""
    return bool(
        floats(gy, x, weight)
        and weight.ndim == 2
        and x.ndim >= 2
        and x.shape[-1] == weight.shape[1]
        and gy.shape == (*x.shape[:-1], weight.shape[0])
    )


def linear_relu_grad(gy: Array, y: Array, x: Array, weight: Array, *, need_x: bool) -> bool:
    """As `linear_grad`, with a result of the cotangent's shape."""
    return one_shape(gy, y) and linear_grad(gy, x, weight, need_x=need_x)


def linear_gelu(x: Array, weight: Array, bias: Array, *, approximate: str) -> bool:
    """As `linear`, with a known way to approximate."""
    return approximate in ("none", "tanh") and linear(x, weight, bias)


def linear_gelu_grad(
    gy: Array, gslope: Array, slope: Array, x: Array, weight: Array, bias: Array, *, need_x: bool, approximate: str
) -> bool:  # fmt: skip
    """As `linear_grad`, with a slope of the cotangent's shape, and nothing for the slope's own: one zero, broadcast."""
    return (
        one_shape(gy, gslope, slope)
        and linear_grad(gy, x, weight, need_x=need_x)
        and not any(gslope.strides)
        and not gslope.flat[0]
    )


def cross_entropy_mean_grad(gy: Array, logits: Array, target: Array, **static: Any) -> bool:
    """As `cross_entropy_index`, with one cotangent for all rows."""
    return floats(gy, logits) and gy.ndim == 0 and cross_entropy_index(logits, target)


def matmul(x: Array, y: Array) -> bool:
    """Matrices, or batches of them that broadcast."""
    if min(x.ndim, y.ndim) < 2 or x.shape[-1] != y.shape[-2] or not floats(x, y):
        return False
    return all(a == b or 1 in (a, b) for a, b in zip(x.shape[-3::-1], y.shape[-3::-1], strict=False))


def place_regions(*gs: Array, indices: Any, shape: tuple[int, ...], order: Any = None) -> bool:
    """Regions that make up the whole."""
    return floats(*gs) and tiling(indices, shape) == (True, True)


def take(x: Array, index: Array, *, axis: int) -> bool:
    """Whole rows of a table."""
    return axis == 0 and floats(x) and index.dtype.kind in "iu" and index.size > 0


def take_transpose(g: Array, index: Array, *, axis: int, size: int) -> bool:
    """Whole rows, one an integer."""
    return bool(
        axis == 0 and size > 0 and floats(g) and index.dtype.kind in "iu" and g.shape[: index.ndim] == index.shape
    )


def conv2d_input_grad(
    gy: Array, weight: Array, *, input_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> bool:
    """A cotangent as large as the output for that input."""
    if not floats(gy, weight) or gy.ndim != 4 or weight.ndim != 4 or groups < 1:
        return False
    if gy.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        return False
    return _fits(input_size, gy.shape[2:], weight.shape[2:], stride, padding, dilation)


def conv2d_weight_grad(
    gy: Array, x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> bool:
    """A cotangent as large as the output for that input."""
    if not floats(gy, x) or gy.ndim != 4 or x.ndim != 4 or groups < 1:
        return False
    if gy.shape[0] != x.shape[0] or x.shape[1] % groups or gy.shape[1] % groups:
        return False
    return _fits(x.shape[2:], gy.shape[2:], kernel_size, stride, padding, dilation)


def _windows(kernel: int, count: int, stride: int, padding: int, dilation: int, groups: int) -> bool:
    return min(kernel, count, stride, dilation, groups) >= 1 and padding >= 0


def stack_frames(x: Array, *, groups: int, **static: int) -> bool:
    """Rows of frames of images, whose channels the groups divide."""
    return floats(x) and x.ndim == 5 and _windows(groups=groups, **static) and x.shape[1] % groups == 0


def add_frames(x: Array, *, size: int, kernel: int, count: int, groups: int, **static: int) -> bool:
    """Images that are windows of so many places."""
    if not floats(x) or x.ndim != 4 or size < 1:
        return False
    if not _windows(kernel=kernel, count=count, groups=groups, **static):
        return False
    return len(x) % count == 0 and x.shape[1] % (groups * kernel) == 0


def _pooled(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Pair | None:
    """Size of a pooling's output; None if the parameters are not valid."""
    if not (_pairs(1, size, kernel, stride, dilation) and _pairs(0, padding)):
        return None
    out = []
    for i in (0, 1):
        extent = dilation[i] * (kernel[i] - 1) + 1
        room = size[i] + 2 * padding[i] - extent
        if room < 0 or 2 * padding[i] > extent:
            return None
        n = (room + (stride[i] - 1 if ceil_mode else 0)) // stride[i] + 1
        out.append(n - 1 if ceil_mode and (n - 1) * stride[i] >= size[i] + padding[i] else n)
    return out[0], out[1]


def max_pool2d(x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> bool:
    """Images (n, c, h, w) at least as large as the window."""
    if not floats(x) or x.ndim != 4:
        return False
    return _pooled(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode) is not None


def max_pool2d_unpool(
    gy: Array, x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> bool:
    """A cotangent as large as the output for these images."""
    if not floats(gy, x) or x.ndim != 4 or gy.ndim != 4 or gy.shape[:2] != x.shape[:2]:
        return False
    return bool(_pooled(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode) == gy.shape[2:])


def avg_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> bool:
    """Images (n, c, h, w) at least as large as the window."""
    return max_pool2d(
        x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=(1, 1), ceil_mode=ceil_mode
    )  # fmt: skip


def avg_pool2d_grad(
    gy: Array, *, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
    count_include_pad: bool,
) -> bool:  # fmt: skip
    """A cotangent as large as the output for that input."""
    if not floats(gy) or gy.ndim != 4:
        return False
    return bool(_pooled(input_size, kernel_size, stride, padding, (1, 1), ceil_mode) == gy.shape[2:])


def last_axis(*arrays: Array, axis: int) -> bool:
    """The rows are along the last axis."""
    return one_shape(*arrays) and axis in (-1, arrays[0].ndim - 1)


def layer_norm(x: Array, weight: Array, *bias: Array, axes: int, eps: float) -> bool:
    """Weights of the shape of the trailing axes."""
    if not floats(x, weight, *bias) or not 0 < axes <= x.ndim:
        return False
    shape = x.shape[x.ndim - axes :]
    return all(a.shape == shape for a in (weight, *bias))


def layer_norm_grad(gy: Array, x: Array, weight: Array, *, axes: int, eps: float) -> bool:
    """Weights of the shape of the trailing axes."""
    return one_shape(gy, x) and layer_norm(x, weight, axes=axes, eps=eps)


def standardize(*arrays: Array, axes: int, eps: float) -> bool:
    """Rows of at least one axis."""
    return one_shape(*arrays) and 0 < axes <= arrays[0].ndim


def _key(key: Array) -> bool:
    return type(key) is np.ndarray and key.dtype == np.uint32 and key.shape == (4,) and not threads.forked()


def dropout(x: Array, key: Array, *, p: float) -> bool:
    """Some elements are kept, and some are not."""
    return _key(key) and floats(x) and 0.0 < p < 1.0


def random_uniform(key: Array, *, shape: tuple[int, ...], dtype: str) -> bool:
    """Single precision, and some elements."""
    return _key(key) and dtype == "float32" and min(shape, default=1) > 0


def cumsum(x: Array, *, axis: int, reverse: bool) -> bool:
    """Floating arrays with an axis."""
    return floats(x) and 0 <= axis < x.ndim


def logsumexp(x: Array, *, axis: Any = None, keepdims: bool = False) -> bool:
    """Floating arrays; axes counted from the front, each named once."""
    axes = () if axis is None else (axis,) if isinstance(axis, int) else axis
    return floats(x) and all(0 <= a < x.ndim for a in axes) and len(set(axes)) == len(axes)


def group_norm(x: Array, weight: Array, *bias: Array, groups: int, eps: float) -> bool:
    """Groups of channels on axis 1, with one weight and bias a channel."""
    if not floats(x, weight, *bias) or x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        return False
    return all(a.shape == x.shape[1:2] for a in (weight, *bias))


def group_norm_grad(gy: Array, x: Array, weight: Array, *, groups: int, eps: float) -> bool:
    """As `group_norm`, with a cotangent of the shape of x."""
    return one_shape(gy, x) and group_norm(x, weight, groups=groups, eps=eps)


def cross_entropy_index(logits: Array, target: Array, **static: Any) -> bool:
    """One row of scores an integer target."""
    return floats(logits) and logits.ndim == 2 and target.dtype.kind in "iu" and target.shape == logits.shape[:1]


def cross_entropy_index_grad(gy: Array, logits: Array, target: Array, **static: Any) -> bool:
    """As `cross_entropy_index`, with one cotangent a row."""
    return floats(gy, logits) and gy.shape == logits.shape[:1] and cross_entropy_index(logits, target)


def update(lr: Array, step: Array, *arrays: Array, n: int, **options: Any) -> bool:
    """Whole lists of n arrays, of one floating dtype, with equal shapes across the lists."""
    if threads.forked() or n < 1 or len(arrays) < 2 * n or len(arrays) % n:
        return False
    dtype = arrays[0].dtype
    if dtype not in FLOATS or any(a.dtype != dtype for a in arrays):
        return False
    return all(a.shape == arrays[i % n].shape for i, a in enumerate(arrays))


def clip_norm_step(*grads: Array, max_norm: float, norm_type: float) -> bool:
    """Gradients of one floating dtype, and a norm that is a sum of squares or magnitudes, or the largest of these."""
    if not grads or norm_type not in (1.0, 2.0, float("inf")) or threads.forked():
        return False
    dtype = grads[0].dtype
    return dtype in FLOATS and all(g.dtype == dtype for g in grads)


def batch_norm(x: Array, weight: Array, bias: Array, *, eps: float) -> bool:
    """Channels on axis 1, with one weight and bias each."""
    return floats(x, weight, bias) and x.ndim >= 2 and weight.shape == bias.shape == x.shape[1:2]


def batch_norm_grad(gy: Array, gmean: Array, gvar: Array, x: Array, *channels: Array, eps: float) -> bool:
    """A cotangent of the shape of x, and one of everything else for each channel."""
    if not floats(gy, gmean, gvar, x, *channels) or x.ndim < 2 or gy.shape != x.shape:
        return False
    return all(a.shape == x.shape[1:2] for a in (gmean, gvar, *channels))


def batch_norm_add_relu(x: Array, more: Array, weight: Array, bias: Array, *, eps: float) -> bool:
    """As `batch_norm`, with an array of the same shape to add."""
    return one_shape(x, more) and batch_norm(x, weight, bias, eps=eps)


def batch_norm_add_relu_grad(
    gy: Array, gmean: Array, gvar: Array, y: Array, x: Array, *channels: Array, eps: float
) -> bool:
    """As `batch_norm_grad`, with a result of the shape of x."""
    return one_shape(y, x) and batch_norm_grad(gy, gmean, gvar, x, *channels, eps=eps)
