"""Initialisers, each beside PyTorch's: those that draw nothing exactly, the others by their distribution."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import pullback as pb
from pullback.nn import init

from .case import Absent, Case, Entry, Outcome, Section
from .compare import MismatchError, difference

#: Of two samples of one distribution, one pair in a thousand would fail; the seeds are fixed, so none does by chance.
SIGNIFICANCE = 1e-3
ABOUT = f"""
`pullback.nn.init.<name>`. What draws nothing gives the same values, and raises for the same shapes. Of what draws, the
values are compared with as many of PyTorch's by the Kolmogorov–Smirnov test at a significance of {SIGNIFICANCE}, and by
their largest magnitude where it is bounded; seeds are fixed.
"""

SHAPES: list[tuple[int, ...]] = [(120, 80), (32, 16, 3, 3), (20, 30, 12)]
#: name -> arguments of each sample; the first draw nothing, the others do.
EXACT: dict[str, list[tuple[tuple[int, ...], dict[str, Any]]]] = {
    "constant_": [((3, 4), {"val": 0.3}), ((), {"val": -2.0})],
    "ones_": [((3, 4), {}), ((0, 2), {})],
    "zeros_": [((3, 4), {})],
    "eye_": [((4, 4), {}), ((3, 5), {}), ((5, 3), {}), ((3,), {}), ((2, 3, 4), {})],
    "dirac_": [
        ((4, 3, 3), {}), ((2, 5, 4, 3), {}), ((6, 3, 3, 3, 2), {"groups": 2}), ((4, 3), {}), ((5, 3, 3), {"groups": 2}),
    ],
}  # fmt: skip
DRAWN: dict[str, list[dict[str, Any]]] = {
    "uniform_": [{}, {"a": -3.0, "b": 5.0}],
    "normal_": [{}, {"mean": 2.0, "std": 0.3}],
    "trunc_normal_": [{}, {"mean": 1.0, "std": 2.0, "a": 0.0, "b": 2.0}, {"a": 1.5, "b": 2.5}],
    "xavier_uniform_": [{}, {"gain": 2.0}],
    "xavier_normal_": [{}, {"gain": 2.0}],
    "kaiming_uniform_": [{}, {"a": 2.2, "mode": "fan_out"}, {"nonlinearity": "relu"}, {"nonlinearity": "tanh"}],
    "kaiming_normal_": [{}, {"a": 2.2, "mode": "fan_out"}, {"nonlinearity": "relu"}, {"nonlinearity": "selu"}],
    "orthogonal_": [{}, {"gain": 3.0}],
    "sparse_": [{"sparsity": 0.3}, {"sparsity": 0.85, "std": 2.0}],
}
GAINS: list[tuple[Any, ...]] = [
    ("linear",), ("conv1d",), ("conv2d",), ("conv3d",), ("conv_transpose2d",), ("sigmoid",), ("tanh",), ("relu",),
    ("selu",), ("leaky_relu",), ("leaky_relu", 0.3), ("leaky_relu", 0), ("swish",),
]  # fmt: skip
ABSENT = {
    "Keras's; tests/test_nn_init.py has its moments and bounds": (
        "glorot_normal_ glorot_uniform_ he_normal_ he_uniform_ lecun_normal_ lecun_uniform_ variance_scaling_"
    ),
}


def public() -> set[str]:
    """All initialisers."""
    return set(init.__all__)


def _filled(name: str, shape: tuple[int, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Our values and PyTorch's, or the kind of exception."""
    import torch

    pb.manual_seed(1)
    torch.manual_seed(1)
    results = []
    for fill, empty in (
        (getattr(init, name), pb.Parameter(np.zeros(shape))),
        (getattr(torch.nn.init, name), torch.zeros(shape, dtype=torch.float64)),
    ):
        try:
            results.append(fill(empty, **kwargs).detach().numpy())
        except ValueError as error:
            results.append(type(error))
    return results[0], results[1]


