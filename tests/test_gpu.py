"""The conformance table on the CuPy backend. Needs an NVIDIA GPU; every test here is skipped where there is none."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import pullback as pb
from pullback.backends import Backend, BackendError, get_backend
from pullback.conformance.case import OpCase
from pullback.conformance.cases import all_cases
from pullback.conformance.checks import CHECKS
from pullback.conformance.run import run_check

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cupy() -> Backend:
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed")
    try:
        return get_backend("cupy")
    except BackendError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_row(cupy: Backend, case: OpCase) -> None:
    ran = [name for name in CHECKS if run_check(name, case, cupy)]
    assert ran, "no check applied to this row"


def test_every_kernel_takes_some_row_of_the_table(cupy: Backend) -> None:
    """With a fresh backend, so that what ran is counted: each kernel is hit, not only its generic forward."""
    fresh = type(cupy)()
    ran: set[str] = set()
    for op, kernel in fresh.kernels.items():
        fresh.register(op, kernel.guard)(_counted(ran, op, kernel.fn))
    for case in all_cases():
        run_check("float32", case, fresh)
        run_check("forward", case, fresh)
    assert ran == set(fresh.kernels)


def _counted(ran: set[str], op: str, fn: object) -> object:
    def kernel(*arrays: object, **static: object) -> object:
        ran.add(op)
        return fn(*arrays, **static)

    return kernel


def test_tensors_do_not_leave_the_gpu_by_themselves(cupy: Backend) -> None:
    x = pb.Tensor(np.ones(3), backend=cupy)
    assert x.device.startswith("cuda:")
    with pytest.raises(BackendError, match="cuda"):
        np.asarray(x)
    np.testing.assert_array_equal(x.to("numpy").numpy(), np.ones(3))


def test_sums_are_the_same_bit_for_bit_from_run_to_run(cupy: Backend) -> None:
    rng = np.random.default_rng(0)
    x = pb.Tensor(rng.standard_normal((64, 16, 28, 28)), dtype="float32", backend=cupy, requires_grad=True)
    weight = pb.Tensor(rng.standard_normal((32, 16, 3, 3)), dtype="float32", backend=cupy, requires_grad=True)

    def gradients() -> list[bytes]:
        x.grad = weight.grad = None
        pb.conv2d(x, weight, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1).sum().backward()
        return [x.grad.numpy().tobytes(), weight.grad.numpy().tobytes()]

    assert gradients() == gradients()


def test_the_backend_describes_its_device(cupy: Backend) -> None:
    assert "CuPy" in cupy.describe()
    assert "compute capability" in cupy.describe()
    cupy.synchronize()
