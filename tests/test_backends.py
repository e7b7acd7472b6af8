"""Which backend is used when, what is said when one cannot be, moving between them, and the fallback policy."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.backends import (
    Backend,
    BackendError,
    FallbackWarning,
    availability,
    backend_names,
    current_backend,
    get_backend,
    register_backend,
    registry,
    set_backend,
)
from pullback.backends.numpy import NumpyBackend
from strict_backend import StrictBackend

HAS_NUMBA = importlib.util.find_spec("numba") is not None


class Other(NumpyBackend):
    """A second backend on NumPy arrays, told apart by name alone."""

    name = "other"


class Guarded(NumpyBackend):
    """Its `exp` takes float64 only."""

    name = "guarded"

    def __init__(self) -> None:
        super().__init__()
        self.ran = 0

        @self.register("exp", guard=lambda x: x.dtype == np.float64)
        def exp(x: Any) -> Any:
            self.ran += 1
            return np.exp(x)


register_backend("other", Other)
register_backend("guarded", Guarded)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process: no default chosen yet, no environment variable; restored afterwards."""
    monkeypatch.setattr(registry, "_default", None)
    monkeypatch.delenv("PULLBACK_BACKEND", raising=False)
    monkeypatch.delenv("PULLBACK_FALLBACK", raising=False)


# ------------------------------------------------------------------------------------------------------------ choice


@pytest.mark.usefixtures("fresh")
def test_precedence_is_argument_then_block_then_set_backend_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_BACKEND", "other")
    assert current_backend().name == "other"
    set_backend("strict")
    assert current_backend().name == "strict"
    assert pb.Tensor(1.0).backend.name == "strict"
    with pb.backend("guarded"):
        assert pb.Tensor(1.0).backend.name == "guarded"
        assert pb.Tensor(1.0, backend="numpy").backend.name == "numpy"
        with pb.backend("other"):
            assert pb.Tensor(1.0).backend.name == "other"
        assert pb.Tensor(1.0).backend.name == "guarded"
    assert pb.Tensor(1.0).backend.name == "strict"


@pytest.mark.usefixtures("fresh")
@pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed")
def test_without_a_choice_it_is_numba_where_installed() -> None:
    assert current_backend().name == "numba"


@pytest.mark.usefixtures("fresh")
def test_without_a_choice_and_without_numba_it_is_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "numba")
    assert current_backend().name == "numpy"


@pytest.mark.usefixtures("fresh")
def test_the_environment_is_read_once_and_set_backend_overrides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_BACKEND", "numpy")
    assert current_backend().name == "numpy"
    monkeypatch.setenv("PULLBACK_BACKEND", "other")
    assert current_backend().name == "numpy"


def test_a_block_restores_the_backend_after_an_error() -> None:
    before = current_backend()
    with pytest.raises(RuntimeError, match="inside"), pb.backend("strict"):
        raise RuntimeError("inside")
    assert current_backend() is before


