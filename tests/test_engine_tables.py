"""Gradients of a table whose rows a recurrent layer reads: the same, by whatever way backward finds them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.autograd import ops
from pullback.nn import functional as F

ROWS, WIDTH, HIDDEN, STEPS, SAMPLES = 7, 5, 9, 6, 9
CELLS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "numba":
        pytest.importorskip("numba")
    with pb.backend(request.param):
        yield request.param


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Which backward passes ran."""
    from pullback.autograd.primitive import primitives

    found: Counter[str] = Counter()

    def counted(prim: Any) -> Any:
        def call(*args: Any, **params: Any) -> Any:
            found["table" if "table" in prim.name else "x"] += 1
            return prim(*args, **params)

        return call

    for cell in ("lstm", "gru", "rnn"):
        module = primitives[f"{cell}_grad"].__wrapped__.__globals__
        for name in (f"{cell}_grad", f"{cell}_table_grad"):
            monkeypatch.setitem(module, name, counted(primitives[name]))
    return found


def model(cell: str = "LSTM", **options: Any) -> tuple[Any, Any, list[pb.Parameter]]:
    pb.manual_seed(3)
    embed = nn.Embedding(ROWS, WIDTH, dtype="float64")
    layer = CELLS[cell](WIDTH, HIDDEN, dtype="float64", **options)
    return embed, layer, [*embed.parameters(), *layer.parameters()]


def indices(*shape: int, seed: int = 0) -> pb.Tensor:
    return pb.tensor(np.random.default_rng(seed).integers(-ROWS, ROWS, shape))


def gradients(loss: pb.Tensor, parameters: list[pb.Parameter]) -> list[np.ndarray]:
    return [g.numpy() for g in pb.gradients(loss, parameters)]


def hooked(x: pb.Tensor) -> pb.Tensor:
    """x, whose own cotangent is now wanted."""
    x.register_hook(lambda g: None)
    return x


