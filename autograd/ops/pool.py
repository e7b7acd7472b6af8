"""Pooling over windows of the last two axes: maximum and average, with a fixed window or a fixed output size.

Every window is a product of an interval of rows and one of columns, so each op is two passes along one axis; and the
first maximum of a window in row-major order is the first row that holds the maximum, then the first column in it. A
pass walks over *taps*: pairs of slices (source, target) that say which elements of the input take part in which
windows. Positions in the padding are in no tap, so nothing is padded and no gradient falls beside the input.

max_pool2d ↔ max_pool2d_unpool ↔ max_pool2d_gather and avg_pool2d ↔ avg_pool2d_grad are closed under differentiation.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from ..primitive import primitive

__all__ = [
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "avg_pool2d_grad", "max_pool2d", "max_pool2d_gather",
    "max_pool2d_unpool",
]  # fmt: skip

Array = Any
Pair = tuple[int, int]
ALL = slice(None)


class Taps(NamedTuple):
    """How the windows along one axis lie over an input.

    Attributes
    ----------
    pairs : (source, target) slices, in the order of the positions within a window. counts : divisor of each window's
        average. full : whether every target is all windows. disjoint : whether no input is in two windows.
    """

    pairs: tuple[tuple[slice, slice], ...]
    counts: tuple[int, ...]
    full: bool
    disjoint: bool


@lru_cache(maxsize=1024)
def window_taps(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool, count_padding: bool
) -> Taps:
    """Windows of a fixed size. The output's length is that of `counts`; PyTorch's rule decides about the last one."""
    if kernel < 1 or stride < 1 or dilation < 1 or padding < 0:
        raise ValueError("kernel_size, stride and dilation must be at least 1, padding at least 0")
    extent = dilation * (kernel - 1) + 1
    if 2 * padding > extent:
        raise ValueError(f"padding must be at most half of the window's extent {extent}, not {padding}")
    room = size + 2 * padding - extent
    if room < 0 and not (ceil_mode and room > -stride):
        raise ValueError(f"the window spans {extent} but the padded input only {size + 2 * padding}")
    n = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (n - 1) * stride >= size + padding:
        n -= 1  # the last window would start beyond the input
    pairs = []
    for j in range(kernel):
        offset = j * dilation - padding
        first = max(0, -(offset // stride))  # smallest i with i·stride + offset ≥ 0
        last = min(n - 1, (size - 1 - offset) // stride)
        if first <= last:
            start = first * stride + offset
            stop = last * stride + offset + 1
            pairs.append((slice(start, stop, stride), ALL if last - first + 1 == n else slice(first, last + 1)))
    starts = [i * stride - padding for i in range(n)]
    counts = [
        min(s + kernel, size + padding) - s if count_padding else min(s + kernel, size) - max(s, 0) for s in starts
    ]
    full = len(pairs) == kernel and all(target is ALL for _, target in pairs)
    return Taps(tuple(pairs), tuple(counts), full, (kernel - 1) * dilation < stride)


@lru_cache(maxsize=1024)
def adaptive_taps(size: int, n: int) -> Taps:
    """The n windows that cover the input: window i is [⌊i·size/n⌋, ⌈(i + 1)·size/n⌉), as in PyTorch."""
    if n < 1 or size < 1:
        raise ValueError(f"adaptive pooling needs an input and an output of at least 1, not {size} and {n}")
    bounds = [(i * size // n, -(-(i + 1) * size // n)) for i in range(n)]
    pairs = tuple(
        (slice(j, j + 1), slice(i, i + 1)) for i, (start, stop) in enumerate(bounds) for j in range(start, stop)
    )
    return Taps(pairs, tuple(stop - start for start, stop in bounds), False, len(pairs) == size)


def _at(axis: int, part: slice) -> tuple[Any, ...]:
    return (..., part) if axis == -1 else (..., part, ALL)


def _new(x: Array, axis: int, length: int, value: float, xp: Any) -> Array:
    """An array like x, but with another length along one axis; channels last in memory, as convolutions make them."""
    shape = list(x.shape)
    shape[axis] = length
    if len(shape) < 3:
        return xp.full(tuple(shape), value, dtype=x.dtype)
    *lead, c, h, w = shape
    k = len(lead)
    return xp.permute_dims(xp.full((*lead, h, w, c), value, dtype=x.dtype), (*range(k), k + 2, k, k + 1))


def _highest(x: Array, taps: Taps, axis: int, xp: Any) -> Array:
    """Maximum of each window along one axis; NaN if one is in it."""
    out = None if taps.full else _new(x, axis, len(taps.counts), -xp.inf, xp)
    for source, target in taps.pairs:
        part = x[_at(axis, source)]
        if out is None:
            out = part
        elif target is ALL:
            out = xp.maximum(out, part)
        else:
            where = _at(axis, target)
            out[where] = xp.maximum(out[where], part)
    return out


def _hits(x: Array, top: Array, taps: Taps, axis: int, xp: Any) -> Iterator[tuple[Any, Any, Array]]:
    """Per tap: its source and target as indices, and whether it holds the window's first maximum.

    Where the maximum is NaN nothing equals it, and a window that lies within the input leaves it to its last position.
    """
    free = None  # windows whose maximum was not met yet
    for k, (source, target) in enumerate(taps.pairs):
        here, there = _at(axis, source), _at(axis, target)
        if taps.full and k == len(taps.pairs) - 1:
            yield here, there, xp.ones_like(top, dtype=xp.bool) if free is None else free
            return
        hit = xp.equal(x[here], top[there])
        if target is ALL:
            hit = hit if free is None else xp.logical_and(hit, free)
            free = xp.logical_not(hit) if free is None else xp.logical_xor(free, hit)
        else:
            free = xp.ones_like(top, dtype=xp.bool) if free is None else free
            hit = xp.logical_and(hit, free[there])
            free[there] = xp.logical_xor(free[there], hit)
        yield here, there, hit


def _to_first(g: Array, x: Array, top: Array, taps: Taps, axis: int, xp: Any) -> Array:
    """Carry g, one value per window, to the window's first maximum."""
    out = xp.zeros_like(x)
    for here, there, hit in _hits(x, top, taps, axis, xp):
        part = xp.masked(hit, g[there])
        if taps.disjoint:
            out[here] = part
        else:
            out[here] += part
    return out


