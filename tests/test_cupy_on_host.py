"""The CuPy backend's wrappers and kernels, computed on the host: rows of the table whose op has a kernel there.

`cupy_on_host` says what this shows and what it does not. It is no GPU test: those are in `test_gpu.py`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cupy_on_host
import pullback
import pullback as pb
from pullback.backends import Backend
from pullback.conformance.case import OpCase
from pullback.conformance.cases import all_cases
from pullback.conformance.checks import CHECKS, NotApplicableError

FOLDER = Path(pullback.__file__).parent / "backends" / "cupy"
pytestmark = pytest.mark.skipif(cupy_on_host.COMPILER is None, reason="g++ is not installed")


def kernel_names() -> list[str]:
    """Ops that the CuPy backend registers a kernel for, read off its sources."""
    return sorted(
        node.args[0].value
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "register"
        if isinstance(node.args[0], ast.Constant)
    )


ROWS = {op: [case for case in all_cases() if case.op.name == op] for op in kernel_names()}


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """The CuPy backend on the stand-in; real modules of those names are put back afterwards."""
    stand_ins = cupy_on_host.modules()
    before = {name: module for name, module in sys.modules.items() if _concerns(name)}
    for name in before:
        del sys.modules[name]
    sys.modules.update(stand_ins)
    try:
        from pullback.backends.cupy import CupyBackend

        made = CupyBackend()
        made.name = "cupy-on-host"
        pb.register_backend(made.name, lambda: made)
        yield made
    finally:
        for name in [name for name in sys.modules if _concerns(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _concerns(module: str) -> bool:
    return module.split(".")[0] in ("cupy", "cupyx") or module.startswith("pullback.backends.cupy")


@pytest.mark.parametrize("op", ROWS)
def test_kernel_computed_on_the_host(backend: Backend, op: str) -> None:
    assert ROWS[op], f"the table has no row for {op}"
    kernel, ran = backend.kernels[op], []

    def counted(*arrays: object, **static: object) -> object:
        ran.append(op)
        return kernel.fn(*arrays, **static)

    backend.register(op, kernel.guard)(counted)
    try:
        failed = [message for case in ROWS[op] if (message := _failures(case, backend))]
    finally:
        backend.register(op, kernel.guard)(kernel.fn)
    assert not failed, "\n".join(failed)
    assert ran, f"every row of {op} ran its generic forward"


def _failures(case: OpCase, backend: Backend) -> str:
    messages = []
    for name, check in CHECKS.items():
        try:
            with pb.backend(backend), np.errstate(all="ignore"):
                check(case, backend)
        except NotApplicableError:
            continue
        except Exception as error:  # every failure of an op is reported at once
            messages.append(f"{case.id}, {name}: {type(error).__name__}: {error}")
    return "\n".join(messages)


def test_repeated_indices_add_up_in_order(backend: Backend) -> None:
    x, index, updates = np.arange(10.0).reshape(2, 5), np.array([4, 0, -1, 0]), np.ones((2, 4))
    got = backend.xp.index_add(x, index, updates, 1)
    np.testing.assert_array_equal(got, [[2, 1, 2, 3, 6], [7, 6, 7, 8, 11]])
    np.testing.assert_array_equal(x, np.arange(10.0).reshape(2, 5))


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "float16", "float32", "float64"])
def test_index_add_keeps_the_dtype(backend: Backend, dtype: str) -> None:
    got = backend.xp.index_add(np.zeros(3, dtype), np.array([1, 1]), np.ones(2, dtype), 0)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, [0, 2, 0])


def test_labels_out_of_range_are_an_error(backend: Backend) -> None:
    logits, target = pb.Tensor(np.zeros((2, 3)), backend=backend), pb.Tensor(np.array([0, 3]), backend=backend)
    with pytest.raises(IndexError, match=r"class indices must be in \[0, 3\)"):
        pb.cross_entropy(logits, target)


def test_float16_and_nonsense_are_left_to_the_generic_forward(backend: Backend) -> None:
    before = backend.fallbacks["softmax"]
    y = pb.softmax(pb.Tensor(np.zeros((2, 2), np.float16), backend=backend), axis=1)
    assert y.dtype == np.float16
    assert backend.fallbacks["softmax"] == before + 1
    with pytest.raises(ValueError, match="channels"):
        pb.conv2d(
            pb.Tensor(np.zeros((1, 2, 4, 4)), backend=backend), pb.Tensor(np.zeros((1, 3, 2, 2)), backend=backend)
        )


def test_the_stand_in_checks_kernel_arguments(backend: Backend) -> None:
    from pullback.backends.cupy.launch import launch

    with pytest.raises(TypeError, match="number of arguments"):
        launch("index", "index_add", np.dtype(np.float32), 1, 3)
    with pytest.raises(TypeError, match="argument 0"):
        launch("random", "philox_bits", np.dtype(np.float32), 1, 3, np.zeros(4, np.uint32), np.zeros(4), np.int64(4))


def test_descriptions_and_devices(backend: Backend) -> None:
    assert backend.device == "cuda:0"
    assert "CUDA runtime 12.9" in backend.describe()
    backend.synchronize()
