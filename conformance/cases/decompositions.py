"""Rows of `autograd/ops/decompositions.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.ops.decompositions import cholesky_, det, eigh_, inv, pinv_, qr, slogdet, solve_, svd_, svd_full
from ..case import Domain, OpCase, real

Array = Any


def invertible(*shape: int) -> Domain:
    """Square matrices with a strong diagonal."""
    return Domain(shape, lambda rng, s: rng.uniform(-1.0, 1.0, s) + 3.0 * np.eye(s[-1]), elastic=False)


def definite(*shape: int) -> Domain:
    """Matrices whose symmetric part has eigenvalues of about 2, 3, …: positive and apart."""

    def draw(rng: np.random.Generator, s: tuple[int, ...]) -> Array:
        return rng.uniform(-0.4, 0.4, s) + np.diag(2.0 + np.arange(s[-1]))

    return Domain(shape, draw, elastic=False)


def apart(*shape: int) -> Domain:
    """Matrices of full rank whose singular values are apart."""

    def draw(rng: np.random.Generator, s: tuple[int, ...]) -> Array:
        return rng.uniform(-0.4, 0.4, s) + (2.0 + np.arange(s[-1])) * np.eye(s[-2], s[-1])

    return Domain(shape, draw, elastic=False)


def _symmetric(x: Array) -> Array:
    return (x + x.swapaxes(-1, -2)) / 2


def _svd(x: Array) -> Any:
    return tuple(np.linalg.svd(x, full_matrices=False))


CASES: list[OpCase] = [
    OpCase(inv, [invertible(2, 3, 3)], np.linalg.inv),
    OpCase(inv, [invertible(1, 1)], lambda x: 1 / x, label="one"),
    OpCase(inv, [real(0, 2, 2)], lambda x: x, label="none"),
    OpCase(solve_, [invertible(3, 3), real(3, 2)], np.linalg.solve),
    OpCase(solve_, [invertible(2, 3, 3), real(2, 3, 1)], np.linalg.solve, label="batched"),
    OpCase(det, [invertible(3, 3)], np.linalg.det),
    OpCase(det, [invertible(2, 2, 2)], np.linalg.det, label="batched"),
    OpCase(slogdet, [invertible(3, 3)], lambda x: tuple(np.linalg.slogdet(x))),
    OpCase(slogdet, [invertible(2, 2, 2)], lambda x: tuple(np.linalg.slogdet(x)), label="batched"),
    OpCase(pinv_, [apart(4, 3)], np.linalg.pinv, params={"rtol": None}, label="tall"),
    OpCase(pinv_, [apart(2, 2, 3)], np.linalg.pinv, params={"rtol": None}, label="wide"),
    OpCase(cholesky_, [definite(3, 3)], lambda x: np.linalg.cholesky(_symmetric(x))),
    OpCase(cholesky_, [definite(2, 2, 2)], lambda x: np.linalg.cholesky(_symmetric(x)), label="batched"),
    OpCase(qr, [apart(4, 3)], lambda x: tuple(np.linalg.qr(x)), label="tall"),
    OpCase(qr, [apart(2, 3, 3)], lambda x: tuple(np.linalg.qr(x)), label="square"),
    OpCase(qr, [apart(2, 4)], lambda x: tuple(np.linalg.qr(x)), label="wide"),
    OpCase(eigh_, [definite(3, 3)], lambda x: tuple(np.linalg.eigh(_symmetric(x)))),
    OpCase(eigh_, [definite(2, 2, 2)], lambda x: tuple(np.linalg.eigh(_symmetric(x))), label="batched"),
    OpCase(svd_, [apart(4, 3)], _svd, label="tall"),
    OpCase(svd_, [apart(2, 3, 3)], _svd, label="square"),
    OpCase(svd_, [apart(2, 4)], _svd, label="wide"),
    OpCase(svd_full, [apart(2, 3, 3)], lambda x: tuple(np.linalg.svd(x)), label="square"),
    # the vectors beyond the reduced form are an arbitrary basis, without a derivative
    OpCase(svd_full, [apart(4, 2)], lambda x: tuple(np.linalg.svd(x)), label="tall", orders=0),
]
