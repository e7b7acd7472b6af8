"""How a model is run: on its own backend, and in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..autograd.state import no_grad
from ..backends import backend
from ..nn import Module


@contextmanager
def on_backend_of(model: Module) -> Iterator[None]:
    """Within the block, new Tensors are made where the model is."""
    parameter = next(iter(model.parameters()), None)
    if parameter is None:
        yield
        return
    with backend(parameter.backend):
        yield


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode without recording; the mode each submodule was in comes back at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
