"""Images in memory: kernels work on (n, h, w, c) next to each other, and users see (n, c, h, w) through strides."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, kernel
from .copies import contiguous, owner_of
from .memory import empty
from .tile import VECTOR_BYTES
from .vectors import transpose_vectors

Array = Any
MANY = 8  # images, enough tasks by themselves
NARROW = 32  # pixels; rows of fewer leave much to single elements


def ready(x: Array) -> Array:
    """The array as kernels take it: row-major and aligned; a copy if it is not."""
    flags = x.flags
    return x if flags.c_contiguous and flags.aligned else contiguous(x)


def channels_last(x: Array, padding: tuple[int, int] = (0, 0)) -> Array:
    """(n, c, h, w) -> (n, h + 2·ph, w + 2·pw, c), zero-padded and row-major; no copy if the memory is so already."""
    n, c, h, w = x.shape
    ph, pw = padding
    last = x.transpose(0, 2, 3, 1)
    flags = last.flags
    packed = flags.c_contiguous and flags.aligned
    padded = ph or pw
    if packed and not padded:
        return last
    out = empty((n, h + 2 * ph, w + 2 * pw, c), x.dtype)
    if not (packed or padded) and (n >= MANY or (n > 1 and w < NARROW)):
        h, w = 1, h * w  # an image's pixels as one row
    source, steps = (last, (h * w * c, w * c, 1)) if packed else (ready(x), (c * h * w, w, h * w))
    if out.size:
        _pad_row(n * (h + 2 * ph), source, out, h, w, c, ph, pw, *steps)
    return out


def dense_images(x: Array) -> tuple[Array, bool]:
    """(n, c, h, w) as it lies in memory, and whether that is row-major; channels-last if it is in neither order."""
    if x.flags.c_contiguous and x.flags.aligned and x.shape[1] > 1:
        return x, True
    return channels_last(x), False


@kernel
def _pad_row(
    x: Floats, out: Floats, h: int, w: int, c: int, ph: int, pw: int, sn: int, sh: int, sc: int, row: int
) -> None:
    """One row of pixels of the padded image. x's images, rows and channels lie sn, sh, sc apart.

    Where channels do not lie next to each other, pixels do. Squares of one vector's side are transposed in registers.
    """
    height, width = h + 2 * ph, (w + 2 * pw) * c
    image, y = row // height, row % height - ph
    start = row * width
    if y < 0 or y >= h:
        out[start : start + width] = 0
        return
    out[start : start + pw * c] = 0
    out[start + (pw + w) * c : start + width] = 0
    source, target = image * sn + y * sh, start + pw * c
    if sc == 1:
        for j in range(w * c):
            out[target + j] = x[source + j]
        return
    size, side = x.itemsize, VECTOR_BYTES // x.itemsize
    pixels, channels = w // side * side, c // side * side
    for k in range(0, channels, side):
        for j in range(0, pixels, side):
            transpose_vectors(
                x, x.ctypes.data + (source + k * sc + j) * size, sc * size,
                out.ctypes.data + (target + j * c + k) * size, c * size,
            )  # fmt: skip
    for k in range(c):
        for j in range(pixels if k < channels else 0, w):
            out[target + j * c + k] = x[source + j + k * sc]


def in_memory_order(x: Array) -> Array | None:
    """The array with its axes in the order of memory, if it is then row-major without gaps."""
    flags = x.flags
    if not flags.aligned:
        return None
    if flags.c_contiguous:
        return x
    if flags.f_contiguous:
        return x.T
    if x.ndim == 4:
        last = x.transpose(0, 2, 3, 1)
        if last.flags.c_contiguous:
            return last
    return None


def empty_as(x: Array) -> Array:
    """An uninitialised array that lies as x does, for an x that `in_memory_order` knows."""
    if x.flags.c_contiguous:
        return empty(x.shape, x.dtype)
    if x.flags.f_contiguous:
        return empty(x.shape[::-1], x.dtype).T
    n, c, h, w = x.shape
    return empty((n, h, w, c), x.dtype).transpose(0, 3, 1, 2)


def empty_beside(*like: Array) -> tuple[Array, ...]:
    """Uninitialised arrays that lie in one piece of memory as the given ones do; none if they do not fill one alone.

    The given ones: of one shape, the first, second, ... of equal parts of an array, such as queries, keys and values.
    """
    first = like[0]
    owner, start = owner_of(first), first.ctypes.data
    step = like[1].ctypes.data - start
    for i, x in enumerate(like):
        together = owner_of(x) is owner and x.shape == first.shape and x.strides == first.strides
        if not together or x.ctypes.data != start + i * step:
            return ()
    lengths, steps = (len(like), *first.shape), (step, *first.strides)
    axes = sorted(range(len(lengths)), key=lambda axis: (-steps[axis], lengths[axis]))
    expected = first.itemsize
    for axis in reversed(axes):
        if lengths[axis] > 1 and steps[axis] != expected:
            return ()
        expected *= lengths[axis]
    whole = empty(tuple(lengths[axis] for axis in axes), first.dtype)
    return tuple(whole.transpose([axes.index(axis) for axis in range(len(axes))]))


def aligned_pair(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Two arrays of one shape in one order of memory, and an empty array in that order.

    The order is y's, if it has any; but images lie channels-last if either does.
    """
    if x.strides != y.strides and lies_channels_last(x):
        y = channels_last(y).transpose(0, 3, 1, 2)
    b = in_memory_order(y)
    if b is None:
        b = y = np.array(y, order="C")
    out = empty_as(y)
    a = in_memory_order(x) if x.strides == y.strides else None
    if a is None and lies_channels_last(y):
        a = channels_last(x)
    elif a is None:
        copy = empty_as(y)
        np.copyto(copy, x)
        a = in_memory_order(copy)
    return a, b, out


def lies_channels_last(x: Array) -> bool:
    """Images of several channels, in that order of memory alone."""
    if x.ndim != 4 or x.flags.c_contiguous or not x.flags.aligned:
        return False
    return bool(x.transpose(0, 2, 3, 1).flags.c_contiguous)
