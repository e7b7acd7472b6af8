"""Optimiser steps in NumPy: in place, a cache-sized block at a time, so that memory is passed over once.

The formulas are those of `autograd/ops/update.py`, with the same signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .base import Array, Kernel

#: Elements worked on at a time: parameter, gradient, two states and two scratch blocks stay in the second-level cache.
BLOCK = 16384


def _owned(arrays: tuple[Array, ...], n: int, donate: bool) -> list[list[Array]]:
    """The array lists (parameters, gradients, states), of which all but the gradients may be written into."""
    lists = [list(arrays[i : i + n]) for i in range(2, len(arrays), n)]
    for k, arrays_of_kind in enumerate(lists):
        if k == 1:
            continue
        for i, a in enumerate(arrays_of_kind):
            if not (donate and a.flags.writeable):
                arrays_of_kind[i] = a.copy(order="K")
    return lists


def _blocks(lists: list[list[Array]]) -> Iterator[tuple[tuple[Array, ...], Array, Array]]:
    """Per block: views of (parameter, gradient, states...), and two scratch arrays of the same shape."""
    first = lists[0][0]
    largest = min(max(p.size for p in lists[0]), BLOCK)
    scratch = np.empty((2, largest), first.dtype)
    for row in zip(*lists, strict=True):
        if any(not a.flags.c_contiguous for a in (row[0], *row[2:])):
            yield row, np.empty(row[0].shape, first.dtype), np.empty(row[0].shape, first.dtype)
            continue
        flat = tuple(a.reshape(-1) for a in row)
        size = flat[0].size
        for start in range(0, size, BLOCK):
            stop = min(start + BLOCK, size)
            a, b = scratch[0, : stop - start], scratch[1, : stop - start]
            yield tuple(array[start:stop] for array in flat), a, b


def _results(lists: list[list[Array]]) -> tuple[Array, ...]:
    """Parameters and states, one after the other."""
    return tuple(a for k, arrays in enumerate(lists) if k != 1 for a in arrays)


def _descent(p: Array, g: Array, out: Array, weight_decay: float, maximize: bool) -> Array:
    """±g + λ·p in `out`, or g itself."""
    if weight_decay:
        np.multiply(p, weight_decay, out=out)
        return np.subtract(out, g, out=out) if maximize else np.add(out, g, out=out)
    return np.negative(g, out=out) if maximize else g


def sgd_step(
    lr: Array, step: Array, *arrays: Array, n: int, momentum: float = 0.0, dampening: float = 0.0,
    nesterov: bool = False, weight_decay: float = 0.0, maximize: bool = False, donate: bool = False,
) -> tuple[Array, ...]:  # fmt: skip
    """SGD. See `autograd.ops.update.sgd_step`."""
    lists = _owned((lr, step, *arrays), n, donate)
    rate = float(lr)
    share = 1.0 - dampening if step > 1 else 1.0
    for (p, g, *buffer), a, b in _blocks(lists):
        g = _descent(p, g, a, weight_decay, maximize)
        if momentum:
            m = buffer[0]
            np.multiply(m, momentum, out=m)
            np.add(m, g if share == 1.0 else np.multiply(g, share, out=b), out=m)
            g = np.add(np.multiply(m, momentum, out=b), g, out=b) if nesterov else m
        np.subtract(p, np.multiply(g, rate, out=b), out=p)
    return _results(lists)


def adam_step(
    lr: Array, step: Array, *arrays: Array, n: int, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.0, decoupled: bool = False, amsgrad: bool = False, maximize: bool = False,
    donate: bool = False,
) -> tuple[Array, ...]:  # fmt: skip
    """Adam and AdamW. See `autograd.ops.update.adam_step`."""
    lists = _owned((lr, step, *arrays), n, donate)
    root = float(1.0 - beta2 ** float(step)) ** 0.5
    rate = float(lr) / (1.0 - beta1 ** float(step))
    shrink = 1.0 - float(lr) * weight_decay
    for (p, g, m, v, *largest), a, b in _blocks(lists):
        if decoupled and weight_decay:
            np.multiply(p, shrink, out=p)
        g = _descent(p, g, a, 0.0 if decoupled else weight_decay, maximize)
        np.subtract(g, m, out=b)
        np.multiply(b, 1.0 - beta1, out=b)
        np.add(m, b, out=m)
        np.multiply(v, beta2, out=v)
        np.multiply(g, g, out=b)
        np.multiply(b, 1.0 - beta2, out=b)
        np.add(v, b, out=v)
        if amsgrad:
            v = np.maximum(v, largest[0], out=largest[0])
        np.sqrt(v, out=b)
        np.divide(b, root, out=b)
        np.add(b, eps, out=b)
        np.multiply(m, rate, out=a)
        np.divide(a, b, out=a)
        np.subtract(p, a, out=p)
    return _results(lists)


def rmsprop_step(
    lr: Array, step: Array, *arrays: Array, n: int, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0,
    momentum: float = 0.0, centered: bool = False, maximize: bool = False, donate: bool = False,
) -> tuple[Array, ...]:  # fmt: skip
    """RMSprop. See `autograd.ops.update.rmsprop_step`."""
    lists = _owned((lr, step, *arrays), n, donate)
    rate = float(lr)
    for (p, g, s, *more), a, b in _blocks(lists):
        g = _descent(p, g, a, weight_decay, maximize)
        np.multiply(s, alpha, out=s)
        np.multiply(g, g, out=b)
        np.multiply(b, 1.0 - alpha, out=b)
        np.add(s, b, out=s)
        if centered:
            mean = more[-1]
            np.subtract(g, mean, out=b)
            np.multiply(b, 1.0 - alpha, out=b)
            np.add(mean, b, out=mean)
            np.multiply(mean, mean, out=b)
            np.sqrt(np.subtract(s, b, out=b), out=b)
        else:
            np.sqrt(s, out=b)
        np.add(b, eps, out=b)
        np.divide(g, b, out=b)
        if momentum:
            np.multiply(more[0], momentum, out=more[0])
            np.add(more[0], b, out=more[0])
            np.multiply(more[0], rate, out=b)
        else:
            np.multiply(b, rate, out=b)
        np.subtract(p, b, out=p)
    return _results(lists)


def _floating(lr: Array, step: Array, *arrays: Array, **static: Any) -> bool:
    """Float arrays of one dtype: what the kernels are written for."""
    dtype = arrays[0].dtype
    return dtype.kind == "f" and all(a.dtype == dtype for a in arrays)


def kernels() -> dict[str, Kernel]:
    """The kernels of this file by op name."""
    found: tuple[Callable[..., tuple[Array, ...]], ...] = (sgd_step, adam_step, rmsprop_step)
    return {fn.__name__: Kernel(fn, _floating) for fn in found}
