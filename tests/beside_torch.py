"""Arrays for our layer and PyTorch's, and whether both did the same with them."""

from __future__ import annotations

import numpy as np
import torch

import pullback as pb


def rand(*shape, seed=0):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) + 0.1)


def pairs_of(shapes):
    arrays = [rand(*shape, seed=i) for i, shape in enumerate(shapes)]
    return [pb.Tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]


def same(ours, theirs, rtol=1e-9, atol=1e-11):
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol)


def same_gradients(out, wanted, leaves, others):
    weights = rand(*wanted.shape, seed=7)
    (out * weights).sum().backward()
    (wanted * torch.from_numpy(weights)).sum().backward()
    for a, b in zip(leaves, others, strict=True):
        same(a.grad, b.grad, 1e-8, 1e-10)
