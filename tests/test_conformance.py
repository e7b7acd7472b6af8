"""The conformance table on every backend of this machine, and tests of the table itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pullback.autograd import ops
from pullback.autograd.gradcheck import GradcheckError, gradcheck
from pullback.autograd.primitive import primitive
from pullback.backends import get_backend
from pullback.conformance.case import Composite, OpCase, real
from pullback.conformance.cases import all_cases, all_primitives
from pullback.conformance.checks import CHECKS
from pullback.conformance.run import main, run_check, verify

CASES = all_cases()


@pytest.mark.parametrize("backend", ["numpy", "numba", "strict"])
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_row(case: OpCase, backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    chosen = get_backend(backend)
    ran = [name for name in CHECKS if run_check(name, case, chosen)]
    assert ran, "no check applied to this row"


def test_row_names_are_unique() -> None:
    repeated = [name for name, n in Counter(case.id for case in CASES).items() if n > 1]
    assert not repeated


def test_every_op_has_a_row() -> None:
    missing = set(all_primitives()) - {case.op.name for case in CASES}
    assert not missing


def test_every_differentiable_op_is_checked_to_second_order() -> None:
    checked = {case.op.name for case in CASES if case.orders >= 2}
    missing = {name for name, prim in all_primitives().items() if prim.differentiable} - checked
    assert not missing


def test_static_parameters_are_hashable() -> None:
    for case in CASES:
        for name, value in case.params.items():
            hash(value), name


@pytest.mark.parametrize("backend", ["numba", "cupy"])
def test_every_kernel_names_an_op(backend: str) -> None:
    pytest.importorskip(backend)
    unknown = set(get_backend(backend).kernels) - set(all_primitives())
    assert not unknown


def test_every_numba_kernel_is_hit_by_a_row() -> None:
    """What `test_row` runs on Numba reaches every kernel: its guard lets some row through. Here nothing is compiled."""
    pytest.importorskip("numba")
    numba, prims = get_backend("numba"), all_primitives()
    own = set(numba.kernels) - set(get_backend("numpy").kernels)
    hit: set[str] = set()
    originals = dict(numba._table)

    def noting(name: str, guard: Callable[..., bool] | None) -> Callable[..., Any]:
        def compute(*arrays: Any, **static: Any) -> Any:
            if guard is None or guard(*arrays, **static):
                hit.add(name)
            return prims[name].forward(*arrays, xp=numba.xp, **static)

        return compute

    try:
        for name in own:
            numba._table[name] = noting(name, numba.kernels[name].guard)
        for case in CASES:
            if case.op.name in own or isinstance(case.op, Composite):
                # values and gradients in both precisions; a row without floats has the first check alone
                run_check("float32", case, numba) or run_check("forward", case, numba)
    finally:
        numba._table.clear()
        numba._table.update(originals)
    assert not own - hit


# ---------------------------------------------------------------- the checks can fail


@primitive(elementwise=True, floating=True, name="planted_first")
def planted_first(x, /, *, xp):
    return xp.exp(x)


planted_first.vjp(x=lambda g, out: g * out * 1.01)


@primitive(elementwise=True, floating=True, name="planted_inner")
def planted_inner(g, x, /, *, xp):
    return xp.multiply(g, xp.exp(x))


planted_inner.vjp(g=lambda g, x: g * ops.exp(x), x=lambda g, out: 1.01 * g * out)


@primitive(elementwise=True, floating=True, name="planted_second")
def planted_second(x, /, *, xp):
    return xp.exp(x)


planted_second.vjp(x=lambda g, x: planted_inner(g, x))


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_planted_wrong_first_order_rule_is_caught(backend: str) -> None:
    result = verify(get_backend(backend), [OpCase(planted_first, [real(3, 4)], np.exp)])
    assert result.failed["planted_first", "gradient"] == 1
    assert not result.failed["planted_first", "forward"]


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_planted_wrong_second_order_rule_is_caught(backend: str) -> None:
    result = verify(get_backend(backend), [OpCase(planted_second, [real(3, 4)], np.exp)])
    assert not result.failed["planted_second", "gradient"]
    assert result.failed["planted_second", "second"] == 1


def test_planted_wrong_forward_is_caught() -> None:
    result = verify(get_backend("numpy"), [OpCase(ops.exp, [real(3, 4)], lambda x: np.exp(x) * (1 + 1e-6))])
    assert result.failed["exp", "forward"] == 1
    assert not result.ok


def test_gradcheck_names_the_order_and_the_input() -> None:
    with pytest.raises(GradcheckError, match=r"first-order derivative with respect to input 0 \(shape \(3,\)\)"):
        gradcheck(planted_first, [np.ones(3)])
    with pytest.raises(GradcheckError, match="second-order"):
        gradcheck(planted_second, [np.ones(3)], order=2)
    assert not gradcheck(planted_first, [np.ones(3)], raise_exception=False)


def test_verify_reports_and_exits_nonzero(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        "pullback.conformance.run.families",
        lambda: {"bad": [OpCase(planted_first, [real(3)], np.exp)], "good": [OpCase(ops.exp, [real(3)], np.exp)]},
    )
    assert main("numpy") == 1
    assert "planted_first, gradient: GradcheckError" in capsys.readouterr().out
    assert main("numpy", family="good") == 0
    with pytest.raises(ValueError, match="no family 'ugly'; there are bad, good"):
        main("numpy", family="ugly")
