"""The IDX file format of MNIST and its successors, checked against the file's length."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The file's content, decompressed if it is gzip (told by its first bytes, not by its name)."""
    raw = Path(path).read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: the gzip data is truncated or damaged ({error}); fetch the file again") from error


def parse_idx(content: bytes, name: str, *, ndim: int | None = None, dtype: Any = None) -> np.ndarray[Any, Any]:
    """The array in the bytes of an IDX file.

    The format is two zero bytes, a code for the dtype, the number of axes, each axis's size as a big-endian uint32, and
    the elements in C order, big-endian.

    Parameters
    ----------
    content : the file's bytes, decompressed.
    name : what errors call the file.
    ndim, dtype : what the array must be; None accepts anything.

    Returns
    -------
    An array of its own memory in the machine's byte order.

    Raises
    ------
    ValueError : another format, dtype or number of axes, or sizes that do not match the file's length.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"{name}: not an IDX file: it starts with {content[:4].hex(' ') or 'nothing'}, expected 00 00")
    code, axes = content[2], content[3]
    if code not in _DTYPES:
        known = ", ".join(f"{c:#04x}" for c in _DTYPES)
        raise ValueError(f"{name}: unknown IDX dtype code {code:#04x}; expected one of {known}")
    kind = np.dtype(_DTYPES[code])
    if dtype is not None and kind.newbyteorder("=") != np.dtype(dtype):
        raise ValueError(f"{name}: holds {kind.newbyteorder('=')} elements, expected {np.dtype(dtype)}")
    if axes == 0 or (ndim is not None and axes != ndim):
        raise ValueError(f"{name}: has {axes} axes, expected {'at least 1' if ndim is None else ndim}")
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{name}: truncated in its header: {len(content)} bytes, expected at least {start}")
    shape = struct.unpack(f">{axes}I", content[4:start])
    expected = start + math.prod(shape) * kind.itemsize
    if len(content) != expected:
        what = "truncated" if len(content) < expected else "longer than its header says"
        raise ValueError(f"{name}: {what}: {len(content)} bytes, expected {expected} for shape {shape} of {kind.name}")
    return np.frombuffer(content, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


def read_idx(path: str | os.PathLike[str], *, ndim: int | None = None, dtype: Any = None) -> np.ndarray[Any, Any]:
    """The array in an IDX file, raw or gzip-compressed. See `parse_idx`."""
    return parse_idx(read_bytes(path), str(path), ndim=ndim, dtype=dtype)
