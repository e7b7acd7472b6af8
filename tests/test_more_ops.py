"""Special functions, activations, losses and what else PyTorch has by the same name: values and gradients beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.nn import functional as F

torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
TF = torch.nn.functional

RNG = np.random.default_rng(5)
Arrays = list[np.ndarray[Any, Any]]


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape)


def compare(
    ours: Callable[..., Any], theirs: Callable[..., Any], arrays: Arrays, *, rtol: float = 1e-9, second: bool = False
) -> None:
    """Values, gradients of random cotangents, and on request the gradient of the gradient's squared norm."""
    mine = [pb.tensor(a, dtype=a.dtype.name, backend="numpy", requires_grad=a.dtype.kind == "f") for a in arrays]
    other = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    outs, wants = ours(*mine), theirs(*other)
    outs, wants = (tuple(o) if isinstance(o, tuple | list) else (o,) for o in (outs, wants))
    total, wanted = 0.0, 0.0
    rng = np.random.default_rng(1)
    for out, want in zip(outs, wants, strict=True):
        np.testing.assert_allclose(out.detach().numpy(), want.detach().numpy(), rtol=rtol, atol=1e-11)
        if out.dtype.kind == "f" and want.requires_grad:
            g = rng.standard_normal(out.shape)
            total = total + (out * pb.tensor(g, dtype="float64", backend="numpy")).sum()
            wanted = wanted + (want * torch.tensor(g)).sum()
    if isinstance(total, float):
        return
    leaves = [t for t in mine if t.requires_grad]
    theirs_leaves = [t for t in other if t.requires_grad]
    grads = pb.gradients(total, leaves, create_graph=second)
    wanted_grads = torch.autograd.grad(wanted, theirs_leaves, create_graph=second)
    for g, w in zip(grads, wanted_grads, strict=True):
        np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=rtol, atol=1e-10)
    if second:
        again = pb.gradients(sum((g * g).sum() for g in grads), leaves)
        wanted_again = torch.autograd.grad(sum((w * w).sum() for w in wanted_grads), theirs_leaves)
        for g, w in zip(again, wanted_again, strict=True):
            np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=max(rtol, 1e-7), atol=1e-8)


POSITIVE = np.array([0.05, 0.4, 1.0, 2.5, 7.3, 31.0])
SPECIAL = {
    "erfc": (pb.erfc, torch.erfc, [normal(6)]),
    "erfinv": (pb.erfinv, torch.erfinv, [np.linspace(-0.95, 0.95, 7)]),
    "lgamma": (pb.lgamma, torch.lgamma, [POSITIVE]),
    "digamma": (pb.digamma, torch.digamma, [POSITIVE]),
    "polygamma": (lambda x: pb.polygamma(2, x), lambda x: torch.polygamma(2, x), [POSITIVE]),
    "logit": (pb.logit, torch.logit, [np.linspace(0.05, 0.9, 5)]),
    "logit-eps": (lambda x: pb.logit(x, 0.1), lambda x: torch.logit(x, 0.1), [np.linspace(0.05, 0.99, 5)]),
    "lerp": (pb.lerp, torch.lerp, [normal(3, 2), normal(3, 2), normal(3, 2)]),
    "lerp-number": (lambda x, y: pb.lerp(x, y, 0.7), lambda x, y: torch.lerp(x, y, 0.7), [normal(3), normal(3)]),
    "nan_to_num": (
        lambda x: pb.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0), lambda x: torch.nan_to_num(x, 1.0, 2.0, 3.0),
        [np.array([1.0, np.nan, np.inf, -np.inf])],
    ),
    "frac": (pb.frac, torch.frac, [normal(5) * 3]),
    "copysign": (lambda x: pb.copysign(x, -1.0), lambda x: torch.copysign(x, -1.0), [normal(5)]),
    "cumprod": (lambda x: pb.cumprod(x, 1), lambda x: torch.cumprod(x, 1), [normal(3, 4)]),
    "logcumsumexp": (lambda x: pb.logcumsumexp(x, 1), lambda x: torch.logcumsumexp(x, 1), [normal(3, 5)]),
    "diff": (lambda x: pb.diff(x, 2, dim=1), lambda x: torch.diff(x, 2, dim=1), [normal(3, 5)]),
    "diff-more": (
        lambda x, y: pb.diff(x, prepend=y, append=y), lambda x, y: torch.diff(x, prepend=y, append=y),
        [normal(3, 2), normal(3, 1)],
    ),
    "median": (pb.median, torch.median, [normal(4, 3)]),
    "median-axis": (lambda x: pb.median(x, 0), lambda x: torch.median(x, 0).values, [normal(4, 3)]),
    "median-nan": (lambda x: pb.median(x, 1), lambda x: torch.median(x, 1).values,
                   [np.array([[1.0, np.nan, 0.0], [3.0, 1.0, 2.0]])]),
}  # fmt: skip


