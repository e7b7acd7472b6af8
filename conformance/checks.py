"""The checks run on each row of the table, each a function (case, backend) that raises AssertionError with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..autograd.gradcheck import gradcheck
from ..autograd.tensor import Tensor
from ..autograd.transforms import gradients
from ..backends import Backend, get_backend
from .case import NumpyArray, OpCase

Check = Callable[[OpCase, Backend], None]
CHECKS: dict[str, Check] = {}


class NotApplicableError(Exception):
    """This check says nothing about this row."""


def check(fn: Check) -> Check:
    """Add a function to the checks, under its name."""
    CHECKS[fn.__name__] = fn
    return fn


def _is_float(array: NumpyArray) -> bool:
    return array.dtype.kind == "f"


def _tensors(arrays: Any, backend: Backend, *, grad: bool = False, dtype: str | None = None) -> list[Tensor]:
    made = []
    for a in arrays:
        t = Tensor(a, dtype=dtype if _is_float(a) else None, backend=backend)
        made.append(t.requires_grad_() if grad and _is_float(a) else t)
    return made


def _close(actual: Any, expected: NumpyArray, rtol: float, atol: float, what: str) -> None:
    values = actual.detach().numpy() if isinstance(actual, Tensor) else np.asarray(actual)
    assert values.shape == expected.shape, f"{what}: shape {values.shape}, expected {expected.shape}"
    if expected.size == 0:
        return
    if values.dtype.kind != "f":
        assert np.array_equal(values, expected), f"{what}: values differ"
        return
    wide, reference = values.astype(np.float64), np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~np.isclose(wide, reference, rtol=rtol, atol=atol, equal_nan=True)
        worst = np.max(np.where(bad, np.abs(wide - reference), 0.0))
    assert not bad.any(), f"{what}: {int(bad.sum())} of {bad.size} values differ, by up to {worst:.3g}"


def _outputs(case: OpCase, tensors: list[Tensor]) -> list[Tensor]:
    return list(case.call(*tensors))


def _gradients(case: OpCase, backend: Backend, arrays: Any, dtype: str, create_graph: bool = False) -> list[Tensor]:
    """Gradients of Σ outputs · fixed random cotangents, with respect to the floating inputs."""
    tensors = _tensors(arrays, backend, grad=True, dtype=dtype)
    outs = [out for out in _outputs(case, tensors) if out.dtype.kind == "f"]
    rng = np.random.default_rng(7)
    cotangents = [Tensor(rng.standard_normal(out.shape), dtype=out.dtype, backend=backend) for out in outs]
    wanted = [t for t in tensors if t.requires_grad]
    found = gradients(outs, wanted, cotangents, create_graph=create_graph)
    return [g for g in found if g is not None]


def results(case: OpCase, backend: Backend, dtype: str) -> list[NumpyArray]:
    """The outputs for the row's sample, then the gradients if there are any, as NumPy arrays."""
    arrays = case.sample()
    found = _outputs(case, _tensors(arrays, backend, dtype=dtype))
    if case.orders:
        found += _gradients(case, backend, arrays, dtype)
    return [t.detach().numpy() for t in found]


def _compare(case: OpCase, backend: Backend, arrays: list[NumpyArray], what: str) -> None:
    outs = _outputs(case, _tensors(arrays, backend))
    expected = case.expected(arrays)
    assert len(outs) == len(expected), f"{what}: {len(outs)} outputs, the reference gives {len(expected)}"
    for i, (out, want) in enumerate(zip(outs, expected, strict=True)):
        _close(out, want, case.rtol, case.atol, f"{what}, output {i}")


@check
def forward(case: OpCase, backend: Backend) -> None:
    """Float64 values agree with the reference; inputs are not written to."""
    arrays = case.sample()
    before = [a.copy() for a in arrays]
    _compare(case, backend, arrays, "forward")
    assert all(np.array_equal(a, b, equal_nan=_is_float(a)) for a, b in zip(arrays, before, strict=True)), (
        "an input was written to"
    )


@check
def float32(case: OpCase, backend: Backend) -> None:
    """Float32 values and gradients agree with float64's, and stay float32."""
    arrays = case.sample()
    if not any(map(_is_float, arrays)):
        raise NotApplicableError
    narrow = [a.astype(np.float32) if _is_float(a) else a for a in arrays]
    wide = [a.astype(np.float64) if _is_float(a) else a for a in narrow]
    low, high = _outputs(case, _tensors(narrow, backend)), _outputs(case, _tensors(wide, backend))
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        if b.dtype.kind == "f":
            assert a.dtype == np.float32 or case.params.get("dtype"), f"output {i} became {a.dtype}"
        _close(a, b.numpy(), case.rtol32, case.atol32, f"float32 forward, output {i}")
    if case.orders:
        pairs = zip(
            _gradients(case, backend, narrow, "float32"), _gradients(case, backend, wide, "float64"), strict=True
        )
        for i, (a, b) in enumerate(pairs):
            assert a.dtype == np.float32, f"gradient {i} became {a.dtype}"
            _close(a, b.numpy(), case.rtol32 * 5, case.atol32 * 5, f"float32 gradient {i}")


@check
def gradient(case: OpCase, backend: Backend) -> None:
    """First order: the rules agree with finite differences, and bare arrays with Tensors."""
    _needs(case, 1)
    arrays = case.sample()
    gradcheck(case.call, _tensors(arrays, backend), **case.gradcheck)
    bare, recorded = (_gradients(case, backend, arrays, "float64", create_graph=c) for c in (False, True))
    for i, (a, b) in enumerate(zip(bare, recorded, strict=True)):
        _close(a, b.detach().numpy(), 1e-9, 1e-11, f"gradient {i} with create_graph")


@check
def second(case: OpCase, backend: Backend) -> None:
    """Second order: the derivative of the gradient agrees with finite differences."""
    _needs(case, 2)
    gradcheck(case.call, _tensors(case.sample(), backend), order=2, **case.gradcheck)


def _needs(case: OpCase, order: int) -> None:
    if case.orders < order:
        raise NotApplicableError


def _variants(case: OpCase) -> Iterator[tuple[str, list[NumpyArray]]]:
    rng = case.rng()
    n = len(case.inputs)
    shapes: list[tuple[str, list[tuple[int, ...]]]] = [
        ("0-d", [()] * n),
        ("empty", [(0, 3)] * n),
        ("vector", [(5,)] * n),
    ]
    if n > 1:
        shapes.append(("broadcast", [(3, 1), (1, 4), (4,)][:n] if n <= 3 else [(3, 1)] * n))
        shapes.append(("0-d with 2-d", [(), *[(2, 3)] * (n - 1)]))
        shapes.append(("1 against 3", [(1,), *[(3,)] * (n - 1)]))
        shapes.append(("2-d with 0-d", [*[(2, 3)] * (n - 1), ()]))
    for name, each in shapes:
        yield name, [domain.sample(rng, shape) for domain, shape in zip(case.inputs, each, strict=True)]


@check
def shapes(case: OpCase, backend: Backend) -> None:
    """Elementwise ops: 0-d, empty and broadcast inputs, values and first-order gradients."""
    if not case.op.elementwise or not all(d.elastic for d in case.inputs):
        raise NotApplicableError
    for name, arrays in _variants(case):
        _compare(case, backend, arrays, name)
        if case.orders and any(map(_is_float, arrays)):
            gradcheck(case.call, _tensors(arrays, backend), directions=1, **case.gradcheck)