def _of_first(u: Array, x: Array, top: Array, taps: Taps, axis: int, xp: Any) -> Array:
    """The value of u where the window has its first maximum."""
    out = xp.zeros_like(top)
    for here, there, hit in _hits(x, top, taps, axis, xp):
        out[there] += xp.masked(hit, u[here])
    return out


def _total(x: Array, taps: Taps, axis: int, xp: Any) -> Array:
    """Sum of each window along one axis."""
    out = None if taps.full else _new(x, axis, len(taps.counts), 0.0, xp)
    for source, target in taps.pairs:
        part = x[_at(axis, source)]
        if out is None:
            out = part
        elif target is ALL:
            out = out + part
        else:
            out[_at(axis, target)] += part
    return out


def _spread(g: Array, taps: Taps, axis: int, size: int, xp: Any) -> Array:
    """The transpose of `_total`: every element gets the sum of its windows' values."""
    out = _new(g, axis, size, 0.0, xp)
    for source, target in taps.pairs:
        out[_at(axis, source)] += g[_at(axis, target)]
    return out


def _averaged(total: Array, rows: Taps, cols: Taps, xp: Any) -> Array:
    """Window sums divided by the windows' areas."""
    areas = [[a * b for b in cols.counts] for a in rows.counts]
    flat = {area for row in areas for area in row}
    if len(flat) == 1:
        return total / flat.pop()
    return total / xp.asarray(areas, dtype=total.dtype)


# ------------------------------------------------------------------ maximum


def _max(x: Array, rows: Taps, cols: Taps, xp: Any) -> Array:
    return _highest(_highest(x, cols, -1, xp), rows, -2, xp)


def _unpool(gy: Array, x: Array, rows: Taps, cols: Taps, xp: Any) -> Array:
    inner = _highest(x, cols, -1, xp)
    top = _highest(inner, rows, -2, xp)
    _check_cotangent(gy, top)
    return _to_first(_to_first(gy, inner, top, rows, -2, xp), x, inner, cols, -1, xp)


def _gather(u: Array, x: Array, rows: Taps, cols: Taps, xp: Any) -> Array:
    inner = _highest(x, cols, -1, xp)
    top = _highest(inner, rows, -2, xp)
    return _of_first(_of_first(u, x, inner, cols, -1, xp), inner, top, rows, -2, xp)


def _check_cotangent(gy: Array, out: Array) -> None:
    if tuple(gy.shape) != tuple(out.shape):
        raise ValueError(f"the cotangent has shape {tuple(gy.shape)}, but the pooled output {tuple(out.shape)}")


def _taps(
    size: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool,
    count_padding: bool = False,
) -> tuple[Taps, Taps]:  # fmt: skip
    if len(size) < 2:
        raise ValueError(f"pooling needs images (n, c, h, w), not an array of shape {size}")
    for pair in (kernel_size, stride, padding, dilation):
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(f"kernel_size, stride, padding and dilation must be pairs of integers, not {pair!r}")
    rows, cols = (
        window_taps(size[i], kernel_size[i], stride[i], padding[i], dilation[i], ceil_mode, count_padding)
        for i in (-2, -1)
    )
    return rows, cols


