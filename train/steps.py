"""What a Trainer computes for one batch: functions of all they use, so that `compile` can record them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.ops.creation import check
from ..autograd.tensor import Tensor
from ..optim import clip_grad_norm_

Pair = tuple[Tensor, Any]


def train_step(
    model: Any, loss_of: Any, optimizer: Any, clip: float | None, error: Callable[[float], Exception], scored: bool,
    inputs: tuple[Any, ...], target: Any,
) -> Pair:  # fmt: skip
    """Move the parameters by the gradients of a batch; its loss, and with `scored` the prediction.

    On the host the loss is looked at first: `error(loss)` is raised where it is nan or infinite, and nothing moves.
    """
    prediction = model(*inputs)
    loss = _scalar(loss_of(prediction, target))
    if loss.backend.host:
        check(np.isfinite, lambda value: error(float(value)), loss)
    optimizer.zero_grad()
    loss.backward()
    if clip is not None:
        clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.detach(), prediction.detach() if scored else None


def test_step(model: Any, loss_of: Any, inputs: tuple[Any, ...], target: Any) -> Pair:
    """A batch's loss and the prediction."""
    prediction = model(*inputs)
    return _scalar(loss_of(prediction, target)), prediction


def predict_step(model: Any, inputs: tuple[Any, ...]) -> Any:
    """The prediction."""
    return model(*inputs)


def _scalar(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.shape != ():
        got = f"a Tensor of shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(
            f"the loss function gave {got}, not a 0-d Tensor; reduce it, for example with reduction='mean'"
        )
    return loss