LINEAR = (
    "nan_to_num", "median-nan", "frac", "copysign", "diff", "diff-more", "median", "median-axis", "lerp-number",
)  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL)
def test_special(name: str) -> None:
    ours, theirs, arrays = SPECIAL[name]
    compare(ours, theirs, arrays, second=name not in LINEAR)


KINKS = np.array([-7.0, -3.0, -1.0, -0.5, -0.2, 0.0, 0.2, 0.5, 1.0, 3.0, 6.0, 30.0])
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "celu": (1.5,), "glu": (), "hardshrink": (), "hardsigmoid": (), "hardswish": (), "hardtanh": (-0.5, 3.0),
    "mish": (), "relu6": (), "selu": (), "softshrink": (), "softsign": (), "tanhshrink": (), "threshold": (0.5, 2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    given = ACTIVATIONS[name]
    # PyTorch holds 1/6 and 1/alpha in float32
    rtol = 1e-7 if name in ("celu", "hardsigmoid") else 1e-12
    compare(lambda x: getattr(F, name)(x, *given), lambda x: getattr(TF, name)(x, *given), [KINKS], rtol=rtol)


def test_prelu() -> None:
    compare(F.prelu, TF.prelu, [normal(2, 3, 4), np.array([0.1, 0.2, -0.3])])
    compare(F.prelu, TF.prelu, [normal(5), np.array([0.25])])


SIGNS = np.array([1, -1, 1, -1])
LABELS = np.array([[1, 2, 2, 0], [3, 1, 0, 0], [4, 4, 4, 4]])
LOSSES: dict[str, tuple[dict[str, Any], Arrays]] = {
    "HingeEmbeddingLoss": ({"margin": 0.7}, [normal(4), SIGNS]),
    "MarginRankingLoss": ({"margin": 0.3}, [normal(4), normal(4), SIGNS]),
    "TripletMarginLoss": ({"swap": True}, [normal(5, 3), normal(5, 3), normal(5, 3)]),
    "CosineEmbeddingLoss": ({"margin": 0.1}, [normal(4, 3), normal(4, 3), SIGNS]),
    "GaussianNLLLoss": ({"full": True}, [normal(4, 3), normal(4, 3), np.abs(normal(4, 1))]),
    "PoissonNLLLoss": ({"full": True}, [normal(4), np.array([0.5, 1.0, 3.0, 6.0])]),
    "PairwiseDistance": ({"p": 3.0}, [normal(4, 3), normal(4, 3)]),
    "CosineSimilarity": ({}, [normal(4, 3), normal(4, 3)]),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str, reduction: str) -> None:
    params, arrays = LOSSES[name]
    if name.endswith("Loss"):
        params = {**params, "reduction": reduction}
    curved = name not in ("HingeEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss")
    compare(getattr(nn, name)(**params), getattr(torch.nn, name)(**params), arrays, second=curved)


def test_poisson_of_rates_and_gaussian_below_eps() -> None:
    rates = np.array([0.3, 1.0, 2.0])
    compare(nn.PoissonNLLLoss(log_input=False), torch.nn.PoissonNLLLoss(log_input=False), [rates, rates + 1])
    compare(nn.GaussianNLLLoss(), torch.nn.GaussianNLLLoss(), [rates, rates + 1, np.array([1e-8, 0.5, 1.0])])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("joined", [False, True])
def test_ctc(reduction: str, joined: bool) -> None:
    lengths, frames = (3, 2, 4), (7, 5, 6)
    targets = np.concatenate([row[:k] for row, k in zip(LABELS, lengths, strict=True)]) if joined else LABELS
    params = {"reduction": reduction, "zero_infinity": True}
    compare(
        lambda x, t: nn.CTCLoss(**params)(pb.log_softmax(x, axis=2), t, frames, lengths),
        lambda x, t: torch.nn.CTCLoss(**params)(x.log_softmax(2), t, frames, lengths),
        [normal(7, 3, 5), targets],
    )


def test_ctc_of_one_sequence_and_of_no_label() -> None:
    compare(
        lambda x, t: F.ctc_loss(pb.log_softmax(x, axis=1), t, (6,), (2,), reduction="none"),
        lambda x, t: TF.ctc_loss(x.log_softmax(1), t, torch.tensor(6), torch.tensor(2), reduction="none"),
        [normal(6, 4), np.array([1, 1])],
    )
    compare(
        lambda x, t: F.ctc_loss(pb.log_softmax(x, axis=2), t, (4, 3), (0, 1)),
        lambda x, t: TF.ctc_loss(x.log_softmax(2), t, (4, 3), (0, 1)),
        [normal(4, 2, 3), np.array([[1], [2]])],
    )


def test_ctc_to_second_order() -> None:
    x = pb.tensor(normal(4, 2, 3), dtype="float64", backend="numpy", requires_grad=True)
    pb.gradcheck(lambda x: F.ctc_loss(pb.log_softmax(x, axis=2), [[1, 2], [1, 1]], (4, 4), (2, 2)), [x], order=2)


def test_ctc_says_what_does_not_fit() -> None:
    x = pb.zeros(4, 2, 3)
    with pytest.raises(ValueError, match="one length for each of 2"):
        F.ctc_loss(x, [[1], [2]], (4,), (1, 1))
    with pytest.raises(ValueError, match="do not hold"):
        F.ctc_loss(x, [[1], [2]], (4, 4), (1, 2))


def _cosines(a: Any, b: Any) -> Any:
    return TF.normalize(a, dim=-1) @ TF.normalize(b, dim=-1).mT


def test_info_nce() -> None:
    a, b, keys = normal(4, 3), normal(4, 3), normal(5, 3)
    compare(
        nn.InfoNCELoss(0.2), lambda a, b: TF.cross_entropy(_cosines(a, b) / 0.2, torch.arange(4)), [a, b], second=True
    )

    def shared(a: Any, b: Any, keys: Any) -> Any:
        own = TF.cosine_similarity(a, b)[:, None]
        return TF.cross_entropy(torch.cat([own, _cosines(a, keys)], 1) / 0.1, torch.zeros(4, dtype=torch.int64))

    compare(nn.InfoNCELoss(), shared, [a, b, keys])
    compare(
        lambda a, b, k: F.info_nce(a, b, pb.broadcast_to(pb.reshape(k, (1, 5, 3)), (4, 5, 3))), shared, [a, b, keys]
    )


def test_nt_xent() -> None:
    def theirs(a: Any, b: Any) -> Any:
        z = torch.cat([a, b])
        logits = (_cosines(z, z) / 0.5).masked_fill(torch.eye(8, dtype=torch.bool), -torch.inf)
        return TF.cross_entropy(logits, torch.arange(8).roll(4))

    compare(nn.NTXentLoss(), theirs, [normal(4, 3), normal(4, 3)])


# ------------------------------------------------------------------ decompositions


def _regular(*shape: int) -> np.ndarray[Any, Any]:
    return normal(*shape) * 0.3 + np.eye(shape[-2], shape[-1]) * (2.0 + np.arange(shape[-1]))


def _both(x: Any) -> Any:
    return x + x.mT


LINALG: dict[str, tuple[Any, Any, Arrays]] = {
    "inv": (pb.inv, torch.linalg.inv, [_regular(2, 3, 3)]),
    "det": (pb.det, torch.linalg.det, [_regular(2, 3, 3)]),
    "slogdet": (lambda x: pb.slogdet(x)[1], lambda x: torch.linalg.slogdet(x)[1], [_regular(2, 3, 3)]),
    "solve": (pb.solve, torch.linalg.solve, [_regular(2, 3, 3), normal(2, 3, 2)]),
    "solve-vector": (pb.solve, torch.linalg.solve, [_regular(2, 3, 3), normal(2, 3)]),
    "solve-shared": (pb.solve, torch.linalg.solve, [_regular(3, 3), normal(3)]),
    "cholesky": (lambda x: pb.cholesky(_both(x)), lambda x: torch.linalg.cholesky(_both(x)), [_regular(2, 3, 3)]),
    "qr": (pb.qr, torch.linalg.qr, [_regular(2, 4, 3)]),
    "qr-wide": (pb.qr, torch.linalg.qr, [_regular(3, 4)]),
    "pinv": (pb.pinv, torch.linalg.pinv, [_regular(2, 4, 3)]),
    "eigvalsh": (lambda x: pb.eigvalsh(_both(x)), lambda x: torch.linalg.eigvalsh(_both(x)), [_regular(2, 3, 3)]),
    "eigenvectors": (
        lambda x: pb.eigh(_both(x))[1] ** 2, lambda x: torch.linalg.eigh(_both(x))[1] ** 2, [_regular(2, 3, 3)],
    ),
    "svdvals": (pb.svdvals, torch.linalg.svdvals, [_regular(2, 4, 3)]),
    "svd": (
        lambda x: tuple(part**2 for part in pb.svd(x)),
        lambda x: tuple(part**2 for part in torch.linalg.svd(x, full_matrices=False)), [_regular(2, 4, 3)],
    ),
    "svd-wide": (
        lambda x: tuple(part**2 for part in pb.svd(x)),
        lambda x: tuple(part**2 for part in torch.linalg.svd(x, full_matrices=False)), [_regular(2, 3)],
    ),
    "matrix_power": (lambda x: pb.matrix_power(x, 5), lambda x: torch.matrix_power(x, 5), [_regular(2, 2, 2)]),
    "matrix_power-inverse": (lambda x: pb.matrix_power(x, -2), lambda x: torch.matrix_power(x, -2), [_regular(3, 3)]),
    "cross": (pb.cross, torch.linalg.cross, [normal(4, 3), normal(1, 3)]),
}  # fmt: skip


@pytest.mark.parametrize("name", LINALG)
def test_decomposition(name: str) -> None:
    compare(*LINALG[name], rtol=1e-8, second=True)


def test_the_identity_as_a_power() -> None:
    assert np.array_equal(pb.matrix_power(pb.ones(2, 3, 3), 0).numpy(), np.broadcast_to(np.eye(3), (2, 3, 3)))


def test_equal_eigenvalues_do_no_harm_to_what_does_not_depend_on_the_choice() -> None:
    x = pb.tensor(np.eye(3), dtype="float64", requires_grad=True)
    w, v = pb.eigh(x)
    ((v * pb.reshape(w, (1, 3))) @ v.mT)[0, 0].backward()
    np.testing.assert_allclose(x.grad.numpy(), np.diag([1.0, 0.0, 0.0]), atol=1e-12)


def test_matrices_of_the_wrong_shape_are_refused() -> None:
    for fn in (pb.inv, pb.det, pb.slogdet, pb.cholesky, pb.eigh, lambda x: pb.matrix_power(x, 2)):
        with pytest.raises(ValueError, match=r"\(2, 3\)"):
            fn(pb.ones(2, 3))


# ------------------------------------------------------------------ grids, places, groups, windows

TIMES_3 = np.array([[0, 2, 2, 1], [1, 1, 1, 1], [2, 0, 0, 2]])


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_meshgrid(indexing: str) -> None:
    compare(
        lambda *xs: pb.meshgrid(*xs, indexing=indexing), lambda *xs: torch.meshgrid(*xs, indexing=indexing),
        [normal(2), normal(3), normal(4)],
    )  # fmt: skip


@pytest.mark.parametrize("right", [False, True])
def test_searchsorted(right: bool) -> None:
    edges, values = np.array([1.0, 2.0, 2.0, 5.0]), np.array([[0.0, 2.0], [5.0, 9.0]])
    compare(
        lambda x, v: pb.searchsorted(x, v, right=right), lambda x, v: torch.searchsorted(x, v, right=right),
        [edges, values],
    )  # fmt: skip
    compare(
        lambda x, v: pb.searchsorted(x, v, right=right), lambda x, v: torch.searchsorted(x, v, right=right),
        [np.stack([edges, edges + 1]), values],
    )  # fmt: skip
    assert pb.bucketize(pb.tensor(2.0), pb.tensor(edges, dtype="float32"), right=right).item() == (3 if right else 1)


@pytest.mark.parametrize("x", [TIMES_3, np.array([2.0, -1.0, 2.0]), np.array([True, False, True]), np.zeros(0)])
def test_unique(x: np.ndarray[Any, Any]) -> None:
    options = {"return_inverse": True, "return_counts": True}
    ours, theirs = pb.tensor(x, dtype=x.dtype.name), torch.tensor(x)
    for mine, want in (
        (pb.unique(ours, **options), torch.unique(theirs, **options)),
        (pb.unique_consecutive(ours, **options), torch.unique_consecutive(theirs, **options)),
    ):
        for a, b in zip(mine, want, strict=True):
            assert np.array_equal(a.numpy(), b.numpy())
    assert np.array_equal(pb.unique(ours).numpy(), torch.unique(theirs).numpy())


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(reduce: str, include_self: bool) -> None:
    x, src = normal(3, 5), normal(3, 4)
    for axis, values in ((1, src), (0, src), (1, np.round(src))):  # the last with ties, and with zeros for products
        if reduce == "prod" and values is not src:
            values = values + 0.25
        compare(
            lambda x, i, s, a=axis: pb.scatter_reduce(x, a, i, s, reduce, include_self=include_self),
            lambda x, i, s, a=axis: x.scatter_reduce(a, i, s, reduce, include_self=include_self),
            [x, TIMES_3, values],
        )


def test_the_slope_of_a_scattered_product_at_zero() -> None:
    x = pb.tensor([[0.0, 3.0]], dtype="float64", requires_grad=True)
    src = pb.tensor([[2.0, 0.0, 5.0]], dtype="float64", requires_grad=True)
    index = pb.tensor([[0, 1, 1]])
    pb.gradcheck(lambda x, s: pb.scatter_reduce(x, 1, index, s, "prod"), [x, src], order=2)


def test_scatter_reduce_of_integers() -> None:
    x, src = np.arange(15).reshape(3, 5), TIMES_3 + 7
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        compare(
            lambda x, i, s, r=reduce: pb.scatter_reduce(x, 1, i, s, r),
            lambda x, i, s, r=reduce: x.scatter_reduce(1, i, s, r),
            [x, TIMES_3, src],
        )


WINDOWS = [
    {"kernel_size": (2, 3)},
    {"kernel_size": 2, "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)},
]


@pytest.mark.parametrize("options", WINDOWS, ids=["plain", "options"])
def test_unfold_and_fold(options: dict[str, Any]) -> None:
    x = normal(2, 3, 4, 5)
    compare(nn.Unfold(**options), torch.nn.Unfold(**options), [x])
    columns = torch.nn.Unfold(**options)(torch.tensor(x)).numpy()
    compare(nn.Fold((4, 5), **options), torch.nn.Fold((4, 5), **options), [columns])
    compare(nn.Fold((4, 5), **options), torch.nn.Fold((4, 5), **options), [columns[0]])


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="no block"):
        F.unfold(pb.ones(1, 1, 2, 2), 3)
    with pytest.raises(ValueError, match="columns"):
        F.fold(pb.ones(1, 4, 5), (3, 3), 2)


def test_distinct_rows() -> None:
    x = np.array([[1, 2], [0, 5], [1, 2], [0, 4], [0, 5]])
    values, inverse, counts = pb.unique(pb.tensor(x), return_inverse=True, return_counts=True, dim=0)
    wanted = np.unique(x, axis=0, return_inverse=True, return_counts=True)
    for ours, theirs in zip((values, inverse, counts), wanted, strict=True):
        assert np.array_equal(ours.numpy(), theirs.reshape(ours.shape))
    assert pb.unique(pb.tensor(x.T), dim=-1).tolist() == wanted[0].T.tolist()
    runs, counts = pb.unique_consecutive(pb.tensor([[1, 2], [1, 2], [0, 0], [1, 2]]), return_counts=True, dim=0)
    assert runs.tolist() == [[1, 2], [0, 0], [1, 2]] and counts.tolist() == [2, 1, 1]


def test_places_in_a_sequence_that_a_sorter_sorts() -> None:
    x = pb.tensor([3.0, 1.0, 2.0])
    places = pb.searchsorted(x, pb.tensor([2.5]), sorter=pb.argsort(x), out_int32=True)
    assert places.tolist() == [2] and places.dtype == pb.int32


def test_nonzero_in_both_forms() -> None:
    x = pb.tensor([[0, 1], [2, 0]])
    assert [i.tolist() for i in pb.nonzero(x)] == [[0, 1], [1, 0]]
    assert x.nonzero(as_tuple=False).tolist() == [[0, 1], [1, 0]]
    assert pb.nonzero(pb.tensor(3), as_tuple=False).shape == (1, 0)
    assert [i.tolist() for i in pb.nonzero(pb.tensor(3))] == [[0]]


def test_integer_ranges_truncate_their_ends_first() -> None:
    assert pb.arange(-0.9, 2.1, 2.0, dtype="int64").tolist() == torch.arange(-0.9, 2.1, 2.0, dtype=torch.int64).tolist()
    with pytest.raises(ValueError, match="step"):
        pb.arange(0, 2, 0.5, dtype="int64")
