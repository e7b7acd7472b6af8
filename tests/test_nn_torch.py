"""Layers, losses and functions against PyTorch's: the same weights, outputs, gradients, keys and reprs."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.nn import functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")

LAYERS = {
    "linear": (lambda n, **k: n.Linear(5, 3, **k), (4, 5)),
    "linear-nobias": (lambda n, **k: n.Linear(5, 3, bias=False, **k), (2, 3, 5)),
    "linear-vector": (lambda n, **k: n.Linear(5, 3, **k), (5,)),
    "conv": (lambda n, **k: n.Conv2d(2, 4, 3, **k), (2, 2, 6, 7)),
    "conv-options": (lambda n, **k: n.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, False, **k), (2, 4, 7, 6)),
    "conv-same": (lambda n, **k: n.Conv2d(2, 3, (4, 3), padding="same", dilation=(1, 2), **k), (2, 2, 6, 7)),
    "conv-valid": (lambda n, **k: n.Conv2d(2, 3, 3, padding="valid", **k), (2, 2, 6, 7)),
    "conv-depthwise": (lambda n, **k: n.Conv2d(3, 6, 3, padding=1, groups=3, **k), (2, 3, 5, 5)),
    "conv-unbatched": (lambda n, **k: n.Conv2d(2, 3, 3, **k), (2, 6, 7)),
    "maxpool": (lambda n, **k: n.MaxPool2d(3, 2, 1), (2, 2, 7, 6)),
    "maxpool-ceil": (lambda n, **k: n.MaxPool2d((3, 2), ceil_mode=True, dilation=1), (2, 2, 7, 7)),
    "maxpool-unbatched": (lambda n, **k: n.MaxPool2d(2), (2, 6, 6)),
    "avgpool": (lambda n, **k: n.AvgPool2d(3, 2, 1), (2, 2, 7, 6)),
    "avgpool-nopad": (lambda n, **k: n.AvgPool2d(3, 2, 1, True, False), (2, 2, 7, 6)),
    "adaptiveavg": (lambda n, **k: n.AdaptiveAvgPool2d((3, None)), (2, 2, 7, 5)),
    "adaptivemax": (lambda n, **k: n.AdaptiveMaxPool2d((3, 2)), (2, 2, 7, 5)),
    "flatten": (lambda n, **k: n.Flatten(), (2, 3, 4)),
    "flatten-some": (lambda n, **k: n.Flatten(0, 1), (2, 3, 4)),
    "unflatten": (lambda n, **k: n.Unflatten(1, (3, -1)), (2, 12)),
    "identity": (lambda n, **k: n.Identity(1, a=2), (2, 3)),
    "batchnorm1d": (lambda n, **k: n.BatchNorm1d(3, **k), (5, 3)),
    "batchnorm1d-seq": (lambda n, **k: n.BatchNorm1d(3, eps=0.1, **k), (5, 3, 4)),
    "batchnorm2d": (lambda n, **k: n.BatchNorm2d(3, momentum=None, **k), (2, 3, 4, 5)),
    "batchnorm2d-plain": (
        lambda n, **k: n.BatchNorm2d(3, affine=False, track_running_stats=False, **k),
        (2, 3, 4, 5),
    ),
    "layernorm": (lambda n, **k: n.LayerNorm(4, eps=0.1, **k), (2, 3, 4)),
    "layernorm-axes": (lambda n, **k: n.LayerNorm((3, 4), bias=False, **k), (2, 3, 4)),
    "layernorm-plain": (lambda n, **k: n.LayerNorm(4, elementwise_affine=False, **k), (2, 3, 4)),
    "rmsnorm": (lambda n, **k: n.RMSNorm(4, **k), (2, 3, 4)),
    "rmsnorm-eps": (lambda n, **k: n.RMSNorm((3, 4), 0.1, **k), (2, 3, 4)),
    "groupnorm": (lambda n, **k: n.GroupNorm(2, 4, eps=0.1, **k), (2, 4, 3, 2)),
    "batchnorm2d-nobias": (lambda n, **k: n.BatchNorm2d(3, bias=False, **k), (2, 3, 4, 5)),
    "groupnorm-nobias": (lambda n, **k: n.GroupNorm(1, 4, bias=False, **k), (2, 4, 3)),
    "groupnorm-plain": (lambda n, **k: n.GroupNorm(2, 4, affine=False, **k), (2, 4, 3)),
    "relu": (lambda n, **k: n.ReLU(inplace=False), (3, 4)),
    "leakyrelu": (lambda n, **k: n.LeakyReLU(0.2), (3, 4)),
    "prelu": (lambda n, **k: n.PReLU(**k), (3, 4)),
    "prelu-channels": (lambda n, **k: n.PReLU(4, **k), (3, 4, 2)),
    "elu": (lambda n, **k: n.ELU(0.7), (3, 4)),
    "selu": (lambda n, **k: n.SELU(), (3, 4)),
    "gelu": (lambda n, **k: n.GELU(), (3, 4)),
    "gelu-tanh": (lambda n, **k: n.GELU("tanh"), (3, 4)),
    "silu": (lambda n, **k: n.SiLU(), (3, 4)),
    "mish": (lambda n, **k: n.Mish(), (3, 4)),
    "sigmoid": (lambda n, **k: n.Sigmoid(), (3, 4)),
    "logsigmoid": (lambda n, **k: n.LogSigmoid(), (3, 4)),
    "tanh": (lambda n, **k: n.Tanh(), (3, 4)),
    "softplus": (lambda n, **k: n.Softplus(2.0, 1.0), (3, 4)),
    "softsign": (lambda n, **k: n.Softsign(), (3, 4)),
    "softmax": (lambda n, **k: n.Softmax(dim=-1), (3, 4)),
    "softmin": (lambda n, **k: n.Softmin(dim=0), (3, 4)),
    "logsoftmax": (lambda n, **k: n.LogSoftmax(dim=1), (3, 4)),
    "dropout-eval": (lambda n, **k: n.Dropout(0.3), (3, 4)),
    "dropout2d-eval": (lambda n, **k: n.Dropout2d(0.3), (3, 4, 2, 2)),
}


def same_weights(ours: nn.Module, theirs: torch.nn.Module) -> None:
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.from_numpy(rng.standard_normal(p.shape) + 0.3))
    ours.load_state_dict(theirs.state_dict())


def compare(ours: nn.Module, theirs: torch.nn.Module, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape) + 0.1
    a = pb.Tensor(x, requires_grad=True)
    b = torch.tensor(x, requires_grad=True)
    for _ in range(2):  # twice: running statistics take part
        ya, yb = ours(a), theirs(b)
    weights = np.random.default_rng(2).standard_normal(yb.shape)
    np.testing.assert_allclose(ya.numpy(), yb.detach().numpy(), rtol=1e-9, atol=1e-11)
    (ya * weights).sum().backward()
    (yb * torch.from_numpy(weights)).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8, atol=1e-10)
    expected = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(expected)
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), expected[name].grad.numpy(), rtol=1e-8, atol=1e-10)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-10)


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    make, shape = LAYERS[name]
    ours, theirs = make(nn, dtype="float64"), make(torch.nn, dtype=torch.float64)
    same_weights(ours, theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    if "dropout" in name:
        ours.eval()
        theirs.eval()
    compare(ours, theirs, shape)
    ours.eval()
    theirs.eval()
    compare_eval = make(nn, dtype="float64").eval()
    compare_eval.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(3).standard_normal(shape)
    with torch.no_grad():
        np.testing.assert_allclose(
            compare_eval(pb.Tensor(x)).numpy(), theirs(torch.from_numpy(x)).numpy(), rtol=1e-9, atol=1e-11
        )


@pytest.mark.parametrize("padding_idx", [None, -2])
def test_embedding(padding_idx):
    ours = nn.Embedding(6, 3, padding_idx, dtype="float64")
    theirs = torch.nn.Embedding(6, 3, padding_idx, dtype=torch.float64)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    index = np.array([[1, 4, 1], [0, 4, 5]])
    a, b = ours(index), theirs(torch.from_numpy(index))
    np.testing.assert_array_equal(a.numpy(), b.detach().numpy())
    (a * a).sum().backward()
    (b * b).sum().backward()
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy())


def rand(*shape, low=-2.0, high=2.0, seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape)


INDEX = np.array([1, 0, 2, -100, 2])
CLASS_WEIGHTS = np.array([0.5, 2.0, 1.5])
LOSSES = {
    "ce": (lambda n, t, r: n.CrossEntropyLoss(reduction=r), rand(5, 3), INDEX),
    "ce-weight": (lambda n, t, r: n.CrossEntropyLoss(t(CLASS_WEIGHTS), reduction=r), rand(5, 3), INDEX),
    "ce-smooth": (
        lambda n, t, r: n.CrossEntropyLoss(reduction=r, label_smoothing=0.2, ignore_index=2), rand(5, 3),
        abs(INDEX) % 3,
    ),
    "ce-weight-smooth": (
        lambda n, t, r: n.CrossEntropyLoss(t(CLASS_WEIGHTS), reduction=r, label_smoothing=0.2), rand(5, 3), INDEX,
    ),
    "ce-image": (lambda n, t, r: n.CrossEntropyLoss(reduction=r), rand(2, 3, 2, 2), np.array([[[0, 1], [2, 1]]] * 2)),
    "ce-image-weight": (
        lambda n, t, r: n.CrossEntropyLoss(t(CLASS_WEIGHTS), reduction=r, label_smoothing=0.1),
        rand(2, 3, 2, 2), np.array([[[0, 1], [2, 1]]] * 2),
    ),
    "ce-single": (lambda n, t, r: n.CrossEntropyLoss(reduction=r), rand(3), np.array(2)),
    "ce-probs": (
        lambda n, t, r: n.CrossEntropyLoss(reduction=r, label_smoothing=0.1), rand(5, 3), rand(5, 3, low=0.0, high=1.0),
    ),
    "ce-probs-weight": (
        lambda n, t, r: n.CrossEntropyLoss(t(CLASS_WEIGHTS), reduction=r), rand(5, 3), rand(5, 3, low=0.0, high=1.0),
    ),
    "nll": (lambda n, t, r: n.NLLLoss(reduction=r), rand(5, 3), INDEX),
    "nll-weight": (lambda n, t, r: n.NLLLoss(t(CLASS_WEIGHTS), reduction=r), rand(5, 3), INDEX),
    "mse": (lambda n, t, r: n.MSELoss(reduction=r), rand(4, 3), rand(4, 3, seed=1)),
    "l1": (lambda n, t, r: n.L1Loss(reduction=r), rand(4, 3), rand(4, 3, seed=1)),
    "smoothl1": (lambda n, t, r: n.SmoothL1Loss(reduction=r, beta=0.7), rand(4, 3), rand(4, 3, seed=1)),
    "smoothl1-zero": (lambda n, t, r: n.SmoothL1Loss(reduction=r, beta=0.0), rand(4, 3), rand(4, 3, seed=1)),
    "huber": (lambda n, t, r: n.HuberLoss(reduction=r, delta=0.7), rand(4, 3), rand(4, 3, seed=1)),
    "bce": (lambda n, t, r: n.BCELoss(reduction=r), rand(4, 3, low=0.05, high=0.95), rand(4, 3, low=0.0, high=1.0)),
    "bce-weight": (
        lambda n, t, r: n.BCELoss(t(CLASS_WEIGHTS), reduction=r), rand(4, 3, low=0.05, high=0.95),
        rand(4, 3, low=0.0, high=1.0),
    ),
    "bcelogits": (lambda n, t, r: n.BCEWithLogitsLoss(reduction=r), 50 * rand(4, 3), rand(4, 3, low=0.0, high=1.0)),
    "bcelogits-pos": (
        lambda n, t, r: n.BCEWithLogitsLoss(reduction=r, weight=t(CLASS_WEIGHTS), pos_weight=t(CLASS_WEIGHTS + 1)),
        rand(4, 3), rand(4, 3, low=0.0, high=1.0),
    ),
    "kldiv": (lambda n, t, r: n.KLDivLoss(reduction=r), rand(4, 3), np.maximum(rand(4, 3, low=-0.3, high=1.0), 0.0)),
    "kldiv-log": (lambda n, t, r: n.KLDivLoss(reduction=r, log_target=True), rand(4, 3), rand(4, 3, seed=1)),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name, reduction):
    make, x, target = LOSSES[name]
    ours, theirs = make(nn, pb.Tensor, reduction), make(torch.nn, torch.from_numpy, reduction)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    a, b = pb.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    la, lb = ours(a, pb.Tensor(target)), theirs(b, torch.from_numpy(target))
    np.testing.assert_allclose(la.numpy(), lb.detach().numpy(), rtol=1e-9, atol=1e-12)
    la.sum().backward()
    lb.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8, atol=1e-12)


def test_kl_div_batchmean():
    x, t = rand(4, 3), rand(4, 3, low=0.1, high=1.0)
    expected = torch.nn.KLDivLoss(reduction="batchmean")(torch.from_numpy(x), torch.from_numpy(t))
    assert nn.KLDivLoss(reduction="batchmean")(pb.Tensor(x), t).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("seed", [0, 1])
def test_functions(seed):
    x, y = rand(3, 4, seed=seed), rand(3, 4, seed=seed + 5)
    a, b, u, v = pb.Tensor(x), pb.Tensor(y), torch.from_numpy(x), torch.from_numpy(y)
    G = torch.nn.functional
    pairs = [
        (F.normalize(a), G.normalize(u)),
        (F.normalize(a, p=1.0, dim=0), G.normalize(u, p=1.0, dim=0)),
        (F.cosine_similarity(a, b), G.cosine_similarity(u, v)),
        (F.cosine_similarity(a, b, dim=0), G.cosine_similarity(u, v, dim=0)),
        (F.pad(a, (1, 2)), G.pad(u, (1, 2))),
        (F.pad(a, (0, 1, 2, 0), value=3.0), G.pad(u, (0, 1, 2, 0), value=3.0)),
        (F.one_hot(np.array([[0, 3], [1, 1]])), G.one_hot(torch.tensor([[0, 3], [1, 1]]))),
        (F.one_hot(np.array([0, 2]), 5), G.one_hot(torch.tensor([0, 2]), 5)),
        (F.flatten(a), torch.flatten(u)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10)


def net(n):
    return n.Sequential(
        OrderedDict(
            features=n.Sequential(
                n.Conv2d(1, 4, 3, padding=1), n.BatchNorm2d(4), n.ReLU(inplace=True), n.MaxPool2d(2), n.Dropout(0.0)
            ),
            flat=n.Flatten(),
            heads=n.Sequential(n.Linear(64, 8), n.LayerNorm(8), n.GELU(), n.Linear(8, 3)),
        )
    )


def test_whole_model_and_live_state_dict():
    ours, theirs = net(nn), net(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    ours.load_state_dict(theirs.state_dict())
    x = rand(5, 1, 8, 8).astype(np.float32)
    np.testing.assert_allclose(ours(pb.Tensor(x)).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), atol=2e-6)


def test_torch_safetensors_file(tmp_path):
    from safetensors.torch import save_file

    theirs = net(torch.nn)
    save_file(theirs.state_dict(), tmp_path / "torch.safetensors")
    ours = net(nn)
    ours.load_state_dict(nn.load_safetensors(tmp_path / "torch.safetensors"))
    x = rand(5, 1, 8, 8).astype(np.float32)
    np.testing.assert_allclose(ours(pb.Tensor(x)).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), atol=2e-6)
    nn.save_safetensors(ours, tmp_path / "ours.safetensors")
    from safetensors.torch import load_file

    net(torch.nn).load_state_dict(load_file(tmp_path / "ours.safetensors"))


def test_bfloat16_state_dict_is_widened():
    theirs = torch.nn.Linear(2, 3).bfloat16()
    ours = nn.Linear(2, 3)
    ours.load_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(ours.weight.numpy(), theirs.weight.detach().float().numpy())