@pytest.mark.usefixtures("fresh")
def test_a_block_holds_for_its_own_thread_alone() -> None:
    set_backend("numpy")
    seen: dict[str, str] = {}
    entered, checked = threading.Event(), threading.Event()

    def inside() -> None:
        with pb.backend("strict"):
            entered.set()
            checked.wait(10)
            seen["inside"] = pb.Tensor(1.0).backend.name

    def outside() -> None:
        entered.wait(10)
        seen["outside"] = pb.Tensor(1.0).backend.name
        checked.set()

    threads = [threading.Thread(target=work) for work in (inside, outside)]
    with pb.backend("other"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == {"inside": "strict", "outside": "numpy"}
        assert current_backend().name == "other"


# ---------------------------------------------------------------------------------------------------------- registry


def test_a_backend_is_made_once_at_first_use() -> None:
    made = []

    def factory() -> Backend:
        made.append(1)
        return Other()

    register_backend("lazy", factory)
    assert not made
    assert "lazy" in backend_names()
    assert not made
    first = get_backend("lazy")
    assert get_backend("lazy") is first
    assert get_backend(first) is first
    assert len(made) == 1


def test_built_in_names_cannot_be_taken() -> None:
    with pytest.raises(BackendError, match="'numpy' is a built-in backend"):
        register_backend("numpy", Other)


def test_an_unknown_backend_error_lists_the_known_ones_and_how_to_add_one() -> None:
    with pytest.raises(BackendError, match="unknown backend 'torch'; known are numpy, numba, cupy") as error:
        get_backend("torch")
    assert "pullback.backends" in str(error.value)
    with pytest.raises(BackendError, match=r"named by a string, one of numpy, numba, cupy.*, not 3"):
        get_backend(3)  # type: ignore[arg-type]


@pytest.mark.usefixtures("fresh")
def test_an_unknown_backend_in_the_environment_is_an_error_not_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_BACKEND", "nunpy")
    with pytest.raises(BackendError, match="unknown backend 'nunpy'"):
        pb.Tensor(1.0)


@pytest.mark.parametrize(
    ("name", "line"), [("numba", r"pip install 'pullback\[numba\]'"), ("cupy", r"pip install 'pullback\[cuda12x\]'")]
)
def test_a_missing_library_error_gives_the_install_line(monkeypatch: pytest.MonkeyPatch, name: str, line: str) -> None:
    _hide(monkeypatch, name)
    monkeypatch.delitem(registry._loaded, name, raising=False)
    with pytest.raises(BackendError, match=f"needs the package {name}, which is not installed: {line}"):
        get_backend(name)
    assert "not installed" in availability()[name]


def test_availability_is_empty_for_what_works_and_a_reason_for_what_does_not() -> None:
    def broken() -> Backend:
        raise OSError("no such device")

    register_backend("broken", broken)
    try:
        reasons = availability()
    finally:
        registry._factories.pop("broken")
    assert reasons["numpy"] == ""
    assert reasons["strict"] == ""
    assert reasons["broken"] == "no such device"


def test_a_backend_pickles_as_its_name() -> None:
    import pickle

    assert pickle.loads(pickle.dumps(get_backend("strict"))) is get_backend("strict")


# ----------------------------------------------------------------------------------------------- mixing and moving


def test_mixing_backends_raises_and_names_both() -> None:
    x, y = pb.Tensor([1.0, 2.0], backend="numpy"), pb.Tensor([1.0, 2.0], backend="strict")
    with pytest.raises(BackendError, match=r"add: .*'numpy' and 'strict'.*\.to\("):
        x + y


def test_mixing_backends_of_one_array_type_raises_too() -> None:
    x, y = pb.Tensor([1.0, 2.0], backend="numpy"), pb.Tensor([1.0, 2.0], backend="other")
    with pytest.raises(BackendError, match="'numpy' and 'other'"):
        x * y


@pytest.mark.parametrize("target", ["strict", "strict-device", "other"])
def test_to_moves_and_is_differentiable(target: str) -> None:
    x = pb.Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True, backend="numpy")
    moved = x.to(target)
    assert moved.backend is get_backend(target)
    assert type(moved._value) is moved.backend.array_type
    np.testing.assert_array_equal(moved.numpy(), [1.0, 2.0, 3.0])
    back = (moved * moved).to("numpy") * x
    back.backward(np.ones(3))
    assert x.grad is not None
    assert x.grad.backend.name == "numpy"
    np.testing.assert_allclose(x.grad.numpy(), 3 * np.array([1.0, 4.0, 9.0]))


def test_to_is_differentiable_twice() -> None:
    x = pb.Tensor(np.array([2.0, 3.0]), requires_grad=True, backend="numpy")
    y = x.to("strict")
    cube = (y * y * y).to("numpy")
    cube.backward(np.ones(2), create_graph=True)
    first = x.grad
    x.grad = None
    first.backward(np.ones(2))
    np.testing.assert_allclose(x.grad.numpy(), 6 * np.array([2.0, 3.0]))


