"""Resampling along axes: every output is a weighted sum of a few inputs, its taps. Interpolation is made of it.

The weights depend on sizes alone, so a table of taps is made once and kept. Its transpose is a table of taps as well
(which outputs an input takes part in), so the op and its rule are one op: a gather and a sum, with nothing to scatter.
Images are resampled along one axis after the other.
"""

from __future__ import annotations

import math
from functools import lru_cache
from operator import index as as_int
from typing import Any, NamedTuple

import numpy as np

from ..primitive import primitive
from .pool import adaptive_avg_pool2d
from .pool_nd import adaptive_avg_pool1d, adaptive_avg_pool3d
from .shape import broadcast_to_, reshape_

__all__ = ["interpolate"]

Array = Any
Table = np.ndarray[Any, Any]


class Method(NamedTuple):
    """How positions of the output lie on the input, and what they read there.

    Attributes
    ----------
    kind : "nearest", "nearest-exact", "linear", "cubic", or with antialiasing "aa-linear", "aa-cubic", "aa-lanczos".
    align_corners : whether the outermost positions of input and output coincide, or the borders beyond them.
    scale : inputs per output; the quotient of the sizes for None.
    """

    kind: str
    align_corners: bool = False
    scale: float | None = None


class Taps(NamedTuple):
    """Per tap k and output i: which input it reads, and its weight there.

    Attributes
    ----------
    source, weight : (taps, outputs). unit : whether all weights are 1. gaps : whether an output reads nothing.
    """

    source: Table
    weight: Table
    unit: bool
    gaps: bool


# ------------------------------------------------------------------ tables


def _cubic(t: Table, a: float) -> Table:
    """Keys's cubic convolution kernel (Keys 1981)."""
    t = np.abs(t)
    near, far = ((a + 2) * t - (a + 3)) * t * t + 1, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


#: kernels that are widened when an image is made smaller, and their reach; Pillow's filters
_FILTERS: dict[str, tuple[Any, float]] = {
    "aa-linear": (lambda t: np.maximum(1.0 - np.abs(t), 0.0), 1.0),
    "aa-cubic": (lambda t: _cubic(t, -0.5), 2.0),
    "aa-lanczos": (lambda t: np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0), 3.0),
}


def _widened(n: int, scale: float, positions: Table, kind: str) -> tuple[Table, Table]:
    """Taps of a kernel stretched by the scale where that is above 1, with weights that sum to 1."""
    kernel, reach = _FILTERS[kind]
    stretch = max(scale, 1.0)
    centre = scale * (positions + 0.5)
    first = np.maximum(np.trunc(centre - reach * stretch + 0.5), 0).astype(np.int64)
    last = np.minimum(np.trunc(centre + reach * stretch + 0.5), n).astype(np.int64)
    taps = np.arange(int((last - first).max(initial=1)))[:, None]
    index = first + taps
    weight = np.where(index < last, kernel((index - centre + 0.5) / stretch), 0.0)
    return np.minimum(index, n - 1), weight / weight.sum(0)


def _taps(n: int, size: int, method: Method) -> tuple[Table, Table]:
    positions = np.arange(size, dtype=np.float64)
    if method.align_corners:
        scale = (n - 1) / (size - 1) if size > 1 else 0.0
    else:
        scale = n / size if method.scale is None else method.scale
    if method.kind.startswith("nearest"):
        source = np.floor((positions + (0.5 if method.kind == "nearest-exact" else 0.0)) * scale)
        return np.clip(source, 0, n - 1).astype(np.int64)[None], np.ones((1, size))
    if method.kind in _FILTERS:
        return _widened(n, scale, positions, method.kind)
    source = positions * scale if method.align_corners else (positions + 0.5) * scale - 0.5
    if method.kind == "linear":
        source = np.clip(source, 0.0, n - 1)
        low = np.floor(source)
        index, weight = low + np.arange(2)[:, None], np.stack([low + 1 - source, source - low])
    else:
        low = np.floor(source)
        index = low + np.arange(-1, 3)[:, None]
        weight = _cubic(source - index, -0.75)
    return np.clip(index, 0, n - 1).astype(np.int64), weight


def _transposed(index: Table, weight: Table, n: int) -> tuple[Table, Table]:
    """The same weights seen from the inputs: which outputs each of the n inputs takes part in."""
    reader = np.broadcast_to(np.arange(index.shape[1]), index.shape)[weight != 0]
    source, weight = index[weight != 0], weight[weight != 0]
    order = np.argsort(source, kind="stable")
    source, reader, weight = source[order], reader[order], weight[order]
    counts = np.bincount(source, minlength=n)
    start = np.cumsum(counts) - counts
    rank = np.arange(len(source)) - start[source]
    most = max(int(counts.max(initial=0)), 1)
    first = np.zeros(n, np.int64)  # unused places repeat an output that the input has anyway
    first[counts > 0] = reader[start[counts > 0]]
    out, weights = np.tile(first, (most, 1)), np.zeros((most, n))
    out[rank, source] = reader
    weights[rank, source] = weight
    return out, weights


@lru_cache(maxsize=256)
def taps_table(n: int, size: int, method: Method, transposed: bool) -> Taps:
    """The taps from n inputs to `size` outputs; if transposed, of the map that goes back from n outputs."""
    index, weight = _transposed(*_taps(size, n, method), size) if transposed else _taps(n, size, method)
    return Taps(index, weight, bool((weight == 1).all()), bool((weight == 0).all(0).any()))


# ------------------------------------------------------------------ the op


