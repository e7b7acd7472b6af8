"""Optimiser steps: one parallel pass over all parameters, their gradients and their states.

The arrays are found through a table of addresses, and the tasks through a table of spans of them, so that a hundred
small parameters cost one call. The formulas are those of `autograd/ops/update.py`, with the same signatures. A loop
reads all it needs of an element before it writes, or the vectoriser, which cannot know the arrays apart, gives up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Doubles, Floats, Ints, addresses_of, array_at, kernel

Array = Any
SPAN = 16384  # elements of one task


@kernel
def _sgd_span(
    like: Floats, lr: Doubles, step: Doubles, table: Ints, spans: Ints, lists: int, mu: float, dampening: float,
    nesterov: int, weight_decay: float, direction: float, task: int,
) -> None:  # fmt: skip
    row, start = spans[2 * task] * (lists + 1), spans[2 * task + 1]
    n, at = min(SPAN, table[row + lists] - start), start * like.itemsize
    p, g = array_at(like, table[row] + at, n), array_at(like, table[row + 1] + at, n)
    real = like.dtype.type
    rate, momentum, share = real(lr[0]), real(mu), real(1.0 - dampening if step[0] > 1.0 else 1.0)
    decay, sign = real(weight_decay), real(direction)
    if lists == 2:
        for i in range(n):
            p[i] = p[i] - rate * (sign * g[i] + decay * p[i])
        return
    b = array_at(like, table[row + 2] + at, n)
    for i in range(n):
        d = sign * g[i] + decay * p[i]
        velocity = b[i] * momentum + d * share
        b[i] = velocity
        p[i] = p[i] - rate * (d + velocity * momentum if nesterov else velocity)


@kernel
def _adam_span(
    like: Floats, lr: Doubles, step: Doubles, table: Ints, spans: Ints, lists: int, b1: float, b2: float,
    epsilon: float, weight_decay: float, decoupled: int, direction: float, task: int,
) -> None:  # fmt: skip
    row, start = spans[2 * task] * (lists + 1), spans[2 * task + 1]
    n = min(SPAN, table[row + lists] - start)
    at = start * like.itemsize
    p, g = array_at(like, table[row] + at, n), array_at(like, table[row + 1] + at, n)
    m, v = array_at(like, table[row + 2] + at, n), array_at(like, table[row + 3] + at, n)
    real = like.dtype.type
    rate, scale = real(lr[0] / (1.0 - b1 ** step[0])), real(1.0 / np.sqrt(1.0 - b2 ** step[0]))
    share1, beta2, share2, eps, sign = real(1.0 - b1), real(b2), real(1.0 - b2), real(epsilon), real(direction)
    keep, decay = real(1.0 - lr[0] * weight_decay if decoupled else 1.0), real(0.0 if decoupled else weight_decay)
    if lists == 4:
        for i in range(n):
            q, mean, size = p[i] * keep, m[i], v[i]
            d = sign * g[i] + decay * q
            mean = mean + (d - mean) * share1
            size = size * beta2 + d * d * share2
            m[i], v[i] = mean, size
            p[i] = q - rate * mean / (np.sqrt(size) * scale + eps)
        return
    top = array_at(like, table[row + 4] + at, n)
    for i in range(n):
        q, mean, size, largest = p[i] * keep, m[i], v[i], top[i]
        d = sign * g[i] + decay * q
        mean = mean + (d - mean) * share1
        size = size * beta2 + d * d * share2
        largest = largest if largest >= size else size
        m[i], v[i], top[i] = mean, size, largest
        p[i] = q - rate * mean / (np.sqrt(largest) * scale + eps)


@kernel
def _rmsprop_span(
    like: Floats, lr: Doubles, table: Ints, spans: Ints, lists: int, smoothing: float, epsilon: float,
    weight_decay: float, mu: float, centred: int, direction: float, task: int,
) -> None:  # fmt: skip
    row, start = spans[2 * task] * (lists + 1), spans[2 * task + 1]
    n, at = min(SPAN, table[row + lists] - start), start * like.itemsize
    p, g = array_at(like, table[row] + at, n), array_at(like, table[row + 1] + at, n)
    s = array_at(like, table[row + 2] + at, n)
    b, a = array_at(like, table[row + min(3, lists - 1)] + at, n), array_at(like, table[row + lists - 1] + at, n)
    real = like.dtype.type
    rate, alpha, share, eps = real(lr[0]), real(smoothing), real(1.0 - smoothing), real(epsilon)
    decay, momentum, sign = real(weight_decay), real(mu), real(direction)
    if lists == 3:
        for i in range(n):
            d = sign * g[i] + decay * p[i]
            size = s[i] * alpha + d * d * share
            s[i] = size
            p[i] = p[i] - rate * (d / (np.sqrt(size) + eps))
        return
    for i in range(n):
        d = sign * g[i] + decay * p[i]
        s[i] = s[i] * alpha + d * d * share
        variance = s[i]
        if centred:
            a[i] = a[i] + (d - a[i]) * share
            variance -= a[i] * a[i]
        move = d / (np.sqrt(variance) + eps)
        if momentum:
            b[i] = b[i] * momentum + move
            move = b[i]
        p[i] = p[i] - rate * move


def _lists(arrays: tuple[Array, ...], n: int, donate: bool) -> list[list[Array]]:
    """Parameters, gradients, states: row-major; copies of all but the gradients where they may not be written into."""
    lists = [list(arrays[i : i + n]) for i in range(0, len(arrays), n)]
    for k, kind in enumerate(lists):
        for i, a in enumerate(kind):
            flags = a.flags
            if not (flags.carray and donate) if k != 1 else not (flags.c_contiguous and flags.aligned):
                kind[i] = np.array(a, order="C")
    return lists


def tables(lists: list[list[Array]]) -> tuple[Array, Array]:
    """Addresses of the arrays that belong together and their size, row by row; and (row, start) of every span."""
    sizes = [a.size for a in lists[0]]
    table = np.array([*map(addresses_of, lists), sizes], np.int64).T.reshape(-1)
    spans = [number for i, size in enumerate(sizes) for start in range(0, size, SPAN) for number in (i, start)]
    return table, np.array(spans, np.int64)


def _step(run: Any, lists: list[list[Array]], numbers: tuple[Array, ...], *more: float) -> tuple[Array, ...]:
    """Make the tables, run the kernel over all spans, and return parameters and states.

    The learning rate and the number of the step are read by the kernel, so that a recorded launch goes on with them.
    """
    table, spans = tables(lists)
    like = lists[0][0]
    if spans.size:
        given = [np.asarray(x, np.float64) for x in numbers]
        run(spans.size // 2, like, *given, table, spans, len(lists), *more)
    return tuple(a for k, kind in enumerate(lists) if k != 1 for a in kind)


def sgd_step(
    lr: Array, step: Array, *arrays: Array, n: int, momentum: float, dampening: float, nesterov: bool,
    weight_decay: float, maximize: bool, donate: bool,
) -> tuple[Array, ...]:  # fmt: skip
    """See `autograd.ops.update.sgd_step`."""
    sign = -1.0 if maximize else 1.0
    options = (momentum, dampening, nesterov, weight_decay, sign)
    return _step(_sgd_span, _lists(arrays, n, donate), (lr, step), *options)


def adam_step(
    lr: Array, step: Array, *arrays: Array, n: int, beta1: float, beta2: float, eps: float, weight_decay: float,
    decoupled: bool, amsgrad: bool, maximize: bool, donate: bool,
) -> tuple[Array, ...]:  # fmt: skip
    """See `autograd.ops.update.adam_step`."""
    sign = -1.0 if maximize else 1.0
    options = (beta1, beta2, eps, weight_decay, decoupled, sign)
    return _step(_adam_span, _lists(arrays, n, donate), (lr, step), *options)


def rmsprop_step(
    lr: Array, step: Array, *arrays: Array, n: int, alpha: float, eps: float, weight_decay: float, momentum: float,
    centered: bool, maximize: bool, donate: bool,
) -> tuple[Array, ...]:  # fmt: skip
    """See `autograd.ops.update.rmsprop_step`."""
    sign = -1.0 if maximize else 1.0
    options = (alpha, eps, weight_decay, momentum, centered, sign)
    return _step(_rmsprop_span, _lists(arrays, n, donate), (lr,), *options)
