"""LAMB and Muon: their formulas, and PyTorch's Muon, with and without its bfloat16."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import optim

STEPS = 20
MATRICES = [(8, 3), (3, 8), (5, 5), (1, 4)]


def gradients(step: int, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    rng = np.random.default_rng(step)
    return [rng.standard_normal(shape) * (1.0 + 0.1 * step) for shape in shapes]


def walk(opt: optim.Optimizer, params: list[pb.Parameter], steps: int) -> None:
    for step in range(steps):
        for p, g in zip(params, gradients(step, [p.shape for p in params]), strict=True):
            p.grad = pb.Tensor(g, dtype=p.dtype, backend=p.backend)
        opt.step()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_lamb_follows_its_formula(dtype: str) -> None:
    shapes = [(4, 3), (3,), (), (2, 0)]
    start = gradients(99, shapes)
    params = [pb.Parameter(a, dtype=dtype) for a in start]
    walk(optim.LAMB(params, lr=0.05, betas=(0.8, 0.9), eps=1e-4, weight_decay=0.1), params, STEPS)
    for i, (p, x) in enumerate(zip(params, start, strict=True)):
        m = v = np.zeros_like(x)
        for step in range(STEPS):
            g = gradients(step, shapes)[i]
            m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
            u = m / (1 - 0.8 ** (step + 1)) / (np.sqrt(v / (1 - 0.9 ** (step + 1))) + 1e-4) + 0.1 * x
            x = x - 0.05 * (np.linalg.norm(x) / np.linalg.norm(u) if x.size else 1.0) * u
        np.testing.assert_allclose(p.numpy(), x, rtol=1e-10 if dtype == "float64" else 2e-5)


def test_lamb_moves_a_parameter_of_zeros_and_leaves_one_without_gradient_in_place() -> None:
    zeros, still = pb.Parameter([0.0, 0.0]), pb.Parameter([1.0, 2.0])
    zeros.grad, still.grad = pb.Tensor([3.0, -4.0]), pb.Tensor([0.0, 0.0])
    optim.LAMB([zeros, still], lr=0.5, weight_decay=0.0).step()
    np.testing.assert_allclose(zeros.numpy(), [-0.5, 0.5], rtol=1e-4)  # the ratio is 1, and Adam's first step is a sign
    assert still.tolist() == [1.0, 2.0]


OPTIONS = [
    {},
    {"nesterov": False, "momentum": 0.8},
    {"weight_decay": 0.3, "ns_steps": 3},
    {"adjust_lr_fn": "match_rms_adamw", "ns_coefficients": (3.4, -4.7, 2.0)},
]


def muons(torch, dtype: str, options: dict) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The parameters after some steps, ours and PyTorch's."""
    ours = [pb.Parameter(a, dtype=dtype) for a in gradients(99, MATRICES)]
    theirs = [torch.nn.Parameter(torch.tensor(p.numpy())) for p in ours]
    walk(optim.Muon(ours, lr=0.05, **options), ours, STEPS)
    other = torch.optim.Muon(theirs, lr=0.05, **options)
    for step in range(STEPS):
        for p, g in zip(theirs, gradients(step, MATRICES), strict=True):
            p.grad = torch.tensor(g.astype(dtype))
        other.step()
    return [p.numpy() for p in ours], [p.detach().numpy() for p in theirs]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda v: "-".join(v) or "plain")
def test_muon_equals_pytorch_without_its_bfloat16(options: dict, monkeypatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda x: x.clone())
    for dtype, rtol in [("float64", 1e-10), ("float32", 5e-5)]:
        for p, q in zip(*muons(torch, dtype, options), strict=True):
            np.testing.assert_allclose(p, q, rtol=rtol, atol=rtol)


def test_muon_is_near_pytorch_with_its_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    start = gradients(99, MATRICES)
    for p, q, x in zip(*muons(torch, "float64", {}), start, strict=True):
        assert np.abs(p - q).max() < 0.02 * np.abs(p - x).max()  # of the way; bfloat16 has 8 bits


def test_muon_gives_all_directions_about_the_same_step() -> None:
    w = pb.Parameter(np.zeros((6, 6)))
    w.grad = pb.Tensor(np.diag([1.0, 0.5, 0.2, 0.1, 0.05, 0.02]))
    optim.Muon([w], lr=1.0, weight_decay=0.0).step()
    assert 0.5 < -w.numpy().diagonal().max() < -w.numpy().diagonal().min() < 1.3


def test_adafactor_keeps_margins_only() -> None:
    w, b = pb.Parameter(np.ones((2, 30, 20))), pb.Parameter(np.ones(20))
    w.grad, b.grad = pb.Tensor(np.ones((2, 30, 20))), pb.Tensor(np.ones(20))
    opt = optim.Adafactor([w, b])
    opt.step()
    assert {name: t.shape for name, t in opt.state[w].items() if name != "step"} == {
        "row_var": (2, 30, 1), "col_var": (2, 1, 20),
    }  # fmt: skip
    assert opt.state[b]["variance"].shape == (20,)