@primitive(floating=True)
def max_pool2d(
    x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1),
    ceil_mode: bool = False, xp: Any,
) -> Array:  # fmt: skip
    """Maximum of each window; NaN if one is in it. The cotangent goes to the window's first maximum, row by row.

    x: (…, h, w) -> (…, oh, ow) with oh = (h + 2·ph − dh·(kh − 1) − 1) // sh + 1, rounded up instead of down with
    `ceil_mode` unless the last window would start beyond the input. Padding counts as −∞.
    `torch.nn.functional.max_pool2d`.

    Raises
    ------
    ValueError : a parameter is no pair, the window is larger than the padded input, or the padding than half a window.
    """
    return _max(x, *_taps(x.shape, kernel_size, stride, padding, dilation, ceil_mode), xp)


@primitive(floating=True)
def max_pool2d_unpool(
    gy: Array, x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1),
    ceil_mode: bool = False, xp: Any,
) -> Array:  # fmt: skip
    """Values gy, one per window, carried to the first maximum of the window in x, and summed there; 0 elsewhere.

    gy: (…, oh, ow), x: (…, h, w) -> (…, h, w). The transpose of `max_pool2d_gather`. Piecewise constant in x.
    """
    return _unpool(gy, x, *_taps(x.shape, kernel_size, stride, padding, dilation, ceil_mode), xp)


@primitive(floating=True)
def max_pool2d_gather(
    u: Array, x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1),
    ceil_mode: bool = False, xp: Any,
) -> Array:  # fmt: skip
    """The values of u where each window of x has its first maximum. u, x: (…, h, w) -> (…, oh, ow)."""
    return _gather(u, x, *_taps(x.shape, kernel_size, stride, padding, dilation, ceil_mode), xp)