@primitive(floating=True)
def resample(x: Array, /, *, axis: int, size: int, method: Method, transposed: bool = False, xp: Any) -> Array:
    """Weighted sums of a few elements along an axis: y[i] = Σₖ weight[k, i]·x[index[k, i]].

    x: (…, n, …) -> (…, size, …). `transposed` is the transpose of the map from `size` to n.
    """
    taps = taps_table(x.shape[axis], size, method, transposed)
    column = tuple(-1 if i == axis else 1 for i in range(x.ndim))
    out = None
    for index, weight in zip(taps.source, taps.weight, strict=True):
        part = xp.take(x, xp.asarray(index), axis=axis)
        if not taps.unit:
            factor = xp.reshape(xp.asarray(weight, dtype=x.dtype), column)
            if taps.gaps:  # what reads nothing is 0, whatever stands where it would read
                part = xp.masked(xp.broadcast_to(factor != 0, part.shape), part)
            part = part * factor
        out = part if out is None else out + part
    return out


resample.vjp(
    x=lambda g, x_shape, axis, method, transposed: resample(
        g, axis=axis, size=x_shape[axis], method=method, transposed=not transposed
    )
)

# ------------------------------------------------------------------ interpolation

_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "lanczos": 2, "trilinear": 3}
_KINDS = {"linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic", "lanczos": "lanczos"}
_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


def _sizes(x: Any, size: Any, scale_factor: Any, keep: bool) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The output's lengths, and per axis the inputs per output where a given factor decides that."""
    lengths = tuple(x.shape[2:])
    axes = len(lengths)
    given = scale_factor if size is None else size
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    each = tuple(given) if isinstance(given, list | tuple) else (given,) * axes
    if len(each) != axes:
        raise ValueError(f"interpolate: {len(each)} values for the {axes} axes of an input of shape {tuple(x.shape)}")
    scales: tuple[float | None, ...] = (None,) * axes
    if size is not None:
        wanted = tuple(as_int(n) for n in each)
    else:
        wanted = tuple(math.floor(n * float(f)) for n, f in zip(lengths, each, strict=True))
        if keep:
            scales = tuple(1.0 / float(f) if f > 0 else None for f in each)
    if min(wanted) < 1 or min(lengths) < 1:
        raise ValueError(f"interpolate: an input of shape {tuple(x.shape)} to lengths {wanted}: all must be at least 1")
    return wanted, scales


def _repeated(x: Any, times: tuple[int, ...]) -> Any:
    """Every element of the trailing axes so many times, one after the other."""
    lead, lengths = tuple(x.shape[:2]), tuple(x.shape[2:])
    pairs = [n for length, k in zip(lengths, times, strict=True) for n in (length, k)]
    ones = [n for length in lengths for n in (length, 1)]
    wide = broadcast_to_(reshape_(x, shape=(*lead, *ones)), shape=(*lead, *pairs))
    return reshape_(wide, shape=(*lead, *(n * k for n, k in zip(lengths, times, strict=True))))


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Any:  # fmt: skip
    """An input of another size: (n, c, *lengths) -> (n, c, *size). `torch.nn.functional.interpolate`.

    Parameters
    ----------
    size, scale_factor : one of them: the new lengths, or what they are multiplied by (and rounded down); a number for
        all axes, or one for each.
    mode : "nearest" (the input at ⌊i·scale⌋, as OpenCV), "nearest-exact" (at ⌊(i + ½)·scale⌋, as Pillow), "linear" for
        one axis, "bilinear" or "bicubic" (Keys 1981, a = −¾) for two, "trilinear" for three, "area" for averages.
    align_corners : whether the outermost elements of input and output lie on each other (else their borders do).
    recompute_scale_factor : take the scale from the rounded sizes and not from the factor.
    antialias : widen the kernel when an image is made smaller, as Pillow does: with "bilinear", "bicubic" (a = −½), and
        "lanczos", which has it always.

    Raises
    ------
    ValueError : no size or two of them, or a mode that does not fit the number of axes.

    >>> import pullback as pb
    >>> pb.interpolate(pb.tensor([[[1.0, 3.0]]]), scale_factor=2, mode="linear").tolist()
    [[[1.0, 1.5, 2.5, 3.0]]]
    """
    x, axes = input, input.ndim - 2
    if axes not in (1, 2, 3):
        raise ValueError(f"interpolate: an input (n, c, 1 to 3 axes) is wanted, not {tuple(x.shape)}")
    plain = mode in ("nearest", "nearest-exact", "area")
    if not plain and _AXES.get(mode) != axes:
        raise ValueError(f"interpolate: the mode {mode!r} does not fit an input of shape {tuple(x.shape)}")
    if plain and align_corners is not None:
        raise ValueError(f"interpolate: align_corners means nothing for the mode {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic", "lanczos"):
        raise ValueError(f"interpolate: antialias is for bilinear, bicubic and lanczos, not for {mode!r}")
    wanted, scales = _sizes(x, size, scale_factor, not recompute_scale_factor and mode != "area")
    if mode == "area":
        return _AREA[axes](x, wanted)
    times = tuple(k // n for k, n in zip(wanted, x.shape[2:], strict=True))
    exact = all(k == n * t for k, n, t in zip(wanted, x.shape[2:], times, strict=True))
    if plain and exact and all(s is None or s * t == 1 for s, t in zip(scales, times, strict=True)):
        return _repeated(x, times)
    kind = mode if plain else ("aa-" if antialias or mode == "lanczos" else "") + _KINDS[mode]
    for axis, (length, scale) in enumerate(zip(wanted, scales, strict=True), start=2):
        method = Method(kind, bool(align_corners), scale)
        if length != x.shape[axis] or scale not in (None, 1.0):
            x = resample(x, axis=axis, size=length, method=method)
    return x
