"""Margin losses, and weights of elements, beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.nn import functional as F

pytest.importorskip("torch", reason="the comparison needs PyTorch")

import torch

from beside_torch import rand, same, same_gradients

TF = torch.nn.functional

SIGNS, LABELS = np.array([1.0, -1, 1, -1]), np.array([[1, 2, -1, 0], [3, -1, 0, 0], [0, 1, 2, 3]])
LOSSES = {
    "soft": (lambda n, t, **k: n.SoftMarginLoss(**k), [rand(3, 4)], np.sign(rand(3, 4, seed=3))),
    "multilabelsoft": (lambda n, t, **k: n.MultiLabelSoftMarginLoss(**k), [rand(3, 4)], (rand(3, 4) > 0) * 1.0),
    "multilabelsoft-weight": (
        lambda n, t, **k: n.MultiLabelSoftMarginLoss(t(np.arange(4.0)), **k), [rand(3, 4)], (rand(3, 4) > 0) * 1.0
    ),
    "multi": (lambda n, t, **k: n.MultiMarginLoss(**k), [rand(4, 3)], np.array([0, 2, 1, 2])),
    "multi-options": (
        lambda n, t, **k: n.MultiMarginLoss(2, 0.7, t(np.array([0.5, 1, 2])), **k), [rand(4, 3)], np.array([0, 2, 1, 2])
    ),
    "multi-single": (lambda n, t, **k: n.MultiMarginLoss(**k), [rand(3)], np.array(1)),
    "multilabel": (lambda n, t, **k: n.MultiLabelMarginLoss(**k), [rand(3, 4)], LABELS),
    "multilabel-single": (lambda n, t, **k: n.MultiLabelMarginLoss(**k), [rand(4)], LABELS[0]),
    "triplet": (lambda n, t, **k: n.TripletMarginWithDistanceLoss(**k), [rand(3, 4), rand(3, 4, seed=1)], rand(3, 4)),
    "triplet-options": (
        lambda n, t, **k: n.TripletMarginWithDistanceLoss(
            distance_function=lambda x, y: abs(x - y).sum(-1), margin=2.0, swap=True, **k
        ),
        [rand(3, 4), rand(3, 4, seed=1)], rand(3, 4, seed=2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name, reduction):
    make, inputs, target = LOSSES[name]
    ours, theirs = make(nn, pb.Tensor, reduction=reduction), make(torch.nn, torch.from_numpy, reduction=reduction)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    mine, other = (
        [pb.Tensor(a, requires_grad=True) for a in inputs],
        [torch.tensor(a, requires_grad=True) for a in inputs],
    )
    out, wanted = ours(*mine, pb.Tensor(target)), theirs(*other, torch.from_numpy(target))
    same(out, wanted)
    same_gradients(out, wanted, mine, other)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_elements(name, reduction):
    arrays = [rand(3, 4), rand(3, 4, seed=1), abs(rand(3, 4, seed=2))]
    mine = [pb.Tensor(a, requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = getattr(F, name)(*mine[:2], reduction=reduction, weight=mine[2])
    wanted = getattr(TF, name)(*other[:2], reduction=reduction, weight=other[2])
    same(out, wanted)
    same_gradients(out, wanted, mine, other)
    with pytest.raises(ValueError, match=r"weight must have the losses' shape \(3, 4\), not \(4,\)"):
        getattr(F, name)(*mine[:2], weight=np.ones(4))


def test_margin_losses_say_what_is_wrong():
    with pytest.raises(ValueError, match="p must be 1 or 2"):
        nn.MultiMarginLoss(3)
    with pytest.raises(ValueError, match=r"scores \(2, 3\) need integer targets"):
        F.multi_margin_loss(pb.zeros(2, 3), pb.zeros(2))
    with pytest.raises(IndexError, match="labels must be below 2"):
        F.multilabel_margin_loss(pb.zeros(2), np.array([2, -1]))
    with pytest.raises(ValueError, match="same shape"):
        F.soft_margin_loss(pb.zeros(2, 1), pb.zeros(2))
