"""What the tests of `pullback.compile` share: data, models, and a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pullback as pb
from pullback import nn, optim
from pullback.nn import functional as F

BACKENDS = ["numpy", "numba", "strict"]
STEPS = 6


def batches(*shape: int, classes: int = 5, count: int = STEPS) -> list[tuple[pb.Tensor, pb.Tensor]]:
    rng = np.random.default_rng(0)
    return [
        (pb.tensor(rng.standard_normal(shape).astype(np.float32)), pb.tensor(rng.integers(0, classes, shape[0])))
        for _ in range(count)
    ]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 5))


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 9, 5)
    )


def counting_step(make: Callable[[], Any] = mlp) -> tuple[Any, Any, Any]:
    pb.random.manual_seed(1)
    model = make()
    opt = optim.Adam(model.parameters(), lr=1e-2)

    @pb.compile
    def step(x: pb.Tensor, y: pb.Tensor) -> pb.Tensor:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    return model, opt, step
