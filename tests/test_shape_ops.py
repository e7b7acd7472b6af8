"""Functions composed of shape, product and creation ops: values against NumPy, gradients of both orders."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.autograd.gradcheck import gradcheck

CASES = {
    "flatten": (lambda x: pb.flatten(x, 1), lambda x: x.reshape(2, 12), [(2, 3, 4)]),
    "transpose": (lambda x: pb.transpose(x), lambda x: x.T, [(2, 3, 4)]),
    "transpose-swap": (lambda x: x.transpose(0, -1), lambda x: x.swapaxes(0, 2), [(2, 3, 4)]),
    "transpose-permute": (lambda x: x.transpose((2, 0, 1)), lambda x: x.transpose(2, 0, 1), [(2, 3, 4)]),
    "moveaxis": (lambda x: pb.moveaxis(x, (0, 1), (-1, 0)), lambda x: np.moveaxis(x, (0, 1), (-1, 0)), [(2, 3, 4)]),
    "squeeze": (lambda x: pb.squeeze(x), lambda x: x.squeeze(), [(1, 3, 1)]),
    "squeeze-dim": (lambda x: x.squeeze(dim=-1), lambda x: x.squeeze(-1), [(1, 3, 1)]),
    "unsqueeze": (lambda x: pb.unsqueeze(x, (0, -1)), lambda x: x[None, ..., None], [(3, 2)]),
    "expand": (lambda x: x.expand(2, -1, 4), lambda x: np.broadcast_to(x, (2, 3, 4)), [(3, 1)]),
    "tile": (lambda x: pb.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), [(2, 3)]),
    "tile-short": (lambda x: pb.tile(x, 2), lambda x: np.tile(x, 2), [(2, 3)]),
    "repeat_interleave": (lambda x: pb.repeat_interleave(x, 2, axis=1), lambda x: np.repeat(x, 2, 1), [(2, 3)]),
    "repeat_interleave-list": (lambda x: x.repeat_interleave([2, 0, 1]), lambda x: np.repeat(x, [2, 0, 1]), [(3,)]),
    "roll-flat": (lambda x: pb.roll(x, 2), lambda x: np.roll(x, 2), [(2, 3)]),
    "diagonal": (lambda x: pb.diagonal(x, 1, 2, 0), lambda x: np.diagonal(x, 1, 2, 0), [(3, 2, 4)]),
    "diagonal-low": (lambda x: pb.diagonal(x, -2), lambda x: np.diagonal(x, -2), [(4, 3)]),
    "diagonal-outside": (lambda x: pb.diagonal(x, 5), lambda x: np.diagonal(x, 5), [(4, 3)]),
    "diag_embed": (lambda x: pb.diag_embed(x, -1), lambda x: np.diag(x, -1), [(3,)]),
    "trace": (lambda x: pb.trace(x), lambda x: np.trace(x), [(3, 4)]),
    "pad-crop": (lambda x: pb.pad(x, ((-1, 2), (0, -1))), lambda x: np.pad(x[1:, :-1], ((0, 2), (0, 0))), [(3, 4)]),
    "pad-reflect": (lambda x: pb.pad(x, (2, 1), "reflect"), lambda x: np.pad(x, (2, 1), "reflect"), [(3, 4)]),
    "pad-edge": (lambda x: pb.pad(x, 2, "replicate"), lambda x: np.pad(x, 2, "edge"), [(3, 4)]),
    "pad-wrap": (lambda x: pb.pad(x, (1, 3), "circular"), lambda x: np.pad(x, (1, 3), "wrap"), [(3, 4)]),
    "take-flat": (lambda x: pb.take(x, [[0, -1]]), lambda x: np.take(x, [[0, -1]]), [(2, 3)]),
    "sort": (lambda x: pb.sort(x, 0, descending=True)[0], lambda x: -np.sort(-x, 0), [(4, 3)]),
    "topk": (lambda x: pb.topk(x, 2)[0], lambda x: -np.sort(-x)[:, :2], [(3, 4)]),
    "masked_fill": (
        lambda x: x.masked_fill(np.eye(3, dtype=bool), 7.0), lambda x: np.where(np.eye(3) > 0, 7.0, x), [(3, 3)],
    ),
    "masked_select": (lambda x: x.masked_select(pb.full_like(x, 1.0) > x), lambda x: x[x < 1.0], [(3, 3)]),
    "scatter": (
        lambda x, v: pb.scatter(x, [[0, 0, 2]], v, axis=0), lambda x, v: _scatter(x, v), [(3, 4), (1, 3)],
    ),
    "take_along_axis": (
        lambda x: pb.take_along_axis(x, np.array([[2, 0]]), 1), lambda x: x[:, [2, 0]], [(3, 4)],
    ),
    "tensordot": (lambda x, y: pb.tensordot(x, y, 2), lambda x, y: np.tensordot(x, y, 2), [(2, 3, 4), (3, 4, 5)]),
    "tensordot-axes": (
        lambda x, y: pb.tensordot(x, y, ([0, -1], [2, 0])), lambda x, y: np.tensordot(x, y, ([0, -1], [2, 0])),
        [(2, 3, 4), (4, 5, 2)],
    ),
    "outer": (lambda x, y: pb.outer(x, y), np.outer, [(3,), (2, 2)]),
    "inner": (lambda x, y: pb.inner(x, y), np.inner, [(2, 3), (4, 3)]),
    "dot": (lambda x, y: x.dot(y), np.dot, [(2, 3), (4, 3, 2)]),
    "vdot": (lambda x, y: pb.vdot(x, y), np.vdot, [(2, 3), (3, 2)]),
    "vecdot": (lambda x, y: pb.vecdot(x, y, 0), lambda x, y: (x * y).sum(0), [(3, 2), (3, 1)]),
    "kron": (lambda x, y: pb.kron(x, y), np.kron, [(2, 3), (4, 2)]),
    "squeeze-some": (lambda x: pb.squeeze(x, (0, 1)), lambda x: x.squeeze(0), [(1, 3, 1)]),
    "diagonal-dims": (lambda x: x.diagonal(1, dim1=2, dim2=0), lambda x: np.diagonal(x, 1, 2, 0), [(3, 2, 4)]),
    "diag_embed-dims": (
        lambda x: pb.diag_embed(x, 0, 0, 2), lambda x: np.stack([np.diag(r) for r in x], 1), [(2, 3)],
    ),
    "index_add-alpha": (
        lambda x, v: pb.index_add(x, 0, [1, 1], v, alpha=2.0), lambda x, v: x + 2 * np.stack([0 * v[0], v[0] + v[1]]),
        [(2, 3), (2, 3)],
    ),
    "round-decimals": (lambda x: pb.round(x, 1), lambda x: np.round(x, 1), [(3,)]),
    "round-tens": (lambda x: (100 * x).round(decimals=-1), lambda x: np.round(100 * x, -1), [(3,)]),
    "std-biased": (lambda x: pb.std(x, False), np.std, [(3, 2)]),
    "softmax-0d": (lambda x: pb.softmax(x, 0), lambda x: np.ones(()), [()]),
    "sort-0d": (lambda x: pb.sort(x)[0], lambda x: x, [()]),
    "topk-0d": (lambda x: x.topk(1)[0], lambda x: x, [()]),
    "gather-0d": (lambda x: pb.gather(x, 0, np.array([0, 0])), lambda x: np.full(2, x), [()]),
    "scatter-0d": (lambda x, v: pb.scatter(x, 0, np.array(0), v), lambda x, v: v, [(), ()]),
    "scatter_add-0d": (lambda x, v: pb.scatter_add(x, 0, np.array(0), v), lambda x, v: x + v, [(), ()]),
    "index_select-0d": (lambda x: pb.index_select(x, 0, [0]), lambda x: x, [()]),
    "scatter-number": (lambda x: pb.scatter(x, 0, np.array([[1, 1]]), 2), lambda x: _with(x, 2.0), [(2, 2)]),
    "cholesky-upper": (
        lambda x: pb.cholesky(x @ x.mT + 2 * np.eye(3), upper=True),
        lambda x: np.linalg.cholesky(x @ x.T + 2 * np.eye(3)).T, [(3, 3)],
    ),
    "eigvalsh-upper": (
        lambda x: pb.eigvalsh(x, "U"), lambda x: np.linalg.eigvalsh(x, "U"), [(3, 3)],
    ),
    "svd-full": (lambda x: pb.svd(x, full_matrices=True)[2][:2] ** 2, lambda x: np.linalg.svd(x)[2][:2] ** 2, [(2, 3)]),
}  # fmt: skip


def _scatter(x, v):
    out = x.copy()
    out[[0, 0, 2], [0, 1, 2]] = v[0]
    return out


def _with(x, value):
    x = x.copy()
    x[1] = value
    return x


@pytest.mark.parametrize("backend", ["numpy", "strict"])
@pytest.mark.parametrize("name", CASES)
def test_composed_functions(name, backend):
    function, reference, shapes = CASES[name]
    rng = np.random.default_rng(3)
    arrays = [rng.permutation(int(np.prod(s))).reshape(s) * 0.3 - 1.0 for s in shapes]
    tensors = [pb.Tensor(a, backend=backend, requires_grad=True) for a in arrays]
    np.testing.assert_allclose(function(*tensors).numpy(), reference(*arrays), rtol=1e-12, atol=1e-12)
    gradcheck(function, tensors, order=2)


EQUATIONS = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "ba": [(2, 3)],
    "ii": [(3, 3)],
    "ii->i": [(3, 3)],
    "iij->ji": [(3, 3, 2)],
    "ijij,jk->k": [(2, 3, 2, 3), (3, 2)],
    "...ij,...jk->...ik": [(2, 1, 2, 3), (4, 3, 2)],
    "i...,...": [(2, 3), (3,)],
    "b...->...": [(2, 3, 4)],
    "bhqd,bhkd->bhqk": [(2, 2, 3, 4), (2, 2, 3, 4)],
    "ij,jk,kl,lm->im": [(2, 3), (3, 4), (4, 2), (2, 3)],
    "i,j,k->kji": [(2,), (3,), (2,)],
    "ij,ij,ij->": [(2, 3), (2, 3), (2, 3)],
    "ab,bc,cd,bd->ac": [(2, 3), (3, 2), (2, 4), (3, 4)],
    "ij,jk->": [(2, 3), (3, 4)],
    "ij,kj->ik": [(2, 1), (3, 4)],
    "i,->i": [(3,), ()],
    ",": [(), ()],
    "ij,jk->k": [(0, 3), (3, 2)],
    "ij,jk->ik ": [(2, 0), (0, 3)],
    "ijk": [(2, 0, 3)],
}


@pytest.mark.parametrize("backend", ["numpy", "strict"])
@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation, backend):
    rng = np.random.default_rng(4)
    arrays = [rng.standard_normal(s) for s in EQUATIONS[equation]]
    tensors = [pb.Tensor(a, backend=backend, requires_grad=True) for a in arrays]
    want = np.einsum(equation, *arrays)
    got = pb.einsum(equation, *tensors)
    assert got.shape == want.shape
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)
    gradcheck(lambda *xs: pb.einsum(equation, *xs), tensors, order=2)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: pb.einsum("ij,jk->ik", x), lambda x: pb.einsum("ij->k", x), lambda x: pb.einsum("ijk->i", x),
        lambda x: pb.einsum("ij,ij->i", x, x.T), lambda x: pb.einsum("ii", x), lambda x: pb.einsum("i1->i", x),
        lambda x: pb.einsum("ij->ii", x), lambda x: pb.tensordot(x, x, 1), lambda x: pb.vdot(x, pb.ones(5)),
        lambda x: pb.split(x, 2), lambda x: pb.split(x, [1, 1], dim=0),
        lambda x: x.permute(0),
        lambda x: pb.flip(x, (0, 0)), lambda x: pb.flip(x, 2), lambda x: pb.concatenate([]),
        lambda x: x.expand(2, 3, 5),
        lambda x: pb.pad(x, 3, "reflect"), lambda x: pb.pad(x, 1, "mirror"), lambda x: x.reshape(4),
        lambda x: pb.stack([x, pb.ones(2)]), lambda x: pb.topk(x, 9), lambda x: pb.full((2,), 1.0) @ x,
        lambda x: x[0].mT,
        lambda x: pb.index_add(x, [0], pb.ones(2, 4), 0), lambda x: pb.gather(x, [0], 0),
    ],
)  # fmt: skip
def test_wrong_arguments_are_value_errors(call):
    with pytest.raises(ValueError):
        call(pb.ones(3, 4))


def test_split_means_numpys_with_axis_and_pytorchs_with_dim():
    x = pb.arange(7)
    assert [len(p) for p in x.split([2, 3])] == [2, 1, 4]
    assert [len(p) for p in x.split([2, 5], dim=0)] == [2, 5]
    assert [len(p) for p in x.split(3, dim=0)] == [3, 3, 1]
    assert [len(p) for p in x[:6].split(3)] == [2, 2, 2]
    assert [len(p) for p in x.chunk(3)] == [3, 3, 1]
    assert [p.tolist() for p in pb.unbind(x[:2])] == [0, 1]


def test_pytorchs_order_of_arguments():
    x, i = pb.Tensor(np.arange(6.0).reshape(2, 3)), np.array([[2, 0]])
    assert x.gather(1, i).tolist() == pb.gather(x, i, axis=1).tolist() == pb.gather(x, 1, i).tolist() == [[2, 0]]
    assert x.index_select(1, [2]).tolist() == pb.take(x, [2], axis=1).tolist() == [[2], [5]]
    assert x.scatter_add(1, i, pb.ones(1, 2)).tolist() == [[1, 1, 3], [3, 4, 5]]
    assert x.index_add(0, [1], pb.ones(1, 3)).tolist() == [[0, 1, 2], [4, 5, 6]]
    assert x.scatter(0, np.array([[1]]), 9.0).tolist() == [[0, 1, 2], [9, 4, 5]]
    assert pb.cat([x, x], dim=1).shape == (2, 6)
    assert pb.concatenate(x, x, axis=0).shape == (4, 3)
    assert pb.one_hot(pb.Tensor([1, 0]), 3).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_creation():
    assert pb.zeros(2, 3).shape == pb.ones((2, 3)).shape == pb.empty([2, 3]).shape == (2, 3)
    assert pb.full((2,), 3).dtype == np.int64
    assert pb.full((), 1.5).dtype == np.float32
    assert pb.arange(2, 8, 3).tolist() == [2, 5]
    assert pb.arange(1.5).dtype == np.float32
    assert pb.eye(2, 3, 1).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert pb.linspace(0, 1, 3, dtype="float64").tolist() == [0, 0.5, 1]
    assert pb.ones_like(pb.zeros(2), dtype="int64").dtype == np.int64
    assert pb.zeros(1, backend="strict").backend.name == "strict"
    assert pb.tensor([1.0], requires_grad=True).requires_grad
    a = np.ones(2)
    kept, copied = pb.asarray(a), pb.tensor(a)
    a[0] = 5
    assert kept.tolist() == [5, 1]
    assert copied.tolist() == [1, 1]
    assert pb.asarray(kept) is kept
    with pytest.raises(ValueError, match="step"):
        pb.arange(0, 1, 0)


def test_dlpack_shares_constants_and_copies_what_is_in_a_graph():
    x = pb.Tensor(np.arange(3.0))
    assert np.shares_memory(np.from_dlpack(x), x.numpy())
    for guarded in (pb.Parameter(np.ones(3)), pb.ones(3, requires_grad=True) * 2, pb.ones(1).expand(3)):
        out = np.from_dlpack(guarded)
        assert np.array_equal(out, guarded.detach().numpy())
        with pytest.raises(BufferError):
            np.from_dlpack(guarded, copy=False)
    a = np.arange(3)
    assert np.shares_memory(pb.from_dlpack(a).numpy(), a)
    with pytest.raises(TypeError, match="DLPack"):
        pb.from_dlpack(3)


def test_dlpack_with_torch():
    torch = pytest.importorskip("torch")
    x = pb.from_dlpack(torch.arange(3.0))
    assert x.tolist() == torch.from_dlpack(x).tolist() == [0, 1, 2]
    p = pb.Parameter([1.0, 2.0])
    torch.from_dlpack(p).add_(1)
    assert p.tolist() == [1, 2]
    with pytest.raises(TypeError, match="complex"):
        pb.from_dlpack(torch.zeros(2, dtype=torch.complex64))


def test_moving_between_backends_differentiates_twice():
    x = pb.Tensor(np.arange(1.0, 4.0), requires_grad=True, backend="numpy")
    y = x.to("strict")
    assert y.backend.name == "strict"
    assert x.to("numpy") is x
    gradcheck(lambda x: (x.to("strict") ** 3).to("numpy") * x, [x], order=2)
    (y * y).sum().backward()
    assert x.grad.backend.name == "numpy"
    assert x.grad.tolist() == [2, 4, 6]