def close(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_sums_before_the_product_are_sums_after_it(cell, batch_first, bidirectional, calls):
    embed, layer, parameters = model(cell, batch_first=batch_first, bidirectional=bidirectional, num_layers=2)
    index = indices(SAMPLES, STEPS) if batch_first else indices(STEPS, SAMPLES)

    def loss(x: pb.Tensor) -> pb.Tensor:
        y, state = layer(x)
        return (y * y).sum() + sum((s**2).sum() for s in (state if cell == "LSTM" else [state]))

    found = gradients(loss(embed(index)), parameters)
    assert calls == {"table": 1 + bidirectional, "x": 1 + bidirectional}  # the second layer reads no table
    calls.clear()
    close(found, gradients(loss(hooked(embed(index))), parameters))
    assert calls == {"x": 2 + 2 * bidirectional}


CHAINS = {
    "taken again": lambda x: ops.take(x, [3, 0, 3, 1], axis=0),
    "samples taken": lambda x: ops.take(x, [[8, 0, 3], [1, 1, 2]], axis=1).reshape(STEPS, 6, WIDTH),
    "reshaped": lambda x: x.reshape(STEPS * SAMPLES // 2, 2, WIDTH),
    "turned": lambda x: x.flip(0, 1).swapaxes(0, 1),
}
BROKEN = {
    "features turned": lambda x: x.flip(2),
    "features mixed": lambda x: x.reshape(STEPS, WIDTH, SAMPLES).swapaxes(1, 2),
    "features taken": lambda x: ops.take(x, [4, 0, 0, 1, 2], axis=2),
    "computed": lambda x: x * 2.0,
}


@pytest.mark.parametrize("name", [*CHAINS, *BROKEN])
def test_rows_that_were_moved(name, calls):
    embed, layer, parameters = model()
    index, move = indices(STEPS, SAMPLES), (CHAINS | BROKEN)[name]
    found = gradients((layer(move(embed(index)))[0] ** 2).sum(), parameters)
    assert calls == {"table" if name in CHAINS else "x": 1}
    close(found, gradients((layer(move(hooked(embed(index))))[0] ** 2).sum(), parameters))


def test_whoever_wants_the_cotangents_of_the_rows_gets_them(calls):
    embed, layer, parameters = model()
    index = indices(STEPS, SAMPLES)
    wanted = gradients((layer(embed(index))[0] ** 2).sum(), parameters)
    calls.clear()

    x = embed(index)
    close(gradients((layer(x)[0] ** 2).sum(), [x, *parameters])[1:], wanted)
    x = embed(index)
    x.retain_grad()
    (layer(x)[0] ** 2).sum().backward()
    close([p.grad.numpy() for p in parameters], wanted)
    by_row = np.zeros((ROWS, WIDTH))
    np.add.at(by_row, index.numpy(), x.grad.numpy())
    np.testing.assert_allclose(by_row, wanted[0])
    x = embed(index)
    x.register_hook(lambda g: 2.0 * g)
    np.testing.assert_allclose(gradients((layer(x)[0] ** 2).sum(), parameters)[0], 2.0 * wanted[0])
    with pb.detect_anomaly():
        close(gradients((layer(embed(index))[0] ** 2).sum(), parameters), wanted)
    assert calls == {"x": 4}
    with hooked(embed(index)).register_hook(lambda g: None):
        pass
    x = embed(index)
    x.register_hook(lambda g: 2.0 * g).remove()
    close(gradients((layer(x)[0] ** 2).sum(), parameters), wanted)
    assert calls["table"] == 1


def test_other_uses_of_the_rows_and_of_the_table(calls):
    embed, layer, parameters = model()
    index = indices(STEPS, SAMPLES)

    def loss(rows: Any) -> pb.Tensor:
        x = rows(embed(index))
        y = layer(x)[0]
        z = layer(rows(embed(indices(STEPS, SAMPLES, seed=1))))[0]
        return (y * z).sum() + (x**3).sum() + (y[..., :WIDTH] @ embed.weight.mT).exp().sum()

    found = gradients(loss(lambda x: x), parameters)
    assert calls == {"table": 2}
    close(found, gradients(loss(hooked), parameters))


def test_what_is_frozen(calls):
    embed, layer, parameters = model()
    index = indices(STEPS, SAMPLES)
    wanted = gradients((layer(embed(index))[0] ** 2).sum(), parameters)
    layer.requires_grad_(False)
    close(gradients((layer(embed(index))[0] ** 2).sum(), parameters[:1]), wanted[:1])
    assert calls == {"table": 2}
    layer.requires_grad_(True)
    close(gradients((layer(embed(index))[0] ** 2).sum(), parameters[1:]), wanted[1:])
    embed.requires_grad_(False)
    close(gradients((layer(embed(index))[0] ** 2).sum(), parameters[1:]), wanted[1:])
    assert calls == {"table": 2, "x": 2}


def test_a_table_larger_than_the_text_is_left_alone(calls):
    embed, layer, parameters = model()
    index = indices(2, 3)
    found = gradients((layer(embed(index))[0] ** 2).sum(), parameters)
    assert calls == {"x": 1}
    close(found, gradients((layer(hooked(embed(index)))[0] ** 2).sum(), parameters))


@pytest.mark.parametrize("option", [{"padding_idx": 2}, {"scale_grad_by_freq": True}], ids=str)
def test_options_of_the_embedding(option):
    _, layer, _ = model()
    table, index = pb.Parameter(np.random.default_rng(0).standard_normal((ROWS, WIDTH))), indices(STEPS, SAMPLES) % ROWS
    (found,) = gradients((layer(F.embedding(index, table, **option))[0] ** 2).sum(), [table])
    x = ops.take(table, index, axis=0)
    (dx,) = gradients((layer(x)[0] ** 2).sum(), [x])
    wanted, number = np.zeros((ROWS, WIDTH)), index.numpy()
    np.add.at(wanted, number, dx)
    if "padding_idx" in option:
        wanted[2] = 0.0
    else:
        wanted /= np.bincount(number.reshape(-1))[:, None]
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_higher_orders(cell, calls):
    rng = np.random.default_rng(0)
    gates, states = {"LSTM": (4, 2), "GRU": (3, 1), "RNN": (1, 1)}[cell]
    op, index = getattr(ops, cell.lower()), pb.tensor(rng.integers(0, 2, (3, 3)))
    arrays = [rng.standard_normal(s) for s in [(2, 2), *[(3, 2)] * states, (gates * 2, 2), (gates * 2, 2)]]

    def read(table: pb.Tensor, *rest: pb.Tensor) -> pb.Tensor:
        return op(ops.take(table, index, axis=0), *rest)[0]

    assert pb.gradcheck(read, arrays, order=2)
    assert calls["table"] > 0

    def thrice(rows: Any) -> list[np.ndarray]:
        leaves = [pb.tensor(a, requires_grad=True) for a in arrays]
        g = (op(rows(ops.take(leaves[0], index, axis=0)), *leaves[1:])[0] ** 3).sum()
        for _ in range(2):
            g = sum((c * c).sum() for c in pb.gradients(g, leaves, create_graph=True))
        return gradients(g, leaves)

    for a, b in zip(thrice(lambda x: x), thrice(hooked), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8)


def test_per_sample_gradients():
    embed, layer, _ = model()
    index = indices(3, 30)

    def loss(table: pb.Tensor, one: pb.Tensor) -> pb.Tensor:
        return (layer(ops.take(table, one, axis=0).reshape(30, 1, WIDTH))[0] ** 2).sum()

    found = pb.vmap(pb.grad(loss), in_axes=(None, 0))(embed.weight, index)
    for one, g in zip(index, found, strict=True):
        np.testing.assert_allclose(g.numpy(), pb.grad(loss)(embed.weight, one).numpy(), rtol=1e-10)
    whole = pb.jacrev(lambda table: layer(ops.take(table, index[:, :9], axis=0))[0][-1, -1, :3])(embed.weight)
    y = layer(embed(index[:, :9]))[0][-1, -1, :3]
    for row, g in zip(whole, y, strict=True):
        np.testing.assert_allclose(
            row.numpy(), pb.gradients(g, [embed.weight], retain_graph=True)[0].numpy(), rtol=1e-10
        )


def test_checkpoints_and_graphs_that_are_kept(calls):
    embed, layer, parameters = model()
    index = indices(STEPS, SAMPLES)
    wanted = gradients((layer(embed(index))[0] ** 2).sum(), parameters)
    for rows in (embed, lambda i: pb.checkpoint(embed, i)):
        close(gradients((layer(rows(index))[0] ** 2).sum(), parameters), wanted)
    close(gradients((pb.checkpoint(lambda i: layer(embed(i))[0], index) ** 2).sum(), parameters), wanted)
    loss = (layer(embed(index))[0] ** 2).sum()
    for _ in range(2):
        for p in parameters:
            p.grad = None
        loss.backward(retain_graph=True)
        close([p.grad.numpy() for p in parameters], wanted)
    assert calls["table"] >= 4


def test_compiled(calls):
    embed, layer, parameters = model()

    def step(index: pb.Tensor) -> Any:
        return pb.gradients((layer(embed(index))[0] ** 2).sum(), parameters)

    compiled = pb.compile(step)
    for seed in range(4):
        index = indices(STEPS, SAMPLES, seed=seed)
        for a, b in zip(compiled(index), step(index), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert compiled.replayed == 2
    assert set(calls) == {"table"}
    with pytest.raises(IndexError, match="out of bounds"):
        compiled(index + ROWS)


def test_ops_of_ones_own_may_use_the_names():
    @pb.primitive
    def picked(table, rows, /):
        return table[rows]

    def rule(g, table, rows):
        return g * table, None

    picked.vjp(rule)
    table = pb.tensor([1.0, 2.0, 3.0], requires_grad=True)
    picked(table, pb.tensor([0, 1, 2])).sum().backward()
    assert table.grad.tolist() == [1.0, 2.0, 3.0]
