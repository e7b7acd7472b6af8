"""Rows of `autograd/ops/unary.py`."""

from __future__ import annotations

import numpy as np
from scipy import special

from ...autograd import ops
from ...autograd.ops.unary import tanh_grad
from ..case import Edge, OpCase, fixed, ints, nonzero, positive, real, unit

INF, NAN = np.inf, np.nan
_STEPS = fixed([[-2.7, -1.2, -0.4, 0.3], [0.8, 1.6, 2.2, 7.7]])
_SPECIAL = fixed([0.0, -1.5, INF, -INF, NAN])

CASES: list[OpCase] = [
    OpCase(ops.square, [real(3, 4)], np.square),
    OpCase(ops.square, [ints(3, 4, low=-5, high=5)], np.square, label="ints", orders=0),
    OpCase(ops.sqrt, [positive(3, 4)], np.sqrt, edges=[Edge([0.0, -1.0], out=[0.0, NAN], grads=[[INF, NAN]])]),
    OpCase(ops.rsqrt, [positive(3, 4)], lambda x: 1 / np.sqrt(x), edges=[Edge([0.0], out=[INF], grads=[[-INF]])]),
    OpCase(ops.reciprocal, [nonzero(3, 4)], lambda x: 1 / x, edges=[Edge([0.0, INF], out=[INF, 0.0],
           grads=[[-INF, 0.0]])]),
    OpCase(ops.exp, [real(3, 4)], np.exp, edges=[Edge([-INF, INF], out=[0.0, INF], grads=[[0.0, INF]])]),
    OpCase(ops.exp2, [real(3, 4)], np.exp2),
    OpCase(ops.expm1, [real(3, 4)], np.expm1, edges=[Edge([1e-9, -60.0], out=[1e-9, -1.0], grads=[[1.0, 0.0]])]),
    OpCase(ops.log, [positive(3, 4)], np.log, edges=[Edge([0.0, -1.0], out=[-INF, NAN], grads=[[INF, -1.0]])]),
    OpCase(ops.log1p, [positive(3, 4, low=-0.7)], np.log1p, edges=[Edge([1e-9, -1.0], out=[1e-9, -INF],
           grads=[[1.0, INF]])]),
    OpCase(ops.log2, [positive(3, 4)], np.log2),
    OpCase(ops.log10, [positive(3, 4)], np.log10),
    OpCase(ops.erf, [real(3, 4)], special.erf, edges=[Edge([-INF, 0.0, INF], out=[-1.0, 0.0, 1.0],
           grads=[[0.0, 1.1283791671, 0.0]])]),
    OpCase(ops.erf, [real(5, 7, scale=3.0)], special.erf, label="tails"),
    OpCase(ops.sin, [real(3, 4)], np.sin),
    OpCase(ops.cos, [real(3, 4)], np.cos),
    OpCase(ops.tan, [unit(3, 4)], np.tan),
    OpCase(ops.asin, [unit(3, 4)], np.arcsin, edges=[Edge([1.0, 2.0], out=[np.pi / 2, NAN], grads=[[INF, NAN]])]),
    OpCase(ops.acos, [unit(3, 4)], np.arccos, edges=[Edge([1.0, 2.0], out=[0.0, NAN], grads=[[-INF, NAN]])]),
    OpCase(ops.atan, [real(3, 4)], np.arctan),
    OpCase(ops.sinh, [real(3, 4)], np.sinh),
    OpCase(ops.cosh, [real(3, 4)], np.cosh),
    OpCase(ops.tanh, [real(3, 4)], np.tanh, edges=[Edge([-400.0, 400.0], out=[-1.0, 1.0], grads=[[0.0, 0.0]])]),
    OpCase(tanh_grad, [real(3, 4), unit(3, 4)], lambda u, y: u * (1 - y * y)),
    OpCase(ops.asinh, [real(3, 4)], np.arcsinh),
    OpCase(ops.acosh, [positive(3, 4, low=1.3)], np.arccosh, edges=[Edge([1.0], out=[0.0], grads=[[INF]])]),
    OpCase(ops.atanh, [unit(3, 4)], np.arctanh, edges=[Edge([1.0], out=[INF], grads=[[INF]])]),
    OpCase(ops.abs, [nonzero(3, 4)], np.abs, edges=[Edge([-1.0, 0.0, 1.0], out=[1.0, 0.0, 1.0],
           grads=[[-1.0, 0.0, 1.0]])]),
    OpCase(ops.abs, [ints(3, 4, low=-5, high=5)], np.abs, label="ints", orders=0),
    OpCase(ops.sign, [nonzero(3, 4)], np.sign, edges=[Edge([0.0, NAN], out=[0.0, NAN], grads=[[0.0, 0.0]])]),
    OpCase(ops.floor, [_STEPS], np.floor, edges=[Edge([2.0], out=[2.0], grads=[[0.0]])]),
    OpCase(ops.ceil, [_STEPS], np.ceil, edges=[Edge([2.0], out=[2.0], grads=[[0.0]])]),
    OpCase(ops.unary.round_, [_STEPS], np.round, edges=[Edge([0.5, 1.5], out=[0.0, 2.0], grads=[[0.0, 0.0]])]),
    OpCase(ops.trunc, [_STEPS], np.trunc, edges=[Edge([-2.0], out=[-2.0], grads=[[0.0]])]),
    OpCase(ops.isnan, [_SPECIAL], np.isnan, orders=0),
    OpCase(ops.isinf, [_SPECIAL], np.isinf, orders=0),
    OpCase(ops.isfinite, [_SPECIAL], np.isfinite, orders=0),
]  # fmt: skip
