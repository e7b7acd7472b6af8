"""The Numba kernels' float64 functions against arithmetic of 40 digits, in units of the last place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("mpmath")
pytest.importorskip("numba")

from mpmath import mp

from pullback.autograd.ops import activation, activation_more, unary
from pullback.backends import get_backend
from pullback.backends.numba import sizes

mp.dps = 40
POINTS = 400
numba_backend = get_backend("numba")


def gelu(x: Any) -> Any:
    return x * mp.ncdf(x)


def gelu_by_tanh(x: Any) -> Any:
    return x / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))


# function -> op, its parameters, the exact function, ranges of both signs, the most units of the last place
FUNCTIONS: dict[str, tuple[Any, dict[str, Any], Any, list[tuple[float, float]], float]] = {
    "exp": (unary.exp, {}, mp.exp, [(-708.0, -1e-20), (1e-20, 709.0)], 1.0),
    "expm1": (unary.expm1, {}, mp.expm1, [(-60.0, -1e-300), (1e-300, 700.0)], 1.0),
    "log": (unary.log, {}, mp.log, [(1e-310, 1e300), (0.5, 2.0)], 1.0),
    "log1p": (unary.log1p, {}, mp.log1p, [(-0.999, -1e-300), (1e-300, 1e300)], 1.0),
    "tanh": (unary.tanh, {}, mp.tanh, [(-30.0, -1e-300), (0.3, 4.0)], 2.5),
    "sin": (unary.sin, {}, mp.sin, [(-1e5, -1e-300), (0.5, 1e5)], 1.3),
    "cos": (unary.cos, {}, mp.cos, [(-1e5, -1e-10), (0.5, 1e5)], 1.3),
    "erf": (unary.erf, {}, mp.erf, [(-6.5, -1e-300), (0.5, 6.0)], 1.1),
    "sigmoid": (activation.sigmoid, {}, lambda x: 1 / (1 + mp.exp(-x)), [(-700.0, -1e-10), (1e-10, 50.0)], 1.5),
    "softplus": (
        activation.softplus, {"beta": 1.0, "threshold": 800.0}, lambda x: mp.log1p(mp.exp(x)),
        [(-700.0, -1e-10), (1e-10, 40.0)], 2.5,
    ),
    "elu": (activation.elu, {"alpha": 1.0}, mp.expm1, [(-60.0, -1e-300)], 1.0),
    "silu": (activation.silu, {}, lambda x: x / (1 + mp.exp(-x)), [(-700.0, -1e-10), (1e-10, 50.0)], 2.0),
    "mish": (
        activation_more.mish, {}, lambda x: x * mp.tanh(mp.log1p(mp.exp(x))), [(-700.0, -1e-10), (1e-10, 50.0)], 2.0
    ),
    "gelu": (activation.gelu, {"approximate": "none"}, gelu, [(-37.0, -1e-300), (1e-300, 9.0)], 4.7),
    "gelu by tanh": (activation.gelu, {"approximate": "tanh"}, gelu_by_tanh, [(-20.0, -1e-300), (1e-300, 9.0)], 3.0),
}  # fmt: skip


def points(low: float, high: float) -> np.ndarray[Any, Any]:
    """Numbers of one sign: of all exponents between, and of the range itself."""
    rng = np.random.default_rng(0)
    ends = sorted((abs(low), abs(high)))
    x = np.concatenate([np.exp(rng.uniform(*np.log(ends), POINTS)), rng.uniform(*ends, POINTS)])
    return np.copysign(x, low if low < 0 else 1.0)


def error(name: str) -> np.ndarray[Any, Any]:
    """Units of the last place by which the kernel is off, at every point."""
    prim, params, exact, ranges, _ = FUNCTIONS[name]
    x = np.concatenate([points(*ends) for ends in ranges])
    run = numba_backend.kernel(prim.name, prim.forward)
    found = run(np.resize(x, max(x.size, sizes.LARGE)), **params)[: x.size]
    made = []
    for value, result in zip(x, found, strict=True):
        want = exact(mp.mpf(float(value)))
        made.append(abs(float((mp.mpf(float(result)) - want) / mp.mpf(float(np.spacing(abs(float(want))))))))
    return np.array(made)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_double_precision_is_accurate_to_a_few_units_in_the_last_place(name: str) -> None:
    off = error(name)
    assert off.max() <= FUNCTIONS[name][-1]
    assert off.max() > 0.3  # rounding alone gives half a unit: less would mean that nothing was compared


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name: str) -> None:
    prim, params, *_ = FUNCTIONS[name]
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 800.0, -800.0, 5e-324, -5e-324, 1e308, -1e308, -1.0, 1.0])
    x = np.resize(values, sizes.LARGE + 3)
    with np.errstate(all="ignore"):
        want = get_backend("numpy").kernel(prim.name, prim.forward)(x, **params)
        found = numba_backend.kernel(prim.name, prim.forward)(x, **params)
    np.testing.assert_allclose(found, want, rtol=1e-14, atol=1e-300)
    zero = x == 0
    if name in ("tanh", "sin", "expm1", "log1p", "erf"):
        np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(x[zero]))
