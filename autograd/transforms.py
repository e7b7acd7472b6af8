"""Function transforms, in JAX's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tensor import Tensor


def seed(out: Tensor, gradient: Any, as_tensor: bool) -> Any:
    """The cotangent a backward sweep starts from, checked: a Tensor, or a bare array."""
    if gradient is None:
        if out.size != 1:
            raise ValueError(
                f"backward from a tensor of shape {out.shape} needs a gradient of that shape; "
                "reduce to a scalar first (for example .sum() or .mean()) or pass one"
            )
        gradient = np.ones(out.shape, out.dtype)
    g = gradient if isinstance(gradient, Tensor) else Tensor(gradient, backend=out.backend)
    if g.backend is not out.backend:
        raise ValueError(f"the gradient lives on {g.backend.name!r}, the tensor on {out.backend.name!r}; move it with .to()")
    if g.shape != out.shape:
        raise ValueError(f"the gradient has shape {g.shape}, the tensor {out.shape}; they must be equal")
    g = g.astype(out.dtype)
    return g if as_tensor else g._value
