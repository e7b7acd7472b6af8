"""Convolutions of random shapes and options on Numba beside NumPy, in double precision: values and all gradients.

Which kernel takes a convolution depends on all its numbers, and so does where each of them ends. Rows chosen by hand
missed an input smaller than its stride; here are some that nobody chose.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

import pullback as pb
from pullback.backends import threads
from pullback.nn import functional as F

CASES = 60  # of each kind


def random_case(rng, axes, transposed):
    """Shapes of input and weight, options, and whether the result is not empty."""
    groups, ci, co = (int(rng.choice(sizes)) for sizes in ([1, 1, 2, 4, 16], [1, 2, 3, 8, 17], [1, 2, 4, 16, 18]))
    kernel = [3] * axes if rng.random() < 0.4 else list(rng.integers(1, 5, axes))
    stride = [1] * axes if rng.random() < 0.4 else list(rng.choice([1, 2, 3], axes))
    dilation, padding = list(rng.choice([1, 1, 2, 3], axes)), list(rng.integers(0, 4, axes))
    size, n = list(rng.integers(1, 12 if axes < 3 else 6, axes)), int(rng.choice([1, 2, 9]))
    options = {"groups": groups}
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if transposed:
        options["output_padding"] = [int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True)]
        out = [(i - 1) * s - 2 * p + r for i, s, p, r in zip(size, stride, padding, reach, strict=True)]
        weight = (groups * ci, co, *kernel)
    else:
        out = [i + 2 * p - r + 1 for i, p, r in zip(size, padding, reach, strict=True)]
        weight = (groups * co, ci, *kernel)
    for name, values in (("stride", stride), ("padding", padding), ("dilation", dilation)):
        options[name] = [int(v) for v in values]
    return (n, groups * ci, *map(int, size)), tuple(map(int, weight)), groups * co, options, min(out) > 0


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "transposed"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolutions_of_random_shapes(axes, transposed):
    rng = np.random.default_rng(10 * axes + transposed)
    op = getattr(F, f"conv{'_transpose' if transposed else ''}{axes}d")
    done = 0
    while done < CASES:
        x_shape, weight_shape, channels, options, some = random_case(rng, axes, transposed)
        if not some:
            continue
        done += 1
        shapes = [x_shape, weight_shape, *([(channels,)] if rng.random() < 0.5 else [])]
        arrays = [rng.standard_normal(shape) for shape in shapes]
        relu, cotangent = rng.random() < 0.5, None
        found = {}
        for backend, count in (("numpy", 2), ("numba", 2), ("numba", 1)):
            before = threads.get_num_threads()
            pb.set_num_threads(count)
            try:
                with pb.backend(backend):
                    tensors = [pb.tensor(a, requires_grad=True) for a in arrays]
                    y = op(*tensors, **options)
                    y = F.relu(y) if relu else y
                    cotangent = rng.standard_normal(y.shape) if cotangent is None else cotangent
                    y.backward(pb.tensor(cotangent))
                    found[backend, count] = [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]
            finally:
                pb.set_num_threads(before)
        case = f"x {x_shape}, weight {weight_shape}, {options}, relu {relu}"
        for got, alone, want in zip(found["numba", 2], found["numba", 1], found["numpy", 2], strict=True):
            assert got.shape == want.shape, case
            assert got.tobytes() == alone.tobytes(), case
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-11 * max(1.0, np.abs(want).max()), err_msg=case)
