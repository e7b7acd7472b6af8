"""A few training steps over many kinds of layer, as one number: run as a script, it prints it.

Sizes are such that every kernel has several tasks.
"""

from __future__ import annotations

import hashlib

import numpy as np

import pullback as pb
from pullback import nn, optim
from pullback.nn import functional as F


class _Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 20, 3, padding=1, bias=False),
            nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 20, 3, padding=1), nn.ReLU(),
            nn.Conv2d(20, 20, 3, padding=1, groups=10), nn.ReLU(),
            nn.Conv2d(20, 32, 3, padding=2, dilation=2), nn.ReLU(), nn.Conv2d(32, 32, 5, padding=2),
            nn.ReLU(), nn.Conv2d(32, 20, 3, padding=1, groups=2),
            nn.Conv2d(20, 20, 3, stride=2, groups=2), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(180, 33), nn.ReLU(), nn.Linear(33, 10),
        )  # fmt: skip

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        return self.body(x)


class _Sequences(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(31, 24), nn.LayerNorm(24)
        self.rnn, self.head = kind(24, 40, batch_first=True), nn.Linear(40, 31)

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        y = self.rnn(F.gelu(self.norm(self.embed(x))))[0]
        y = y + F.scaled_dot_product_attention(y, y, y, is_causal=True)
        return self.head(pb.softmax(y, axis=-1) + pb.log_softmax(y, axis=-1)).reshape(-1, 31)


def arrays(backend: str) -> list[np.ndarray]:
    """The parameters after the steps."""
    rng = np.random.default_rng(0)
    images, labels = rng.random((37, 1, 28, 28), np.float32), rng.integers(0, 10, 37)
    tokens, following = rng.integers(0, 31, (2, 19, 11))
    jobs = [
        (_Images, images, labels, lambda p: optim.Adam(p, lr=1e-3)),
        (lambda: _Sequences(nn.LSTM), tokens, following, lambda p: optim.SGD(p, lr=0.1, momentum=0.9)),
        (lambda: _Sequences(nn.GRU), tokens, following, lambda p: optim.RMSprop(p, lr=1e-3)),
        (lambda: _Sequences(nn.RNN), tokens, following, lambda p: optim.AdamW(p, lr=1e-3)),
    ]
    found = []
    with pb.backend(backend):
        for make, x, y, optimiser in jobs:
            key = np.random.default_rng(1)
            model = make()
            for p in model.parameters():
                p.assign(key.standard_normal(p.shape).astype(np.float32) / max(1, p.shape[-1]) ** 0.5)
            opt = optimiser(model.parameters())
            for _ in range(3):
                opt.zero_grad()
                F.cross_entropy(model(pb.tensor(x)), pb.tensor(y.reshape(-1))).backward()
                opt.step()
            found += [p.numpy().copy() for p in model.parameters()]
    return found


def digest(backend: str = "numba") -> str:
    """Of all bits of the parameters."""
    total = hashlib.sha256()
    for a in arrays(backend):
        total.update(a.tobytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    print(digest())
