"""Rows of the indexing family, and of sorting. Random index expressions are in tests/test_indexing.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.ops import index, selection, slicing, sorting
from ..case import NumpyArray, OpCase, bools, distinct, fixed, ints, real


def _put(shape: tuple[int, ...], key: Any, values: NumpyArray) -> NumpyArray:
    out = np.zeros(shape)
    out[key] = values
    return out


def _with(x: NumpyArray, key: Any, values: NumpyArray) -> NumpyArray:
    out = x.copy()
    out[key] = values
    return out


def _added(x: NumpyArray, key: Any, values: NumpyArray) -> NumpyArray:
    out = x.copy()
    np.add.at(out, key, values)
    return out


def _scattered(x: NumpyArray, i: NumpyArray, src: NumpyArray) -> NumpyArray:
    rows = np.arange(i.shape[0])[:, None]
    return _added(x, (rows, i), src)


REVERSED = ((3, None, -2), None, 1)
ALL = (0, 2, 1)
ROWS = (slice(None), [0, 2, 2, -1])

CASES: list[OpCase] = [
    OpCase(slicing.getitem_, [real(4, 3)], lambda x: x[1], params={"index": (1,)}, label="int"),
    OpCase(slicing.getitem_, [real(4, 3)], lambda x: x[2, 1], params={"index": (2, 1)}, label="0-d"),
    OpCase(
        slicing.getitem_,
        [real(4, 3, 2)],
        lambda x: x[3::-2, None, 1],
        params={"index": REVERSED},
        label="reversed",
    ),
    OpCase(slicing.getitem_, [real(4, 3)], lambda x: x[0:0], params={"index": ((0, 0, 1),)}, label="empty"),
    OpCase(slicing.getitem_, [real()], lambda x: x[None], params={"index": (None,)}, label="new-axis"),
    OpCase(
        slicing.getitem_transpose,
        [real(2, 1, 2)],
        lambda g: _put((4, 3, 2), np.s_[3::-2, 1], g[:, 0]),
        params={"index": REVERSED, "shape": (4, 3, 2)},
    ),
    OpCase(
        slicing.getitem_transpose,
        [real(4, 3)],
        lambda g: np.stack([0 * g, g]),
        params={"index": (1,), "shape": (2, 4, 3), "order": (2, 0, 1)},
        label="ordered",
    ),
    OpCase(
        slicing.getitem_transpose,
        [real()],
        lambda g: _put((3,), 1, g),
        params={"index": (1,), "shape": (3,)},
        label="0-d",
    ),
    OpCase(
        slicing.place_regions,
        [real(2, 3), real(2, 3)],
        lambda a, b: np.stack([a, b], axis=1),
        params={"indices": ((ALL, 0), (ALL, 1)), "shape": (2, 2, 3)},
        label="whole",
    ),
    OpCase(
        slicing.place_regions,
        [real(4, 3), real(4, 3)],
        lambda a, b: np.stack([a, b]),
        params={"indices": ((0,), (1,)), "shape": (2, 4, 3), "order": (1, 0, 2)},
        label="ordered",
    ),
    OpCase(
        slicing.place_regions,
        [real(2, 1, 2), real(2)],
        lambda a, b: _put((4, 3, 2), np.s_[3::-2, 1], a[:, 0]) + _put((4, 3, 2), np.s_[0, 1], b),
        params={"indices": (REVERSED, (0, 1)), "shape": (4, 3, 2)},
        label="apart",
    ),
    OpCase(
        slicing.place_regions,
        [real(3), real(), real(3)],
        lambda a, b, c: _put((5,), np.s_[:3], a) + _put((5,), 2, b) + _put((5,), np.s_[2:], c),
        params={"indices": (((0, 3, 1),), (2,), ((2, 5, 1),)), "shape": (5,)},
        label="overlapping",
    ),
    OpCase(
        slicing.setitem,
        [real(4, 3, 2), real(2, 1, 2)],
        lambda x, v: _with(x, np.s_[3::-2, 1], v[:, 0]),
        params={"index": REVERSED},
    ),
    OpCase(slicing.setitem, [real(3), real()], lambda x, v: _with(x, 1, v), params={"index": (1,)}, label="0-d"),
    OpCase(index.take_, [real(4, 3), fixed([3, 0, 3, -1])], lambda x, i: x[i], params={"axis": 0}),
    OpCase(
        index.take_,
        [real(2, 5, 3), ints(2, 4, high=5, low=-5)],
        lambda x, i: np.take(x, i, 1),
        params={"axis": 1},
        label="matrix",
    ),
    OpCase(index.take_, [real(3, 4), fixed(1)], lambda x, i: x[:, 1], params={"axis": 1}, label="0-d"),
    OpCase(index.take_, [real(3, 4), fixed([], "int64")], lambda x, i: x[:, :0], params={"axis": 1}, label="empty"),
    OpCase(
        index.take_transpose,
        [real(2, 4, 3), fixed([0, 2, 2, -1])],
        lambda g, i: _added(np.zeros((2, 5, 3)), ROWS, g),
        params={"axis": 1, "size": 5},
    ),
    OpCase(
        index.take_transpose,
        [real(2, 2), fixed([[1, 1], [0, 1]])],
        lambda g, i: np.array([g[1, 0], g[0, 0] + g[0, 1] + g[1, 1], 0.0]),
        params={"axis": 0, "size": 3},
        label="matrix",
    ),
    OpCase(
        index.take_transpose,
        [real(2, 3, 69), fixed([[1, 1, -1], [0, 3, 1]])],
        lambda g, i: _added(np.zeros((4, 69)), i, g),
        params={"axis": 0, "size": 4},
        label="rows",
    ),
    OpCase(
        index.index_add_,
        [real(2, 5, 3), fixed([0, 2, 2, -1]), real(2, 4, 3)],
        lambda x, i, u: _added(x, ROWS, u),
        params={"axis": 1},
    ),
    OpCase(
        index.index_add_,
        [real(5), ints(40, high=5), real(40)],
        lambda x, i, u: _added(x, i, u),
        params={"axis": 0},
        label="vector",
    ),
    OpCase(
        index.index_add_,
        [real(3, 2), fixed([], "int64"), real(0, 2)],
        lambda x, i, u: x,
        params={"axis": 0},
        label="empty",
    ),
    OpCase(
        index.index_source,
        [fixed([3, 1, 3, -4])],
        lambda i: (np.array([3, 1, 1, 2]), np.array([True, True, False, True])),
        params={"size": 4},
        orders=0,
    ),
    OpCase(index.occurrence, [fixed([3, 1, 3, 3, 1])], lambda i: np.array([0, 0, 1, 2, 1]), orders=0),
    OpCase(
        index.gather_,
        [real(3, 4), ints(3, 5, high=4, low=-4)],
        lambda x, i: np.take_along_axis(x, i, 1),
        params={"axis": 1},
    ),
    OpCase(
        index.gather_,
        [real(3, 4, 2), ints(2, 2, 2, high=4)],
        lambda x, i: np.take_along_axis(x[:2], i, 1),
        params={"axis": 1},
        label="shorter",
    ),
    OpCase(
        index.gather_,
        [real(3, 4), ints(0, 4, high=3)],
        lambda x, i: x[:0],
        params={"axis": 0},
        label="empty",
    ),
    OpCase(
        index.scatter_add_,
        [real(3, 4), ints(3, 5, high=4, low=-4), real(3, 5)],
        lambda x, i, s: _scattered(x, i, s),
        params={"axis": 1},
    ),
    OpCase(
        index.scatter_add_,
        [real(3, 4), ints(2, 2, high=4), real(2, 2)],
        lambda x, i, s: _scattered(x, i, s),
        params={"axis": 1},
        label="shorter",
    ),
    OpCase(
        index.scatter_add_,
        [real(3, 4), ints(0, 4, high=3), real(0, 4)],
        lambda x, i, s: x,
        params={"axis": 0},
        label="empty",
    ),
    OpCase(
        index.flat_positions,
        [ints(3, 2, high=4, low=-4)],
        lambda i: (i % 4 + np.arange(3)[:, None] * 4).ravel(),
        params={"shape": (3, 4), "axis": 1},
        orders=0,
    ),
    OpCase(
        selection.ravel_index,
        [ints(3, 1, high=4, low=-4), ints(2, high=5)],
        lambda i, j: (i % 4) * 5 + j,
        params={"sizes": (4, 5)},
        orders=0,
    ),
    OpCase(selection.nonzero_, [bools(3, 4)], lambda m: np.nonzero(m), orders=0),
    OpCase(
        selection.one_hot_,
        [ints(2, 3, high=4)],
        lambda i: np.eye(4)[i],
        params={"num_classes": 4, "dtype": "float64"},
        orders=0,
    ),
    OpCase(
        sorting.argsort_,
        [distinct(3, 5)],
        lambda x: np.argsort(x, 1),
        params={"axis": 1, "descending": False},
        orders=0,
    ),
    OpCase(
        sorting.argsort_,
        [ints(9, high=3)],
        lambda x: np.argsort(-x, kind="stable"),
        params={"axis": 0, "descending": True},
        orders=0,
        label="stable-descending",
    ),
]
