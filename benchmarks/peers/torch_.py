"""Workloads in PyTorch: eager, channels_last, torch.compile, each with plain or fused Adam."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(self.embed(x))[0])


class Block(nn.Module):
    def __init__(self, s: dict[str, int]) -> None:
        super().__init__()
        w = s["width"]
        self.heads = s["heads"]
        self.norm1, self.norm2 = nn.LayerNorm(w), nn.LayerNorm(w)
        self.qkv, self.out = nn.Linear(w, 3 * w), nn.Linear(w, w)
        self.up, self.down = nn.Linear(w, 4 * w), nn.Linear(4 * w, w)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, w = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], is_causal=True)
        x = x + self.out(y.permute(0, 2, 1, 3).reshape(n, t, w))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, s: dict[str, int]) -> None:
        super().__init__()
        self.token = nn.Embedding(s["vocab"], s["width"])
        self.position = nn.Embedding(s["steps"], s["width"])
        self.blocks = nn.ModuleList([Block(s) for _ in range(s["layers"])])
        self.norm, self.head = nn.LayerNorm(s["width"]), nn.Linear(s["width"], s["vocab"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(y)))


def prime(variant: str) -> None:
    """Compute something, so that the library is all there."""
    x = torch.ones(64, 64, requires_grad=True)
    (x @ x).relu().sum().backward()


def small_ops(spec: Spec, leaf: Callable[[object], object], ones: object) -> Callable[[], float]:
    """50 tiny ops on 4 × 4 arrays, forward and backward."""
    x, w = (leaf(a) for a in data(spec))
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
        return float(w.grad[0, 0])

    return step


def build(spec: Spec, variant: str) -> Callable[[], float]:
    options = set(variant.split(","))
    adam = {"lr": 1e-3, "fused": True} if "fused" in options else {"lr": 1e-3}
    if spec.kind == "chain":
        return small_ops(spec, lambda a: torch.tensor(a, requires_grad=True), torch.ones(4, 4))
    if spec.kind == "adam":
        values, grads = data(spec)
        parameters = [nn.Parameter(torch.tensor(v)) for v in values]
        for p, g in zip(parameters, grads, strict=True):
            p.grad = torch.tensor(g)
        optimizer = torch.optim.Adam(parameters, **adam)

        def update() -> float:
            optimizer.step()
            return float(parameters[0][0, 0].detach())

        return update
    if spec.kind == "elementwise":
        x, g = (torch.tensor(a) for a in data(spec))
        x.requires_grad_()
        chained = lambda x: F.layer_norm(torch.softmax(F.gelu(x), -1), x.shape[-1:])
        if "compile" in options:
            chained = torch.compile(chained)

        def chain() -> float:
            x.grad = None
            chained(x).backward(g)
            return float(x.grad[0, 0])

        return chain
    made = {"cnn": cnn, "mlp": mlp}
    recurrent = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
    sized = {"gpt": GPT, "block": ResNetBlock, **{k: partial(Recurrent, layer=v) for k, v in recurrent.items()}}
    model = made[spec.kind]() if spec.kind in made else sized[spec.kind](spec.sizes)
    model.load_state_dict({k: torch.tensor(v) for k, v in weights(spec.kind).items()}, strict=False)
    inputs = [torch.tensor(a) for a in data(spec)]
    if "channels_last" in options:
        model = model.to(memory_format=torch.channels_last)
        if inputs[0].ndim == 4:
            inputs[0] = inputs[0].contiguous(memory_format=torch.channels_last)
    run = torch.compile(model) if "compile" in options else model
    if not spec.train:
        model.eval()

        def infer() -> float:
            with torch.inference_mode():
                return float(run(inputs[0])[0, 0])

        return infer
    optimizer = torch.optim.Adam(model.parameters(), **adam)

    def step() -> float:
        optimizer.zero_grad()
        out = run(inputs[0])
        if spec.kind == "block":
            loss = (out**2).mean()
        else:
            loss = F.cross_entropy(out.reshape(-1, out.shape[-1]), inputs[1].reshape(-1))
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step
