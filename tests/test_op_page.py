"""The documentation's page of all ops lists every op with its rules."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest

import pullback as pb
from pullback.conformance.cases import all_primitives

PATH = Path(pb.__file__).parent / "docs" / "_ext" / "op_table.py"


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("op_table", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_op_has_a_section_with_its_rules(page):
    text = page.table()
    for name, op in all_primitives().items():
        assert f"\n### {name}\n" in text
        for rule in (op.joint, *op.rules.values()):
            assert rule is None or page.source(rule) in text


def test_a_rule_is_shown_as_it_is_written(page):
    ops = all_primitives()
    assert page.rules(ops["multiply"]) == "# ∂x\nlambda g, y: g * y\n\n# ∂y\nlambda g, x: g * x"
    assert page.rules(ops["logsumexp"]).splitlines()[1].startswith("def _logsumexp_dx(g")
    assert page.call(ops["softmax"]) == "softmax(x, /, *, axis)"
    lambdas = [rule for op in ops.values() for rule in op.rules.values() if rule.__name__ == "<lambda>"]
    assert len(lambdas) > 100
    for rule in lambdas:  # the very one: what it takes and what it uses
        shown, own = eval(page.source(rule).replace("\n", " "), {}).__code__, rule.__code__
        assert shown.co_varnames == own.co_varnames, inspect.getsource(rule)
        assert {*shown.co_names} == {*own.co_names, *own.co_freevars}, inspect.getsource(rule)
