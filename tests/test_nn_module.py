"""Module: what belongs to it, modes, moving, copying, containers, repr and summary."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import pullback as pb
from pullback import nn


class Net(nn.Module):
    def __init__(self):  # no super().__init__(): nothing needs it
        self.first = nn.Linear(2, 3)
        self.blocks = [nn.Linear(3, 3), {"inner": nn.BatchNorm1d(3)}]
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.register_buffer("seen", np.zeros(1, np.float32))
        self.scratch = nn.Buffer(np.zeros(2, np.float32), persistent=False)

    def forward(self, x):
        x = self.first(x)
        x = self.blocks[1]["inner"](self.blocks[0](x))
        return x * self.scale


NAMES = [
    "scale", "first.weight", "first.bias", "blocks.0.weight", "blocks.0.bias", "blocks.1.inner.weight",
    "blocks.1.inner.bias",
]  # fmt: skip


def test_walk_finds_attributes_also_in_lists_and_dicts():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [p.shape for p in net.parameters()] == [p.shape for _, p in net.named_parameters()]
    assert [name for name, _ in net.named_modules()] == ["", "first", "blocks.0", "blocks.1.inner"]
    assert [name for name, _ in net.named_children()] == ["first", "blocks.0", "blocks.1.inner"]
    assert [name for name, _ in net.named_buffers()] == [
        "seen", "scratch", "blocks.1.inner.running_mean", "blocks.1.inner.running_var",
        "blocks.1.inner.num_batches_tracked",
    ]  # fmt: skip
    assert "scratch" not in net.state_dict()
    assert "seen" in net.state_dict()
    assert net.get_submodule("blocks.1.inner") is net.blocks[1]["inner"]
    assert net.get_parameter("first.weight") is net.first.weight
    with pytest.raises(AttributeError, match=r"has no module 'second'; it has first, blocks\.0"):
        net.get_submodule("second")


def test_all_parameters_are_trained():
    net = Net()
    net(pb.Tensor(np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_shared_parameters_count_once():
    tied = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    tied[1].weight = tied[0].weight
    assert len(list(tied.parameters())) == 1
    assert list(tied.state_dict()) == ["0.weight", "1.weight"]
    assert "15 parameters" in tied.summary(np.array([[1, 2]]))
    twice = nn.ReLU()
    assert len(list(nn.Sequential(twice, twice).modules())) == 2
    copied = copy.deepcopy(tied)
    assert copied[1].weight is copied[0].weight
    values = {"0.weight": np.ones((5, 3), np.float32)}
    tied.load_state_dict(values)  # one of the shared names is enough
    assert tied[1].weight.numpy().all()


def test_train_eval_apply_requires_grad():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)))
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    seen = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Sequential"
    assert len(seen) == 5
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    assert not net(pb.Tensor(np.ones((3, 2), np.float32))).requires_grad


def test_dropout_only_in_training():
    x = pb.Tensor(np.ones((50, 40), np.float32))
    drop = nn.Dropout(0.25)
    pb.manual_seed(3)
    y = drop(x).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert 0.2 < (y == 0).mean() < 0.3
    pb.manual_seed(3)
    np.testing.assert_array_equal(drop(x).numpy(), y)
    assert (drop(x).numpy() != y).any()
    assert drop.eval()(x) is x
    z = nn.Dropout2d(0.5)(pb.Tensor(np.ones((20, 10, 3, 3), np.float32))).numpy()
    assert (z.std((2, 3)) == 0).all()
    assert set(np.unique(z)) == {0.0, 2.0}
    assert not nn.Dropout(1.0)(x).numpy().any()


def test_batch_norm_statistics():
    bn = nn.BatchNorm1d(2)
    x = np.random.default_rng(0).normal(3, 2, (10, 2))
    bn(pb.Tensor(x.astype(np.float32)))
    np.testing.assert_allclose(bn.running_mean.numpy(), 0.1 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(bn.running_var.numpy(), 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-5)
    assert bn.num_batches_tracked.item() == 1
    before = bn.running_mean
    bn.eval()(pb.Tensor(x.astype(np.float32)))
    assert bn.running_mean is before
    assert bn.num_batches_tracked.item() == 1
    bn.reset_running_stats()
    assert bn.num_batches_tracked.item() == 0
    with pytest.raises(ValueError, match="more than one value"):
        bn.train()(pb.Tensor(np.ones((1, 2), np.float32)))


def test_to_moves_in_place():
    net = Net()
    parameters = list(net.parameters())
    x = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    expected = net.eval()(pb.Tensor(x)).numpy()
    net.train()(pb.Tensor(x)).sum().backward()
    assert net.to("strict") is net
    assert [p.backend.name for p in net.parameters()] == ["strict"] * len(parameters)
    assert all(p is q for p, q in zip(net.parameters(), parameters, strict=True))
    assert all(p.grad.backend.name == "strict" for p in parameters)
    assert {b.backend.name for b in net.buffers()} == {"strict"}
    net.blocks[1]["inner"].reset_running_stats()
    moved = net.eval()(pb.Tensor(x, backend="strict"))
    assert moved.backend.name == "strict"
    np.testing.assert_allclose(moved.numpy(), expected, rtol=1e-5, atol=1e-6)
    net.to("numpy").to(pb.float64)
    assert {p.dtype.name for p in net.parameters()} == {"float64"}
    assert all(p.grad.dtype == p.dtype for p in parameters)
    assert net.blocks[1]["inner"].num_batches_tracked.dtype.name == "int64"
    net(pb.Tensor(x.astype(np.float64), backend="numpy")).sum().backward()
    assert {p.dtype.name for p in net.to("numpy", "float32").parameters()} == {"float32"}
    assert net.double().float().first.weight.dtype == pb.float32
    with pytest.raises(TypeError, match="floating dtype, not to int64"):
        net.to(dtype="int64")
    with pytest.raises(pb.BackendError, match="unknown backend"):
        net.to("nowhere")


def test_deepcopy_and_pickle_are_independent():
    net = Net()
    x = pb.Tensor(np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(nn.Sequential(net.first, nn.BatchNorm1d(3))))):
        assert not set(other.parameters()) & set(net.parameters())
        other.train()(x)
    twin = copy.deepcopy(net)
    np.testing.assert_array_equal(twin.eval()(x).numpy(), net.eval()(x).numpy())
    assert not twin.scratch.persistent
    twin.first.weight.assign(np.zeros((3, 2)))
    assert net.first.weight.numpy().any()


def test_attributes_are_guarded():
    net = Net()
    with pytest.raises(TypeError, match=r"Net\.scale is a Parameter; change its values with \.scale\.assign"):
        net.scale = pb.Tensor(np.zeros(3, np.float32))
    net.seen = net.seen + 1
    assert isinstance(net.seen, nn.Buffer)
    assert "seen" in net.state_dict()
    with pytest.raises(ValueError, match=r"buffer has shape \(1,\), the value \(2,\)"):
        net.seen.assign(np.zeros(2))
    with pytest.raises(KeyError, match="without dots"):
        net.register_buffer("a.b", None)
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    seq = nn.Sequential(a, b)
    assert seq.append(c)[-1] is c
    assert list(seq) == [a, b, c]
    assert len(seq) == 3
    assert seq[1] is b
    assert isinstance(seq[1:], nn.Sequential)
    assert list(seq[1:].state_dict()) == ["2.weight", "2.bias"]  # keys are kept, as in PyTorch
    seq[1] = nn.Tanh()
    assert isinstance(seq[1], nn.Tanh)
    del seq[0]
    assert [name for name, _ in seq.named_children()] == ["0", "1"]
    seq.insert(0, a)
    assert seq.pop(1) is not None
    assert list(seq) == [a, c]
    named = nn.Sequential(OrderedDict(first=a, second=b))
    assert named.first is a
    named.third = c
    assert list(named.state_dict()) == ["first.weight", "first.bias", "third.weight", "third.bias"]
    assert named(pb.Tensor(np.ones((4, 2), np.float32))).shape == (4, 1)
    with pytest.raises(IndexError, match="index 5 is out of range for a Sequential of length 2"):
        seq[5]
    with pytest.raises(TypeError, match="Sequential holds objects of type Module, not function"):
        nn.Sequential(lambda x: x)
    with pytest.raises(AttributeError, match="no attribute 'fourth'"):
        named.fourth


def test_lists_and_dicts():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.extend([nn.ReLU()]).append(nn.Linear(1, 2))
    assert [name for name, _ in layers.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert isinstance(layers[:2], nn.ModuleList)
    heads = nn.ModuleDict({"a": nn.Linear(1, 1), "keys": nn.ReLU()})
    heads["b"] = nn.Tanh()
    assert list(heads) == list(heads.keys()) == ["a", "keys", "b"]
    assert "a" in heads
    assert len(heads) == 3
    assert isinstance(heads.pop("keys"), nn.ReLU)
    del heads["b"]
    assert [k for k, _ in heads.items()] == ["a"]
    params = nn.ParameterList([np.ones(2, np.float32), nn.Parameter(np.zeros((2, 2)))])
    assert [(k, p.shape) for k, p in params.named_parameters()] == [("0", (2,)), ("1", (2, 2))]
    assert "Parameter of shape (2, 2)" in repr(params)
    by_name = nn.ParameterDict({"w": np.ones(3, np.float32)})
    assert [k for k, _ in by_name.named_parameters()] == ["w"]
    with pytest.raises(KeyError, match="without dots"):
        heads["x.y"] = nn.ReLU()


def test_repr_tree():
    net = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Dropout(0.1)))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Linear(in_features=4, out_features=8, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Dropout(p=0.1, inplace=False)\n"
        "  )\n"
        ")"
    )


def test_summary():
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Sequential(nn.ReLU(), nn.Flatten()), nn.Linear(8 * 26 * 26, 10))
    net[2].bias.requires_grad_(False)
    assert net.summary((1, 1, 28, 28)) == (
        "layer  type     output shape    parameters\n"
        "──────────────────────────────────────────\n"
        "0      Conv2d   (1, 8, 26, 26)          80\n"
        "1.0    ReLU     (1, 8, 26, 26)           0\n"
        "1.1    Flatten  (1, 5408)                0\n"
        "2      Linear   (1, 10)             54,090\n"
        "──────────────────────────────────────────\n"
        "54,170 parameters (211.6 KiB), 54,160 of them trained"
    )
    assert net.training
    assert nn.Linear(2, 3).summary(np.ones((5, 2), np.float32)).splitlines()[2].split() == [
        "(the", "model)", "Linear", "(5,", "3)", "9",
    ]  # fmt: skip
    assert nn.Linear(2, 3).summary() == (
        "layer        type    parameters\n"
        "───────────────────────────────\n"
        "(the model)  Linear           9\n"
        "───────────────────────────────\n"
        "9 parameters (36 B), 9 of them trained"
    )
    bn = nn.BatchNorm1d(2)
    bn.summary((1, 2))
    assert bn.num_batches_tracked.item() == 0
