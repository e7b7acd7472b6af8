"""Averages of the weights along the way: exponential ones (EMA) and plain ones (SWA), as in torch.optim.swa_utils.

>>> import pullback as pb
>>> from pullback import nn, optim
>>> from pullback.train.swa_utils import AveragedModel, get_ema_multi_avg_fn
>>> model = nn.Linear(1, 1, bias=False)
>>> model.weight.assign([[0.0]])
>>> averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.75))
>>> for value in (0.0, 1.0, 2.0):
...     model.weight.assign([[value]])  # a training step
...     averaged.update_parameters(model)
>>> averaged.module.weight.item()
0.6875
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from ..autograd.ops import trunc
from ..autograd.ops.creation import full
from ..autograd.ops.update import average_step
from ..autograd.state import no_grad
from ..autograd.tensor import Parameter, Tensor
from ..backends import Backend
from ..nn.buffer import Buffer
from ..nn.layers.normalization import _BatchNorm
from ..nn.module import Module
from ..optim.lr_scheduler import SWALR

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

#: (average, parameter, averages so far) -> the new average.
Average = Callable[[Tensor, Tensor, int], Tensor]
#: The same for all tensors of one dtype on one backend.
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], int], Sequence[Tensor]]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """A function that gives decay·average + (1 − decay)·parameter, for `avg_fn`."""
    _check(decay)
    return lambda average, parameter, num_averaged: decay * average + (1 - decay) * parameter


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """The exponential average of all parameters in one op, for `multi_avg_fn`; decay in [0, 1]."""
    _check(decay)
    return lambda averages, parameters, num_averaged: _step(averages, parameters, 1 - decay)


def get_swa_avg_fn() -> Average:
    """A function that gives the plain average, average + (parameter − average)/(num_averaged + 1), for `avg_fn`."""
    return lambda average, parameter, num_averaged: average + (parameter - average) / (num_averaged + 1)


def get_swa_multi_avg_fn() -> Averages:
    """The plain average of all parameters in one op, for `multi_avg_fn`."""
    return lambda averages, parameters, num_averaged: _step(averages, parameters, 1 / (num_averaged + 1))


def _check(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"decay must lie in [0, 1], not {decay}")


def _step(averages: Sequence[Tensor], parameters: Sequence[Tensor], weight: float) -> Sequence[Tensor]:
    """average + weight·(parameter − average) of each pair, in one op."""
    if averages[0].dtype.kind != "f":  # counts, which are averaged as numbers and cut off
        return [a + (p - a) * weight for a, p in zip(averages, parameters, strict=True)]
    w = full((), weight, dtype="float64", backend=averages[0].backend)
    new: Sequence[Tensor] = average_step(w, *averages, *parameters, n=len(averages))
    return new


class AveragedModel(Module):
    """A copy of a model whose parameters are an average of those that the model has had.

    Call `update_parameters(model)` after each optimiser step, or each epoch, and use this model to predict. Its
    `state_dict` has the model's entries under "module." and the count "n_averaged".

    Parameters
    ----------
    model : the model; it is copied, and not changed.
    backend : where the copy lives, the model's backend by default.
    avg_fn : (average, parameter, num_averaged) -> the new average, a Tensor.
    multi_avg_fn : the same for lists of Tensors of one dtype; it returns the new ones. With neither of the two, the
        plain average of `get_swa_multi_avg_fn`.
    use_buffers : average the buffers too. Else they are the model's newest: see `update_bn` for batch normalisation.
    """

    def __init__(
        self, model: Module, backend: str | Backend | None = None, avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None, use_buffers: bool = False,
    ) -> None:  # fmt: skip
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        if backend is not None:
            self.module.to(backend)
        self.n_averaged = Buffer(0, "int64", backend=backend)
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model of the averaged parameters gives."""
        return self.module(*args, **kwargs)

    @no_grad
    def update_parameters(self, model: Module) -> None:
        """Take in the model's current parameters; the first ones are copied.

        Raises
        ------
        ValueError : a model with other parameters.
        """
        averages = [*self.module.parameters(), *self.module.buffers()]
        current = [*model.parameters(), *model.buffers()]
        if [t.shape for t in averages] != [t.shape for t in current]:
            raise ValueError("AveragedModel.update_parameters takes the model that was copied: the shapes differ")
        count = int(self.n_averaged.item())
        kinds: dict[tuple[str, str], list[tuple[Any, Tensor]]] = {}
        for average, new in zip(averages, current, strict=True):
            value = new.detach().to(average.backend)
            if count == 0 or (isinstance(average, Buffer) and not self.use_buffers):
                average.assign(value)
            else:
                kinds.setdefault((average.backend.name, average.dtype.name), []).append((average, value))
        for pairs in kinds.values():
            self._average([a for a, _ in pairs], [p for _, p in pairs], count)
        self.n_averaged.assign(count + 1)

    def _average(self, averages: list[Parameter | Buffer], values: list[Tensor], count: int) -> None:
        old = [a.detach() for a in averages]
        if self.avg_fn is not None:
            new: Sequence[Tensor] = [self.avg_fn(a, v, count) for a, v in zip(old, values, strict=True)]
        else:
            new = (self.multi_avg_fn or get_swa_multi_avg_fn())(old, values, count)
        if not isinstance(new, Sequence) or len(new) != len(old):
            raise ValueError(
                "AveragedModel: multi_avg_fn must return the new averages, one for each tensor; tensors do not change"
            )
        for average, value in zip(averages, new, strict=True):
            average.assign(trunc(value) if average.dtype.kind != "f" and value.dtype.kind == "f" else value)


@no_grad
def update_bn(loader: Iterable[Any], model: Module, backend: str | Backend | None = None) -> None:
    """Compute the running statistics of batch normalisation layers anew, as plain means over the batches.

    For an averaged model, whose activations are those of none of the models averaged.

    Parameters
    ----------
    loader : gives batches, or tuples with the input first. model : run in training mode. backend : moves batches there.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        for batch in loader:
            input = batch[0] if isinstance(batch, list | tuple) else batch
            tensor = input if isinstance(input, Tensor) else Tensor(input)
            model(tensor if backend is None else tensor.to(backend))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode
