"""A part of an image in a scratch buffer, with zeros around it."""

from __future__ import annotations

from .compile import Floats, jit
from .vectors import clear_bytes, copy_bytes


@jit
def pad_cotangent(
    g: Floats, scratch: Floats, base: int, image: int, top: int, height: int, width: int, oh: int, ow: int, left: int,
    o: int,
) -> None:  # fmt: skip
    """Rows top..top+height-1 of one image of g, `left` columns in, with zeros around; a negative `left` cuts."""
    size = g.itemsize
    row = width * o * size
    begin, end = min(max(left, 0), width), max(min(left + ow, width), 0)
    for y in range(height):
        to = scratch.ctypes.data + base * size + y * row
        if top + y < 0 or top + y >= oh or begin >= end:
            clear_bytes(to, row)
            continue
        clear_bytes(to, begin * o * size)
        clear_bytes(to + end * o * size, (width - end) * o * size)
        source = ((image * oh + top + y) * ow + begin - left) * o * size
        copy_bytes(to + begin * o * size, g.ctypes.data + source, (end - begin) * o * size)