def test_to_the_same_backend_is_the_tensor_itself() -> None:
    x = pb.Tensor([1.0], backend="strict")
    assert x.to("strict") is x


def test_a_device_tensor_is_not_converted_implicitly() -> None:
    x = pb.Tensor([1.0, 2.0], backend="strict-device")
    with pytest.raises(BackendError, match="device1"):
        np.asarray(x)
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])
    with pytest.raises(RuntimeError, match="device1"):
        np.asarray(x._value)
    with pytest.raises(ValueError, match="device1"):
        get_backend("strict").asarray(x._value)


@pytest.mark.parametrize("name", ["numpy", "strict", "strict-device"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "uint8", "uint32", "float32", "float64"])
def test_arrays_keep_dtype_and_values_through_a_backend(name: str, dtype: str) -> None:
    backend = get_backend(name)
    host = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    array = backend.asarray(host)
    assert type(array) is backend.array_type
    assert backend.dtype_of(array) == host.dtype
    assert backend.dtype_name(array) == dtype
    assert array.dtype == backend.native_dtype(dtype)
    assert (array.dtype in backend.float_dtypes) == (host.dtype.kind == "f")
    np.testing.assert_array_equal(backend.to_numpy(array), host)
    assert backend.to_numpy(array).dtype == host.dtype


def test_strict_has_the_standard_and_the_extras_and_nothing_else() -> None:
    xp = StrictBackend().xp
    assert xp.asarray([1.0]).dtype == xp.float64
    with pytest.raises(AttributeError, match="neither array API"):
        xp.einsum


# ------------------------------------------------------------------------------------------------ kernels and fallback


def _guarded(dtype: str) -> tuple[Guarded, pb.Tensor]:
    backend = Guarded()
    return backend, pb.Tensor(np.ones(3, dtype), backend=backend)


@pytest.mark.usefixtures("fresh")
def test_a_kernel_runs_where_its_guard_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_FALLBACK", "error")
    backend, x = _guarded("float64")
    np.testing.assert_allclose(pb.exp(x).numpy(), np.e)
    assert backend.ran == 1
    assert not backend.fallbacks


@pytest.mark.usefixtures("fresh")
def test_fallback_allow_counts_in_silence() -> None:
    backend, x = _guarded("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(pb.exp(pb.exp(x)).numpy(), np.exp(np.e), rtol=1e-6)
    assert backend.ran == 0
    assert backend.fallbacks == {"exp": 2}


@pytest.mark.usefixtures("fresh")
def test_fallback_warn_names_op_backend_shapes_and_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_FALLBACK", "warn")
    backend, x = _guarded("float32")
    with pytest.warns(FallbackWarning, match=r"exp: the guarded kernel declined \(\(3,\) float32\)"):
        y = pb.exp(x)
    np.testing.assert_allclose(y.numpy(), np.e, rtol=1e-6)
    assert backend.fallbacks == {"exp": 1}


@pytest.mark.usefixtures("fresh")
def test_fallback_error_raises_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_FALLBACK", "error")
    backend, x = _guarded("float32")
    with pytest.raises(BackendError, match="PULLBACK_FALLBACK=error forbids that"):
        pb.exp(x)
    assert backend.fallbacks == {"exp": 1}


@pytest.mark.usefixtures("fresh")
def test_an_unknown_fallback_policy_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_FALLBACK", "ignore")
    _, x = _guarded("float32")
    with pytest.raises(BackendError, match="must be allow, warn or error, not 'ignore'"):
        pb.exp(x)


def test_registering_a_kernel_later_takes_effect() -> None:
    backend = Other()
    x = pb.Tensor(np.ones(2), backend=backend)
    np.testing.assert_allclose(pb.exp(x).numpy(), np.e)
    backend.register("exp")(lambda x: x + 41.0)
    np.testing.assert_allclose(pb.exp(x).numpy(), 42.0)


def _hide(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Make the registry believe that a library is not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        registry.importlib.util, "find_spec", lambda name, *rest: None if name == library else find(name, *rest)
    )
