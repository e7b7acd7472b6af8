"""Compares a function between the two libraries: its values, its gradient, and the gradient of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pullback as pb

from .case import NotSupportedError, Outcome

#: Largest difference, relative to the largest magnitude in the result (or to 1 where that is smaller).
TOLERANCE = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-10}


class MismatchError(Exception):
    """The two libraries differ; the message says where and by how much."""


def difference(ours: Any, theirs: Any, tolerance: float | None, what: str) -> None:
    """Raise MismatchError unless shapes, kinds of dtype and values agree; infinities and NaN in the same places."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        raise MismatchError(f"{what}: shape {ours.shape}, PyTorch gives {theirs.shape}")
    if ours.dtype.kind != theirs.dtype.kind:
        raise MismatchError(f"{what}: dtype {ours.dtype}, PyTorch gives {theirs.dtype}")
    if theirs.dtype.kind == "f" and ours.dtype != theirs.dtype:
        raise MismatchError(f"{what}: dtype {ours.dtype}, PyTorch gives {theirs.dtype}")
    if theirs.size == 0:
        return
    if theirs.dtype.kind != "f":
        if not np.array_equal(ours, theirs):
            raise MismatchError(f"{what}: {int((ours != theirs).sum())} of {ours.size} values differ")
        return
    if tolerance is None:
        tolerance = TOLERANCE[theirs.dtype.name]
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    finite = np.isfinite(b)
    scale = max(1.0, float(np.abs(b[finite]).max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        off = np.where(finite, np.abs(a - b), np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.inf))
    off = np.where(np.isnan(off), np.inf, off)
    if (off > tolerance * scale).any():
        where = np.unravel_index(int(off.argmax()), off.shape)
        raise MismatchError(
            f"{what}: {int((off > tolerance * scale).sum())} of {a.size} values differ; at {tuple(map(int, where))} "
            f"{a[where]:.12g}, PyTorch gives {b[where]:.12g} (largest magnitude {scale:.3g})"
        )


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: Sequence[np.ndarray],
    *,
    order: int = 2,
    wanted: Sequence[bool] | None = None,
    tolerance: float | None = None,
    backend: str = "numpy",
) -> Outcome:
    """Compare `ours(*tensors)` with `theirs(*tensors)` on the same arrays.

    Each function gives a tensor, or a (nested) tuple or list of tensors. Gradients are those of Σ output · random
    cotangent with respect to all floating arrays, or those of `wanted`; the second gradient is that of
    Σ gradient · random cotangent, with respect to the arrays and the first cotangents. With `order=0` only values are
    compared. Values count as the check "float32" or "integers" where the arrays are of that kind. A sample on which
    PyTorch itself raises is skipped. `tolerance` replaces that of TOLERANCE in float64.
    """
    import torch

    floating = [a.dtype.kind == "f" for a in arrays]
    asks = [f and (wanted is None or wanted[i]) and order > 0 for i, f in enumerate(floating)]
    narrow = any(a.dtype == np.float32 for a in arrays)
    tolerance = None if narrow else tolerance
    kind = "float32" if narrow else "forward" if any(floating) or not arrays else "integers"
    passed: list[str] = []
    mine = [
        pb.Tensor(a.copy(), backend=backend).requires_grad_() if ask else pb.Tensor(a.copy(), backend=backend)
        for a, ask in zip(arrays, asks, strict=True)
    ]
    other = [torch.from_numpy(a.copy()).requires_grad_(ask) for a, ask in zip(arrays, asks, strict=True)]
    rng = np.random.default_rng(0)
    try:
        want = _flat(theirs(*other), torch.Tensor)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        return Outcome(skipped=f"PyTorch raises {type(error).__name__}")
    try:
        with np.errstate(all="ignore"):
            got = _flat(ours(*mine), pb.Tensor)
            if len(got) != len(want):
                raise MismatchError(f"forward: {len(got)} results, PyTorch gives {len(want)}")
            for i, (a, b) in enumerate(zip(got, want, strict=True)):
                difference(a.detach().numpy(), _numpy(b), tolerance, f"result {i}")
            passed.append(kind)
            for check in ("gradient", "second")[:order]:
                pairs = [(a, b) for a, b in zip(got, want, strict=True) if a.requires_grad or b.requires_grad]
                if not pairs:
                    break
                again = check == "gradient" and order == 2
                values = [rng.standard_normal(tuple(b.shape)).astype(_numpy(b).dtype) for _, b in pairs]
                ours_g = [pb.Tensor(v, backend=backend, requires_grad=again) for v in values]
                theirs_g = [torch.from_numpy(v).requires_grad_(again) for v in values]
                got = _our_gradients([a for a, _ in pairs], ours_g, mine, again)
                try:
                    want = _their_gradients([b for _, b in pairs], theirs_g, other, again)
                except RuntimeError as error:
                    if "is not implemented" in str(error):  # PyTorch's kernel for this sample has no derivative
                        break
                    raise
                if again:  # the gradient depends on its cotangents too
                    mine, other = [*mine, *ours_g], [*other, *theirs_g]
                for i, (a, b) in enumerate(zip(got, want, strict=True)):
                    difference(a.detach().numpy(), _numpy(b), tolerance, f"{check} {i}")
                passed.append(check)
    except NotSupportedError as error:
        return Outcome(skipped=str(error))
    except MismatchError as error:
        return Outcome(tuple(passed), failed=str(error))
    except Exception as error:
        return Outcome(tuple(passed), failed=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return Outcome(tuple(passed))


def _our_gradients(outputs: list[Any], cotangents: list[Any], tensors: list[Any], again: bool) -> list[Any]:
    """Gradients with respect to the tensors that ask for them; zeros where nothing depends on one."""
    asking = [t for t in tensors if t.requires_grad]
    used = [(out, g) for out, g in zip(outputs, cotangents, strict=True) if out.requires_grad]
    if not used:
        return [pb.zeros_like(t.detach()) for t in asking]
    return list(pb.gradients([out for out, _ in used], asking, [g for _, g in used], create_graph=again))


def _their_gradients(outputs: list[Any], cotangents: list[Any], tensors: list[Any], again: bool) -> list[Any]:
    """The same of PyTorch."""
    import torch

    asking = [t for t in tensors if t.requires_grad]
    used = [(out, g) for out, g in zip(outputs, cotangents, strict=True) if out.requires_grad]
    if not used:
        return [torch.zeros_like(t) for t in asking]
    outs, gs = zip(*used, strict=True)
    return list(torch.autograd.grad(outs, asking, gs, create_graph=again, materialize_grads=True))


def _numpy(tensor: Any) -> Any:
    return tensor.detach().numpy(force=True)  # a gradient of zeros may be a ZeroTensor, without memory


def _flat(result: Any, tensor: type) -> list[Any]:
    """The tensors in a result, in order."""
    if isinstance(result, tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in _flat(part, tensor)]
    if isinstance(result, dict):
        return [t for key in sorted(result) for t in _flat(result[key], tensor)]
    return []