max_pool2d.vjp(
    x=lambda g, x, kernel_size, stride, padding, dilation, ceil_mode: max_pool2d_unpool(
        g, x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
)
max_pool2d_unpool.vjp(
    gy=lambda g, x, kernel_size, stride, padding, dilation, ceil_mode: max_pool2d_gather(
        g, x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
)
max_pool2d_gather.vjp(
    u=lambda g, x, kernel_size, stride, padding, dilation, ceil_mode: max_pool2d_unpool(
        g, x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
)

# ------------------------------------------------------------------ average


@primitive(floating=True)
def avg_pool2d(
    x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), ceil_mode: bool = False,
    count_include_pad: bool = True, xp: Any,
) -> Array:  # fmt: skip
    """Average of each window, zeros in the padding. x: (…, h, w) -> (…, oh, ow), sizes as in `max_pool2d`.

    The sum is divided by the number of positions within the padded input, or within the input alone if
    `count_include_pad` is False. `torch.nn.functional.avg_pool2d`.
    """
    rows, cols = _taps(x.shape, kernel_size, stride, padding, (1, 1), ceil_mode, count_include_pad)
    return _averaged(_total(_total(x, cols, -1, xp), rows, -2, xp), rows, cols, xp)


@primitive(floating=True)
def avg_pool2d_grad(
    gy: Array, /, *, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0),
    ceil_mode: bool = False, count_include_pad: bool = True, xp: Any,
) -> Array:  # fmt: skip
    """The transpose of `avg_pool2d`: each window's value, divided by its area, is added to all its positions.

    gy: (…, oh, ow) -> (…, *input_size).
    """
    rows, cols = _taps(input_size, kernel_size, stride, padding, (1, 1), ceil_mode, count_include_pad)
    gy = _averaged(gy, rows, cols, xp)
    return _spread(_spread(gy, rows, -2, input_size[0], xp), cols, -1, input_size[1], xp)


avg_pool2d.vjp(
    x=lambda g, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad: avg_pool2d_grad(
        g, input_size=x_shape[-2:], kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
)  # fmt: skip
avg_pool2d_grad.vjp(
    gy=lambda g, kernel_size, stride, padding, ceil_mode, count_include_pad: avg_pool2d(
        g, kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
)  # fmt: skip

# ------------------------------------------------------------------ adaptive


def _adaptive(size: tuple[int, ...], output_size: Pair) -> tuple[Taps, Taps]:
    if len(size) < 2:
        raise ValueError(f"pooling needs images (n, c, h, w), not an array of shape {size}")
    return adaptive_taps(size[-2], output_size[0]), adaptive_taps(size[-1], output_size[1])


@primitive(floating=True)
def adaptive_max_pool2d_(x: Array, /, *, output_size: Pair, xp: Any) -> Array:
    """Maximum of each of oh × ow windows that cover x. x: (…, h, w) -> (…, *output_size)."""
    return _max(x, *_adaptive(x.shape, output_size), xp)


@primitive(floating=True)
def adaptive_max_pool2d_unpool(gy: Array, x: Array, /, *, output_size: Pair, xp: Any) -> Array:
    """Values gy, one per window, carried to the window's first maximum in x. See `max_pool2d_unpool`."""
    return _unpool(gy, x, *_adaptive(x.shape, output_size), xp)


@primitive(floating=True)
def adaptive_max_pool2d_gather(u: Array, x: Array, /, *, output_size: Pair, xp: Any) -> Array:
    """The values of u where each window of x has its first maximum. See `max_pool2d_gather`."""
    return _gather(u, x, *_adaptive(x.shape, output_size), xp)


adaptive_max_pool2d_.vjp(x=lambda g, x, output_size: adaptive_max_pool2d_unpool(g, x, output_size=output_size))
adaptive_max_pool2d_unpool.vjp(gy=lambda g, x, output_size: adaptive_max_pool2d_gather(g, x, output_size=output_size))
adaptive_max_pool2d_gather.vjp(u=lambda g, x, output_size: adaptive_max_pool2d_unpool(g, x, output_size=output_size))


@primitive(floating=True)
def adaptive_avg_pool2d_(x: Array, /, *, output_size: Pair, xp: Any) -> Array:
    """Average of each of oh × ow windows that cover x. x: (…, h, w) -> (…, *output_size)."""
    rows, cols = _adaptive(x.shape, output_size)
    return _averaged(_total(_total(x, cols, -1, xp), rows, -2, xp), rows, cols, xp)


@primitive(floating=True)
def adaptive_avg_pool2d_grad(gy: Array, /, *, input_size: Pair, xp: Any) -> Array:
    """The transpose of adaptive average pooling. gy: (…, oh, ow) -> (…, *input_size)."""
    rows, cols = _adaptive(input_size, tuple(gy.shape[-2:]))
    gy = _averaged(gy, rows, cols, xp)
    return _spread(_spread(gy, rows, -2, input_size[0], xp), cols, -1, input_size[1], xp)


adaptive_avg_pool2d_.vjp(x=lambda g, x_shape: adaptive_avg_pool2d_grad(g, input_size=x_shape[-2:]))
adaptive_avg_pool2d_grad.vjp(gy=lambda g, gy_shape: adaptive_avg_pool2d_(g, output_size=gy_shape[-2:]))


def _output_size(x: Array, output_size: int | tuple[int | None, int | None]) -> tuple[Pair, Pair | None]:
    """The output size as a pair of ints, and the window that gives it if all windows are alike and disjoint."""
    wanted = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    if len(x.shape) < 2 or len(wanted) != 2:
        raise ValueError(
            f"adaptive pooling takes images (n, c, h, w) and a size or a pair, not {x.shape}, {output_size}"
        )
    size = tuple(x.shape[-2:])
    h, w = (n if k is None else int(k) for n, k in zip(size, wanted, strict=True))
    if min(h, w) < 1 or size[0] % h or size[1] % w or 0 in size:
        return (h, w), None
    return (h, w), (size[0] // h, size[1] // w)


def adaptive_avg_pool2d(x: Any, output_size: int | tuple[int | None, int | None]) -> Any:
    """Average of each of oh × ow windows that cover x, as `torch.nn.functional.adaptive_avg_pool2d`.

    x: (…, h, w) -> (…, oh, ow). Window i along an axis of length n is [⌊i·n/o⌋, ⌈(i + 1)·n/o⌉). None keeps a length.

    >>> import pullback as pb
    >>> pb.adaptive_avg_pool2d(pb.Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), (1, 2)).numpy()
    array([[3., 4.]], dtype=float32)
    """
    size, window = _output_size(x, output_size)
    if window is not None:
        return avg_pool2d(x, kernel_size=window, stride=window, padding=(0, 0), ceil_mode=False, count_include_pad=True)
    return adaptive_avg_pool2d_(x, output_size=size)


def adaptive_max_pool2d(x: Any, output_size: int | tuple[int | None, int | None]) -> Any:
    """Maximum of each of oh × ow windows that cover x; windows as in `adaptive_avg_pool2d`."""
    size, window = _output_size(x, output_size)
    if window is not None:
        return max_pool2d(x, kernel_size=window, stride=window, padding=(0, 0), dilation=(1, 1), ceil_mode=False)
    return adaptive_max_pool2d_(x, output_size=size)