def _exact(name: str, shape: tuple[int, ...], kwargs: dict[str, Any]) -> Outcome:
    a, b = _filled(name, shape, kwargs)
    if isinstance(a, type) or isinstance(b, type):
        return Outcome(("forward",)) if a is b else Outcome(failed=f"{a}, PyTorch: {b}")
    return _judged(lambda: difference(a, b, 0.0, name))


def _drawn(name: str, shape: tuple[int, ...], kwargs: dict[str, Any]) -> Outcome:
    from scipy.stats import ks_2samp

    a, b = _filled(name, shape, kwargs)
    if isinstance(a, type) or isinstance(b, type):
        return Outcome(("forward",)) if a is b else Outcome(failed=f"{a}, PyTorch: {b}")

    def compare() -> None:
        if a.shape != b.shape:
            raise MismatchError(f"shape {a.shape}, PyTorch gives {b.shape}")
        found = ks_2samp(a.ravel(), b.ravel())
        if found.pvalue < SIGNIFICANCE:
            raise MismatchError(f"not PyTorch's distribution: p = {found.pvalue:.2g}")
        if a.size > 1000 and ("uniform" in name or "trunc" in name):
            difference(np.abs(a).max(), np.abs(b).max(), 0.01, "largest magnitude")
        if name == "sparse_":
            difference((a == 0).sum(axis=0), (b == 0).sum(axis=0), 0.0, "zeros in each column")
        if name == "orthogonal_":
            m, n = (x.reshape(len(x), -1) for x in (a, b))
            wide = m.shape[0] <= m.shape[1]
            difference(m @ m.T if wide else m.T @ m, n @ n.T if wide else n.T @ n, 1e-10, "products of rows")

    return _judged(compare)


def _judged(compare: Any) -> Outcome:
    try:
        compare()
    except MismatchError as error:
        return Outcome(failed=str(error))
    return Outcome(("forward",))


def _gain(arguments: tuple[Any, ...]) -> Outcome:
    import torch

    results = []
    for f in (init.calculate_gain, torch.nn.init.calculate_gain):
        try:
            results.append(float(f(*arguments)))
        except ValueError as error:
            results.append(type(error).__name__)
    return Outcome(("forward",)) if results[0] == results[1] else Outcome(failed="{}, PyTorch: {}".format(*results))


def _fans(shape: tuple[int, ...]) -> Outcome:
    import torch

    theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))
    ours = init.fans(pb.zeros(shape))
    return Outcome(("integers",)) if ours == theirs else Outcome(failed=f"{ours}, PyTorch: {theirs}")


def _entries() -> dict[str, Entry | Absent]:
    def entry(name: str, cases: list[Case]) -> Entry:
        return Entry(f"torch.nn.init.{name}", lambda: cases)

    made: dict[str, Entry | Absent] = {}
    for name, samples in EXACT.items():
        made[name] = entry(
            name, [Case(f"{name} {shape} {kw}", functools.partial(_exact, name, shape, kw)) for shape, kw in samples]
        )
    for name, kwargs in DRAWN.items():
        shapes = [SHAPES[0], (9,)] if name == "sparse_" else [*SHAPES, (4,)] if "_normal" in name else SHAPES
        made[name] = entry(
            name,
            [
                Case(f"{name} {shape} {kw}", functools.partial(_drawn, name, shape, kw))
                for kw in kwargs
                for shape in shapes
            ],
        )
    made["calculate_gain"] = entry(
        "calculate_gain", [Case(f"calculate_gain{a}", functools.partial(_gain, a)) for a in GAINS]
    )
    made["fans"] = entry(
        "_calculate_fan_in_and_fan_out", [Case(f"fans {shape}", functools.partial(_fans, shape)) for shape in SHAPES]
    )
    for reason, names in ABSENT.items():
        made |= {name: Absent(reason) for name in names.split()}
    return dict(sorted(made.items()))


SECTION = Section("Initialisers", ABOUT, public, _entries())
