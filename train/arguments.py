"""What people hand to a Trainer, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn import Module
from .callbacks import Callback


def check_parts(model: Any, optimizer: Any, loss: Any) -> None:
    """Raise TypeError unless these are a model, an optimiser and a loss, rather than their classes or names."""
    for what, value in (("model", model), ("optimizer", optimizer), ("loss", loss)):
        if isinstance(value, type):
            raise TypeError(f"the {what} is the class {value.__name__}; make an object of it: {value.__name__}(...)")
        if isinstance(value, str):
            raise TypeError(f"the {what} is the string {value!r}; give an object of nn or optim")
    if not isinstance(model, Module):
        raise TypeError(f"the model must be a Module, not a {type(model).__name__}")
    if not callable(loss):
        raise TypeError(f"the loss must be a function of (prediction, target), not a {type(loss).__name__}")


def check_settings(epochs: Any, checkpoint: Any, every: int | None, resume: bool) -> None:
    """Raise unless these settings of `fit` make sense, each and together."""
    if not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"epochs must be an int of at least 0, not {epochs!r}")
    if every is not None and every < 1:
        raise ValueError(f"checkpoint_every must be at least 1 batch, not {every}")
    if checkpoint is None and (resume or every is not None):
        raise ValueError("resume and checkpoint_every need checkpoint=, the file to go on from and to write")


def callback_list(callbacks: Callback | Sequence[Callback]) -> list[Callback]:
    """One callback or several as a list."""
    found = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
    for callback in found:
        if isinstance(callback, type):
            raise TypeError(f"a callback is the class {callback.__name__}; make an object of it: {callback.__name__}()")
        if not isinstance(callback, Callback):
            raise TypeError(f"a callback must be a train.Callback, not a {type(callback).__name__}")
    return found
