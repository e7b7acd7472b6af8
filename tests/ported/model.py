"""What a ported model is, and the two libraries it is built in."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pullback as pb
from pullback import nn, optim

Batch = dict[str, Any]
Networks = dict[str, Any]


@dataclass(frozen=True)
class Library:
    """The same names in both libraries: `T` the library itself, `nn`, `F` and `optim`."""

    name: str
    T: Any
    nn: Any
    F: Any
    optim: Any
    tensor: Callable[[np.ndarray], Any]
    numpy: Callable[[Any], np.ndarray]
    gradients: Callable[[Any, Any], Any]
    clip: Callable[..., Any]

    @staticmethod
    def ours() -> Library:
        """Pullback, on its current backend."""
        return Library(
            "pullback", pb, nn, nn.functional, optim, pb.tensor, lambda t: t.detach().numpy(),
            lambda y, x: pb.gradients(y, x, create_graph=True)[0], optim.clip_grad_norm_,
        )  # fmt: skip

    @staticmethod
    def theirs() -> Library:
        """PyTorch."""
        torch = importlib.import_module("torch")
        return Library(
            "torch", torch, torch.nn, torch.nn.functional, torch.optim, torch.tensor,
            lambda t: t.detach().numpy().copy(),
            lambda y, x: torch.autograd.grad(y, x, create_graph=True)[0], torch.nn.utils.clip_grad_norm_,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ported:
    """One model and how it is trained.

    Attributes
    ----------
    build : library -> its networks by name. Names of modules, and so of weights, are the same in both.
    data : generator -> arrays; floating ones are in float64 and cast to the dtype under test.
    output : (library, networks, batch) -> the tensor whose values are compared.
    losses : network -> (library, networks, batch) -> the loss that trains it; one step trains them in this order.
    optimizer : library.optim, parameters -> the optimiser of each network.
    schedule : library.optim, optimiser -> a scheduler that steps after each step; None for a constant rate.
    clip : the norm to which gradients are clipped; None for not at all.
    """

    name: str
    build: Callable[[Library], Networks]
    data: Callable[[np.random.Generator], dict[str, np.ndarray]]
    output: Callable[[Library, Networks, Batch], Any]
    losses: dict[str, Callable[[Library, Networks, Batch], Any]]
    optimizer: Callable[[Any, Any], Any]
    schedule: Callable[[Any, Any], Any] | None = None
    clip: float | None = None
