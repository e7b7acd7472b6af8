"""Checking derivative rules against finite differences, to first and second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .state import no_grad
from .tensor import Tensor
from .transforms import gradients


class GradcheckError(AssertionError):
    """A derivative rule disagrees with finite differences."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    order: int = 1,
    eps: float = 1e-6,
    atol: float = 1e-7,
    rtol: float = 1e-5,
    directions: int = 2,
    seed: int = 0,
    raise_exception: bool = True,
) -> bool:
    """Compare the derivatives of `fn` with central differences along random directions.

    For random u, v it checks ⟨u, J·v⟩ ≈ (⟨u, f(x+εv)⟩ − ⟨u, f(x−εv)⟩) / 2ε, and for `order=2` the same of the map
    (x, u) ↦ Jᵀu, which exercises the rules' own rules. Floating inputs are converted to float64 and differentiated, all
    others are held fixed. Errors of a rule show with probability 1 over the directions.

    Parameters
    ----------
    fn : function of the inputs as Tensors; returns a Tensor or a tuple of Tensors.
    inputs : Tensors or arrays, away from kinks by more than `eps`.
    order : 1, or 2 to check first and second order.
    eps, atol, rtol : step of the differences and tolerances of the comparison, rtol relative to the larger side.

    Raises
    ------
    GradcheckError : names the order, the input and both values (unless `raise_exception=False`, then returns False).
    ValueError : no floating input, or an order other than 1 and 2.

    >>> import pullback as pb
    >>> pb.gradcheck(lambda x: pb.exp(x) * x, [[0.5, -1.0]], order=2)
    True
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order must be 1 or 2, not {order}")
    points = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
    points = [x.detach().astype(np.float64) if x.dtype.kind == "f" else x.detach() for x in points]
    rng = np.random.default_rng(seed)
    try:
        _check(fn, points, eps, atol, rtol, directions, rng, "first")
        if order == 2:
            _second(fn, points, eps, atol, rtol, directions, rng)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _outputs(result: Any) -> list[Tensor]:
    outs = list(result) if isinstance(result, tuple | list) else [result]
    return [out for out in outs if out.dtype.kind == "f"]


def _random_like(x: Tensor, rng: np.random.Generator) -> Tensor:
    return Tensor(rng.standard_normal(x.shape), dtype=x.dtype, backend=x.backend)


def _inner(a: Tensor, b: Tensor) -> float:
    return float(np.sum(a.detach().numpy() * b.numpy()))


def _second(
    fn: Callable[..., Any], points: list[Tensor], eps: float, atol: float, rtol: float, directions: int,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    with no_grad():
        shapes = _outputs(fn(*points))
    cotangents = [_random_like(out, rng) for out in shapes]
    count = len(points)
    floating = [i for i, x in enumerate(points) if x.dtype.kind == "f"]

    def pulled(*args: Tensor) -> tuple[Tensor, ...]:
        xs, us = list(args[:count]), args[count:]
        for i in floating:
            if xs[i]._node is None:
                xs[i] = Tensor._wrap(xs[i]._value, xs[i].backend).requires_grad_()
        from .state import enable_grad

        with enable_grad():
            outs = _outputs(fn(*xs))
            return gradients(outs, [xs[i] for i in floating], list(us), create_graph=True)  # type: ignore[return-value]

    _check(pulled, points + cotangents, eps, atol, rtol, directions, rng, "second")


def _check(
    fn: Callable[..., Any], points: list[Tensor], eps: float, atol: float, rtol: float, directions: int,
    rng: np.random.Generator, order: str,
) -> None:  # fmt: skip
    floating = [i for i, x in enumerate(points) if x.dtype.kind == "f"]
    if not floating:
        raise ValueError("gradcheck needs at least one floating input")
    xs = [Tensor._wrap(x._value, x.backend).requires_grad_() if i in floating else x for i, x in enumerate(points)]
    outs = _outputs(fn(*xs))
    for _ in range(directions):
        us = [_random_like(out, rng) for out in outs]
        grads = gradients(outs, [xs[i] for i in floating], us, retain_graph=True)
        for i, g in zip(floating, grads, strict=True):
            assert g is not None
            v = _random_like(points[i], rng)
            with no_grad():
                ahead = _shifted(fn, points, i, v, eps, us)
                behind = _shifted(fn, points, i, v, -eps, us)
            expected = (ahead - behind) / (2 * eps)
            actual = _inner(g, v)
            if not abs(actual - expected) <= atol + rtol * max(abs(actual), abs(expected), _scale(g, v)):
                raise GradcheckError(
                    f"{order}-order derivative with respect to input {i} (shape {points[i].shape}): "
                    f"the rules give {actual:.9g} along a random direction, finite differences {expected:.9g}"
                )


def _scale(g: Tensor, v: Tensor) -> float:
    """The size of the terms of ⟨g, v⟩: cancellation between them is not an error of the rule."""
    return float(np.linalg.norm(g.numpy()) * np.linalg.norm(v.numpy())) * 0.01


def _shifted(fn: Callable[..., Any], points: list[Tensor], i: int, v: Tensor, eps: float, us: list[Tensor]) -> float:
    moved = list(points)
    moved[i] = Tensor(points[i].numpy() + eps * v.numpy(), backend=points[i].backend)
    outs = _outputs(fn(*moved))
    return sum(_inner(out, u) for out, u in zip(outs, us, strict=True))
