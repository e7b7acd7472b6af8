"""Rows of the shape family: reshaping, joining, cutting, rearranging."""

from __future__ import annotations

import numpy as np

from ...autograd.ops import arrange, shape, slicing
from ..case import OpCase, real

CASES: list[OpCase] = [
    OpCase(shape.identity, [real(2, 3)], lambda x: x),
    OpCase(shape.reshape_, [real(3, 4)], lambda x: x.reshape(2, 6), params={"shape": (2, 6)}),
    OpCase(shape.reshape_, [real(3, 4)], lambda x: x.reshape(2, -1), params={"shape": (2, -1)}, label="inferred"),
    OpCase(shape.reshape_, [real(0, 3)], lambda x: x.reshape(3, 0, 2), params={"shape": (3, 0, 2)}, label="empty"),
    OpCase(shape.reshape_, [real(1, 1)], lambda x: x.reshape(()), params={"shape": ()}, label="0-d"),
    OpCase(
        shape.broadcast_to_,
        [real(3, 1)],
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        params={"shape": (2, 3, 4)},
    ),
    OpCase(shape.broadcast_to_, [real()], lambda x: np.broadcast_to(x, (2, 3)), params={"shape": (2, 3)}, label="0-d"),
    OpCase(
        shape.broadcast_to_, [real(1, 2)], lambda x: np.broadcast_to(x, (0, 2)), params={"shape": (0, 2)}, label="empty"
    ),
    OpCase(shape.permute_, [real(2, 3, 4)], lambda x: x.transpose(1, 2, 0), params={"axes": (1, 2, 0)}),
    OpCase(shape.permute_, [real()], lambda x: x, params={"axes": ()}, label="0-d"),
    OpCase(shape.permute_, [real(2, 0)], lambda x: x.T, params={"axes": (1, 0)}, label="empty"),
    OpCase(shape.flip_, [real(2, 3, 4)], lambda x: np.flip(x, (0, 2)), params={"axes": (0, 2)}),
    OpCase(shape.flip_, [real()], lambda x: x, params={"axes": ()}, label="0-d"),
    OpCase(
        shape.concatenate_,
        [real(2, 3), real(1, 3), real(0, 3)],
        lambda *xs: np.concatenate(xs),
        params={"axis": 0},
    ),
    OpCase(
        shape.concatenate_,
        [real(2, 3), real(2, 1)],
        lambda *xs: np.concatenate(xs, 1),
        params={"axis": 1},
        label="axis1",
    ),
    OpCase(shape.concatenate_, [real(3)], lambda x: x, params={"axis": 0}, label="single"),
    OpCase(
        shape.split_,
        [real(2, 7)],
        lambda x: (x[:, :3], x[:, 3:3], x[:, 3:5], x[:, 5:]),
        params={"sizes": (3, 0, 2, 2), "axis": 1},
    ),
    OpCase(shape.split_, [real(4)], lambda x: (x,), params={"sizes": (4,), "axis": 0}, label="single"),
    OpCase(shape.stack_, [real(2, 3), real(2, 3)], lambda *xs: np.stack(xs, 1), params={"axis": 1}),
    OpCase(shape.stack_, [real(), real(), real()], lambda *xs: np.stack(xs), params={"axis": 0}, label="0-d"),
    OpCase(shape.unbind_, [real(2, 3)], lambda x: tuple(x.T), params={"axis": 1}),
    OpCase(shape.unbind_, [real(3)], lambda x: tuple(x), params={"axis": 0}, label="vector"),
    OpCase(
        arrange.roll_, [real(3, 4)], lambda x: np.roll(x, (1, -2), (0, 1)), params={"shifts": (1, -2), "axes": (0, 1)}
    ),
    OpCase(arrange.tril_, [real(2, 3, 4)], lambda x: np.tril(x, 1), params={"k": 1}),
    OpCase(arrange.triu_, [real(4, 3)], lambda x: np.triu(x, -1), params={"k": -1}),
    OpCase(
        slicing.pad_,
        [real(2, 3)],
        lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=1.5),
        params={"widths": ((1, 0), (0, 2)), "value": 1.5},
    ),
    OpCase(
        slicing.pad_,
        [real(0, 2)],
        lambda x: np.pad(x, ((1, 1), (0, 1))),
        params={"widths": ((1, 1), (0, 1)), "value": 0.0},
        label="empty",
    ),
    OpCase(slicing.pad_, [real()], lambda x: x, params={"widths": (), "value": 0.0}, label="0-d"),
]
