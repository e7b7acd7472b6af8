"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...autograd import ops
from ...autograd.tensor import Parameter, Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The parameters one after the other as a vector; gradients pass through.

    >>> import pullback as pb
    >>> from pullback import nn
    >>> nn.utils.parameters_to_vector(nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    parts = [ops.reshape(p, (p.size,)) for p in parameters]
    if not parts:
        raise ValueError("parameters_to_vector: there are no parameters")
    return ops.concatenate(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Parameter]) -> None:
    """Assign the parts of a vector to the parameters, in order: the inverse of `parameters_to_vector`.

    Raises
    ------
    ValueError : the vector's length is not the number of elements of all parameters; nothing is changed.
    """
    owners = list(parameters)
    total = sum(p.size for p in owners)
    if vec.shape != (total,):
        raise ValueError(f"vector_to_parameters: a vector of shape {vec.shape} for parameters with {total} elements")
    start = 0
    for p in owners:
        p.assign(ops.reshape(vec.detach()[start : start + p.size], p.shape))
        start += p.size
