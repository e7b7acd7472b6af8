"""Gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable

from . import ops
from .state import no_grad
from .tensor import Tensor


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in given:
        if not isinstance(p, Tensor):
            raise TypeError(f"clipping takes Tensors or Parameters, not {type(p).__name__}")
    return [p for p in given if p.grad is not None]


@no_grad
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by min(1, max_norm/(norm + 1e-6)), where norm is that of all of them as one vector.

    Pascanu et al., *On the difficulty of training recurrent neural networks*, 2013.

    Parameters
    ----------
    parameters : Tensors; those without a gradient are passed over. max_norm : the largest norm that is left alone.
    norm_type : p of the p-norm; `math.inf` for the largest absolute value.

    Returns
    -------
    The norm before clipping, a 0-d Tensor; 0 without gradients.

    Raises
    ------
    FloatingPointError : the norm is NaN or infinite and `error_if_nonfinite`.

    >>> import pullback as pb
    >>> from pullback import optim
    >>> w = pb.Parameter([3.0, 4.0])
    >>> (0.5 * w * w).sum().backward()
    >>> optim.clip_grad_norm_([w], max_norm=1.0).item()
    5.0
    >>> [round(g, 4) for g in w.grad.tolist()]
    [0.6, 0.8]
    """
    if norm_type <= 0:
        raise ValueError(f"norm_type must be positive, not {norm_type}")
    owners = _with_gradients(parameters)
    if not owners:
        return Tensor(0.0)
    grads = [p.grad for p in owners if p.grad is not None]
    total, *clipped = ops.clip_norm_step(*grads, max_norm=float(max_norm), norm_type=float(norm_type))
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise FloatingPointError(f"the gradients' norm is {total.item()}: some gradient is NaN or infinite")
    for p, g in zip(owners, clipped, strict=True):
        p.grad = g
    return total  # type: ignore[no-any-return]


@no_grad
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of every gradient to [−clip_value, clip_value].

    >>> import pullback as pb
    >>> from pullback import optim
    >>> w = pb.Parameter([3.0, -0.5])
    >>> (0.5 * w * w).sum().backward()
    >>> optim.clip_grad_value_([w], 1.0)
    >>> w.grad.numpy()
    array([ 1. , -0.5], dtype=float32)
    """
    if clip_value < 0:
        raise ValueError(f"clip_value must be at least 0, not {clip_value}")
    for p in _with_gradients(parameters):
        if p.grad is not None:
            p.grad = ops.maximum(ops.minimum(p.grad, clip_value), -clip_value)
