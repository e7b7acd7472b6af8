"""Rows of `autograd/ops/elementwise.py`."""

from __future__ import annotations

import numpy as np

from ...autograd import ops
from ...autograd.ops.elementwise import clip_, clip_max, clip_min, divide_grad, larger_share, power_grad
from ..case import Edge, OpCase, bools, distinct, fixed, ints, nonzero, positive, real

INF, NAN = np.inf, np.nan
_INTS = ints(3, 4, low=-9, high=9)
_SMALL = ints(3, 4, low=0, high=5)
_TIED = fixed([[1.0, 2.0, 3.0]])
_DIVIDENDS = fixed([[7.3, -7.3, 5.2, -0.4]])
_DIVISORS = fixed([[2.0, 2.0, -1.5, 3.0]])

CASES: list[OpCase] = [
    OpCase(ops.add, [real(3, 4), real(3, 4)], np.add),
    OpCase(ops.add, [_INTS, _INTS], np.add, label="ints", orders=0),
    OpCase(ops.subtract, [real(3, 4), real(3, 4)], np.subtract),
    OpCase(ops.multiply, [real(3, 4), real(3, 4)], np.multiply),
    OpCase(ops.divide, [real(3, 4), nonzero(3, 4)], np.divide,
           edges=[Edge([1.0, -1.0], [0.0, 0.0], out=[INF, -INF], grads=[[INF, INF], [-INF, INF]])]),
    OpCase(divide_grad, [real(3, 4), real(3, 4), nonzero(3, 4)], lambda u, q, y: -u * q / y),
    OpCase(divide_grad, [real(3, 4), real(3, 1), nonzero(4)], lambda u, q, y: -u * q / y, label="broadcast"),
    OpCase(power_grad, [real(3, 4), real(3, 4)], lambda u, x: u * 2 * x, params={"y": 2}),
    OpCase(power_grad, [real(3, 4), real(3, 4)], lambda u, x: u * 3 * x**2, params={"y": 3.0}, label="cube"),
    OpCase(power_grad, [real(3, 4), positive(3, 4)], lambda u, x: u * -1.5 * x**-2.5, params={"y": -1.5},
           label="fraction"),
    OpCase(ops.floor_divide, [_DIVIDENDS, _DIVISORS], np.floor_divide, orders=0),
    OpCase(ops.floor_divide, [_INTS, fixed(3)], np.floor_divide, label="ints", orders=0),
    OpCase(ops.remainder, [_DIVIDENDS, _DIVISORS], np.remainder,
           edges=[Edge([4.0], [2.0], out=[0.0], grads=[[1.0], [-2.0]])]),
    OpCase(ops.remainder, [_INTS, fixed(-3)], np.remainder, label="ints", orders=0),
    OpCase(ops.fmod, [_DIVIDENDS, _DIVISORS], np.fmod, edges=[Edge([-4.0], [2.0], out=[0.0], grads=[[1.0], [2.0]])]),
    OpCase(ops.fmod, [_INTS, fixed(-3)], np.fmod, label="ints", orders=0),
    OpCase(ops.negative, [real(3, 4)], np.negative),
    OpCase(ops.power, [positive(3, 4), real(3, 4)], np.power,
           edges=[Edge([0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 2.0, 0.0], out=[1.0, 0.0, 0.0, 1.0],
                       grads=[[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, np.log(2)]])]),
    OpCase(ops.power, [positive(3, 4), fixed(0.0)], np.power, label="zero-exponent"),
    OpCase(ops.power, [_INTS, fixed(3)], np.power, label="ints", orders=0),
    OpCase(ops.maximum, [distinct(3, 4), real(3, 4)], np.maximum,
           edges=[Edge([1.0, 2.0, NAN], [1.0, 3.0, 0.0], out=[1.0, 3.0, NAN], grads=[[0.5, 0.0, 1.0],
                  [0.5, 1.0, 1.0]])]),
    OpCase(ops.minimum, [distinct(3, 4), real(3, 4)], np.minimum,
           edges=[Edge([1.0, 2.0], [1.0, 3.0], out=[1.0, 2.0], grads=[[0.5, 1.0], [0.5, 0.0]])]),
    OpCase(larger_share, [real(3, 4), distinct(3, 4), real(3, 4)], lambda u, x, y: np.where(x > y, u, 0),
           edges=[Edge([4.0, 4.0, 4.0, 4.0], [1.0, 2.0, 3.0, NAN], [2.0, 2.0, 2.0, 2.0], out=[0.0, 2.0, 4.0, 4.0])]),
    OpCase(larger_share, [real(3, 4), nonzero(3, 4), fixed(0.0)], lambda u, x, y: np.where(x > y, u, 0),
           label="number"),
    OpCase(ops.where, [bools(3, 4), real(3, 4), real(3, 4)], np.where,
           edges=[Edge([True, False], [1.0, NAN], [INF, 2.0], out=[1.0, 2.0], grads=[None, [1.0, 0.0], [0.0, 1.0]])]),
    OpCase(ops.where, [bools(3, 4), _INTS, _INTS], np.where, label="ints", orders=0),
    OpCase(clip_, [nonzero(3, 4)], lambda x: np.clip(x, -0.1, 0.9), params={"min": -0.1, "max": 0.9},
           edges=[Edge([-1.0, 0.5, 2.0], out=[-0.1, 0.5, 0.9], grads=[[0.0, 1.0, 0.0]])]),
    OpCase(clip_, [nonzero(3, 4)], lambda x: np.maximum(x, 0), params={"min": 0.0}, label="min",
           edges=[Edge([-1.0, 0.0, 1.0], out=[0.0, 0.0, 1.0], grads=[[0.0, 1.0, 1.0]])]),
    OpCase(clip_, [nonzero(3, 4)], lambda x: np.minimum(x, 0), params={"max": 0.0}, label="max",
           edges=[Edge([-1.0, 0.0, 1.0], out=[-1.0, 0.0, 0.0], grads=[[1.0, 1.0, 0.0]])]),
    OpCase(clip_, [nonzero()], lambda x: np.clip(x, -1, 1), params={"min": -1.0, "max": 1.0}, label="0-d",
           edges=[Edge(1.0, out=1.0, grads=[1.0]), Edge(-1.0, out=-1.0, grads=[1.0])]),
    OpCase(clip_, [real(0, 3)], lambda x: x, params={"min": -1.0, "max": 1.0}, label="empty"),
    OpCase(clip_, [_INTS], lambda x: np.clip(x, -2, 5), params={"min": -2, "max": 5}, label="ints", orders=0),
    OpCase(clip_min, [distinct(3, 4), real(3, 4)], np.maximum,
           edges=[Edge([1.0, 0.0], [1.0, 1.0], out=[1.0, 1.0], grads=[[1.0, 0.0], [0.0, 1.0]])]),
    OpCase(clip_max, [distinct(3, 4), real(3, 4)], np.minimum,
           edges=[Edge([1.0, 2.0], [1.0, 1.0], out=[1.0, 1.0], grads=[[1.0, 0.0], [0.0, 1.0]])]),
    OpCase(ops.astype, [real(3, 4)], lambda x: x.astype(np.float32), params={"dtype": "float32"}, rtol=1e-6, orders=0),
    OpCase(ops.astype, [real(3, 4)], lambda x: x, params={"dtype": "float64"}, label="same"),
    OpCase(ops.astype, [fixed([[-1.7, 0.0, 2.9]])], lambda x: x.astype(np.int64), params={"dtype": "int64"},
           label="int", orders=0),
    OpCase(ops.astype, [real(0, 3)], lambda x: x, params={"dtype": "float64"}, label="empty"),
    *(
        OpCase(op, [_SMALL, _SMALL], reference, orders=0)
        for op, reference in [
            (ops.equal, np.equal), (ops.not_equal, np.not_equal), (ops.less, np.less), (ops.less_equal, np.less_equal),
            (ops.greater, np.greater), (ops.greater_equal, np.greater_equal), (ops.bitwise_and, np.bitwise_and),
            (ops.bitwise_or, np.bitwise_or), (ops.bitwise_xor, np.bitwise_xor),
            (ops.bitwise_left_shift, np.left_shift), (ops.bitwise_right_shift, np.right_shift),
            (ops.logical_and, np.logical_and), (ops.logical_or, np.logical_or), (ops.logical_xor, np.logical_xor),
        ]
    ),
    *(
        OpCase(op, [bools(3, 4), bools(3, 4)], reference, label="bools", orders=0)
        for op, reference in [
            (ops.equal, np.equal), (ops.bitwise_and, np.bitwise_and), (ops.bitwise_or, np.bitwise_or),
            (ops.bitwise_xor, np.bitwise_xor), (ops.logical_and, np.logical_and), (ops.logical_or, np.logical_or),
            (ops.logical_xor, np.logical_xor),
        ]
    ),
    OpCase(ops.less, [_TIED, real(3)], np.less, label="floats", orders=0),
    OpCase(ops.equal, [fixed([0.0, NAN])] * 2, np.equal, label="nan", orders=0),
    OpCase(ops.logical_not, [_SMALL], np.logical_not, orders=0),
    OpCase(ops.logical_not, [bools(3, 4)], np.logical_not, label="bools", orders=0),
    OpCase(ops.bitwise_invert, [_INTS], np.invert, orders=0),
    OpCase(ops.bitwise_invert, [bools(3, 4)], np.invert, label="bools", orders=0),
]  # fmt: skip
