"""Workloads in pullback. Each `build` gives a function of no arguments that runs one step and returns its loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pullback as pb
from pullback import nn, optim
from pullback.nn import functional as F
from specs import Spec, data, weights


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


class Recurrent(nn.Module):
    def __init__(self, s: dict[str, int], layer: type[nn.Module]) -> None:
        super().__init__()
        self.embed = nn.Embedding(s["vocab"], s["embed"])
        self.rnn = layer(s["embed"], s["hidden"], batch_first=True)
        self.head = nn.Linear(s["hidden"], s["vocab"])

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        return self.head(self.rnn(self.embed(x))[0])


class Block(nn.Module):
    def __init__(self, s: dict[str, int]) -> None:
        super().__init__()
        w = s["width"]
        self.heads = s["heads"]
        self.norm1, self.norm2 = nn.LayerNorm(w), nn.LayerNorm(w)
        self.qkv, self.out = nn.Linear(w, 3 * w), nn.Linear(w, w)
        self.up, self.down = nn.Linear(w, 4 * w), nn.Linear(4 * w, w)
        self.feed = nn.Sequential(self.up, nn.GELU(), self.down)

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        n, t, w = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        y = attention(qkv[0], qkv[1], qkv[2])
        x = x + self.out(y.permute(0, 2, 1, 3).reshape(n, t, w))
        return x + self.feed(self.norm2(x))


def attention(q: pb.Tensor, k: pb.Tensor, v: pb.Tensor) -> pb.Tensor:
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    t = q.shape[-2]
    hidden = pb.tensor([[j > i for j in range(t)] for i in range(t)])
    scores = (q @ k.mT) * (1 / math.sqrt(q.shape[-1]))
    return pb.softmax(pb.where(hidden, -math.inf, scores), axis=-1) @ v


class GPT(nn.Module):
    def __init__(self, s: dict[str, int]) -> None:
        super().__init__()
        self.token = nn.Embedding(s["vocab"], s["width"])
        self.position = nn.Embedding(s["steps"], s["width"])
        self.blocks = nn.ModuleList([Block(s) for _ in range(s["layers"])])
        self.norm, self.head = nn.LayerNorm(s["width"]), nn.Linear(s["width"], s["vocab"])

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        y = self.token(x) + self.position.weight
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y))


class ResNetBlock(nn.Module):
    def __init__(self, s: dict[str, int]) -> None:
        super().__init__()
        c = s["channels"]
        self.conv1, self.bn1 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        y = self.bn1.relu(self.conv1(x))
        return self.bn2.relu(self.conv2(y), residual=x)


def prime(variant: str) -> None:
    """Compute something, so that the library is all there."""
    pb.set_backend(variant.split(",")[0])
    x = pb.ones((64, 64), requires_grad=True)
    pb.relu(x @ x).sum().backward()


def small_ops(spec: Spec) -> Callable[[], float]:
    """50 tiny ops on 4 × 4 arrays, forward and backward."""
    x, w = (pb.tensor(a, requires_grad=True) for a in data(spec))
    ones = pb.ones_like(x.detach())
    tanh = spec.name == "chain-mul-tanh"

    def step() -> float:
        x.grad = w.grad = None
        y = x
        if tanh:
            for _ in range(spec.batch):
                y = (y * w).tanh()
        else:
            for _ in range(spec.batch):
                y = y + w
        y.backward(ones)
        return float(w.grad.numpy()[0, 0])

    return step


def build(spec: Spec, variant: str) -> Callable[[], float]:
    backend, _, compiled = variant.partition(",")
    pb.set_backend(backend)
    recorded = pb.compile if compiled else _as_it_is
    if spec.kind == "chain":
        return small_ops(spec)
    if spec.kind == "adam":
        values, grads = data(spec)
        parameters = [nn.Parameter(v) for v in values]
        for p, g in zip(parameters, grads, strict=True):
            p.grad = pb.tensor(g)
        update = recorded(optim.Adam(parameters, lr=1e-3).step)

        def adam() -> float:
            update()
            return float(parameters[0].numpy()[0, 0])

        return adam
    if spec.kind == "elementwise":
        start, cotangent = data(spec)
        x, g = pb.tensor(start, requires_grad=True), pb.tensor(cotangent)

        @recorded
        def chain() -> None:
            x.grad = None
            F.layer_norm(pb.softmax(F.gelu(x), axis=-1), x.shape[-1:]).backward(g)

        def elementwise() -> float:
            chain()
            return float(x.grad.numpy()[0, 0])

        return elementwise
    made = {"cnn": cnn, "mlp": mlp}
    recurrent = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
    sized = {"gpt": GPT, "block": ResNetBlock, **{k: partial(Recurrent, layer=v) for k, v in recurrent.items()}}
    model = made[spec.kind]() if spec.kind in made else sized[spec.kind](spec.sizes)
    model.load_state_dict(weights(spec.kind), strict=False)
    inputs = [pb.tensor(a) for a in data(spec)]
    if not spec.train:
        model.eval()
        forward = recorded(model)

        def infer() -> float:
            with pb.no_grad():
                return float(forward(inputs[0]).numpy()[0, 0])

        return infer
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(x: pb.Tensor, *y: pb.Tensor) -> pb.Tensor:
        if spec.kind == "block":
            return (model(x) ** 2).mean()
        out = model(x)
        return F.cross_entropy(out.reshape(-1, out.shape[-1]), y[0].reshape(-1))

    @recorded
    def train(*batch: pb.Tensor) -> pb.Tensor:
        optimizer.zero_grad()
        loss = loss_of(*batch)
        loss.backward()
        optimizer.step()
        return loss

    return lambda: float(train(*inputs).item())


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function
