"""The backends train alike: the demo's network on real digits, the same losses step by step to rounding.

Left to themselves, two float32 runs part once rounding (1e-7) flips the sign of some value that a ReLU gets, about once
in ten steps here: the gradient jumps there, on any library. So float32 is compared from the same weights at each step,
and free runs in float64, where such a flip is a billion times rarer. Run as a script, it prints all of them:

    python tests/test_backends_agree.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.data import batches, load_digits
from pullback.train.demo import classic_cnn

STEPS = 50


def training(
    backend: str, dtype: str, seed: int = 0, batch_size: int = 32
) -> Iterator[tuple[float, dict[str, np.ndarray], tuple]]:
    """50 steps of the demo, alike on all backends: each one's loss, the weights it was computed from, and its batch."""
    (x, y), _ = load_digits(28)
    with pb.backend(backend):
        pb.manual_seed(seed)
        model = classic_cnn().to(dtype=dtype)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        loader = batches(x.astype(dtype), y, batch_size=batch_size, seed=seed)
        for _, (images, labels) in zip(range(STEPS), (batch for _ in range(2) for batch in loader), strict=False):
            weights = {name: p.numpy() for name, p in model.named_parameters()}
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            yield loss.item(), weights, (images.numpy(), labels.numpy())
            optimizer.step()


def losses(backend: str, dtype: str, seed: int = 0, batch_size: int = 32) -> np.ndarray:
    return np.array([loss for loss, *_ in training(backend, dtype, seed, batch_size)])


def together(batch_size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """NumPy's losses in float32, and Numba's from NumPy's weights of each step."""
    found = []
    with pb.backend("numba"):
        model = classic_cnn()
        for loss, weights, (images, labels) in training("numpy", "float32", batch_size=batch_size):
            model.load_state_dict(weights)
            with pb.backend("numba"), pb.no_grad():
                found.append((loss, nn.functional.cross_entropy(model(pb.tensor(images)), labels).item()))
    return tuple(np.array(found).T)


@pytest.fixture(autouse=True)
def _libraries() -> None:
    pytest.importorskip("numba")
    pytest.importorskip("sklearn")


def test_fifty_steps_in_float64() -> None:
    ours, theirs = (losses(backend, "float64", batch_size=8) for backend in ("numba", "numpy"))
    assert theirs[-5:].mean() < 0.9 * theirs[:5].mean()
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_fifty_steps_in_float32_from_the_same_weights() -> None:
    theirs, ours = together(batch_size=8)
    assert len(ours) == STEPS
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


if __name__ == "__main__":
    one, same = together()
    free, wide, widest = losses("numba", "float32"), losses("numpy", "float64"), losses("numba", "float64")
    print("       loss                 numba - numpy")
    print("step   numpy, float32       same weights   free run   free run in float64")
    for i in range(STEPS):
        print(
            f"{i + 1:4}   {one[i]:.7f}            {same[i] - one[i]:+.1e}       {free[i] - one[i]:+.1e}   "
            f"{widest[i] - wide[i]:+.1e}"
        )
    print("\nLargest differences in free runs of 50 steps, by seed: float32 runs part where rounding flips a ReLU")
    print("seed   numba - numpy   numpy - float64   numba - float64")
    for seed in range(4):
        a, b = (losses(backend, "float32", seed) for backend in ("numpy", "numba"))
        exact = losses("numpy", "float64", seed)
        gaps = [abs(u - v).max() for u, v in ((b, a), (a, exact), (b, exact))]
        print(f"{seed:4}   {gaps[0]:.1e}         {gaps[1]:.1e}           {gaps[2]:.1e}")