@check
def layouts(case: OpCase, backend: Backend) -> None:
    """Non-contiguous (transposed, strided, reversed) and read-only inputs give the same values and gradients."""
    arrays = case.sample()
    plain = [out.numpy() for out in _outputs(case, _tensors(arrays, backend))]
    plain_grads = _gradients(case, backend, arrays, "float64") if case.orders else []
    for name, change in _LAYOUTS.items():
        changed = [change(a) for a in arrays]
        for a in changed:
            a.flags.writeable = False
        for i, (a, b) in enumerate(zip(_outputs(case, _tensors(changed, backend)), plain, strict=True)):
            _close(a, b, 1e-9, 1e-11, f"{name} inputs, output {i}")
        if case.orders:
            for i, (a, g) in enumerate(zip(_gradients(case, backend, changed, "float64"), plain_grads, strict=True)):
                _close(a, g.numpy(), 1e-9, 1e-11, f"{name} inputs, gradient {i}")


def _every_other(a: NumpyArray) -> NumpyArray:
    wide = np.zeros(tuple(2 * n for n in a.shape), a.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def _reversed(a: NumpyArray) -> NumpyArray:
    return np.ascontiguousarray(np.flip(a))[tuple(slice(None, None, -1) for _ in a.shape)].view()


_LAYOUTS: dict[str, Callable[[NumpyArray], NumpyArray]] = {
    "transposed": lambda a: np.ascontiguousarray(a.T).T.view() if a.ndim else a.copy(),
    "strided": lambda a: _every_other(a) if a.ndim else a.copy(),
    "reversed": lambda a: _reversed(a) if a.ndim else a.copy(),
    "read-only": lambda a: a.copy(),
}  # fmt: skip


@check
def numpy_agrees(case: OpCase, backend: Backend) -> None:
    """Float32 values and gradients agree with the NumPy backend's."""
    reference = get_backend("numpy")
    if backend is reference:
        raise NotApplicableError
    arrays = [a.astype(np.float32) if _is_float(a) else a for a in case.sample()]
    pairs = zip(_outputs(case, _tensors(arrays, backend)), _outputs(case, _tensors(arrays, reference)), strict=True)
    for i, (a, b) in enumerate(pairs):
        assert a.dtype == b.dtype, f"output {i} is {a.dtype}, NumPy gives {b.dtype}"
        _close(a, b.numpy(), case.rtol32, case.atol32, f"against numpy, output {i}")
    if case.orders:
        both = zip(
            _gradients(case, backend, arrays, "float32"), _gradients(case, reference, arrays, "float32"), strict=True
        )
        for i, (a, b) in enumerate(both):
            _close(a, b.numpy(), case.rtol32 * 5, case.atol32 * 5, f"against numpy, gradient {i}")


@check
def edges(case: OpCase, backend: Backend) -> None:
    """The declared answers at special points, in float64 and float32."""
    if not case.edges:
        raise NotApplicableError
    for k, edge in enumerate(case.edges):
        arrays = [np.asarray(v, np.float64 if np.asarray(v).dtype.kind == "f" else None) for v in edge.inputs]
        for dtype in ("float64", "float32"):
            tensors = _tensors(arrays, backend, grad=edge.grads is not None, dtype=dtype)
            with np.errstate(all="ignore"):
                outs = _outputs(case, tensors)
                wants = edge.out if isinstance(edge.out, tuple) else (edge.out,)
                for i, (out, want) in enumerate(zip(outs, wants, strict=True)):
                    _close(out, np.asarray(want), 1e-6, 1e-7, f"edge {k} in {dtype}, output {i}")
                if edge.grads is None:
                    continue
                out = outs[0]
                ones = Tensor(np.ones(out.shape), dtype=out.dtype, backend=backend)
                wanted = [(t, w) for t, w in zip(tensors, edge.grads, strict=True) if t.requires_grad and w is not None]
                found = gradients(out, [t for t, _ in wanted], ones)
            for i, ((_, want), got) in enumerate(zip(wanted, found, strict=True)):
                _close(got, np.asarray(want), 1e-6, 1e-7, f"edge {k} in {dtype}, gradient {i}")
