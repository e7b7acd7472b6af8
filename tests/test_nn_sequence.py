"""Recurrent layers, attention and transformers against PyTorch's: the same weights, outputs and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.nn import functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
rng = np.random.default_rng(0)


def pair(*shape):
    """The same float64 leaf in both libraries."""
    values = rng.standard_normal(shape)
    return pb.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)


def both(make):
    """The same layer with the same weights in both libraries."""
    ours, theirs = make(nn, dtype="float64"), make(torch.nn, dtype=torch.float64)
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.from_numpy(rng.standard_normal(p.shape) * 0.5))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def close(a, b):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-10)


def compare(ours, theirs, mine, its, leaves):
    """Outputs, and the gradients of a random sum of them."""
    a_loss, b_loss = 0.0, 0.0
    for a, b in zip(mine, its, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        close(a, b)
        w = rng.standard_normal(tuple(b.shape))
        a_loss, b_loss = a_loss + (a * pb.Tensor(w)).sum(), b_loss + (b * torch.tensor(w)).sum()
    a_loss.backward()
    b_loss.backward()
    for a, b in leaves:
        close(a.grad, b.grad)
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert b.grad is not None, name
        close(a.grad, b.grad)


LAYERS = {
    "rnn": lambda n, **k: n.RNN(3, 4, **k),
    "rnn-relu": lambda n, **k: n.RNN(3, 4, 2, "relu", **k),
    "lstm": lambda n, **k: n.LSTM(3, 4, **k),
    "lstm-options": lambda n, **k: n.LSTM(3, 4, 2, False, True, bidirectional=True, **k),
    "gru": lambda n, **k: n.GRU(3, 4, **k),
    "gru-options": lambda n, **k: n.GRU(3, 5, num_layers=3, bidirectional=True, **k),
}


def states(layer, *batch):
    """Initial states for both libraries, and the leaves among them."""
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    made = [pair(count, *batch, layer.hidden_size) for _ in range(layer.states)]
    ours, theirs = ([p[i] for p in made] for i in (0, 1))
    return (ours[0], theirs[0], made) if len(made) == 1 else (tuple(ours), tuple(theirs), made)


def flat(out):
    y, h = out
    return (y, *h) if isinstance(h, tuple) else (y, h)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_recurrent(make):
    ours, theirs = both(make)
    a, b = pair(5, 2, 3)
    n = 5 if ours.batch_first else 2
    first = states(ours, n)
    compare(ours, theirs, flat(ours(a, first[0])), flat(theirs(b, first[1])), [(a, b), *first[2]])
    close(ours(a)[0], theirs(b)[0])
    a, b = pair(4, 3)
    first = states(ours)
    for x, y in zip(flat(ours(a, first[0])), flat(theirs(b, first[1])), strict=True):
        close(x, y)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_variable_lengths(make):
    ours, theirs = both(make)
    lengths = [3, 5, 1, 4]
    a, b = pair(4, 5, 3) if ours.batch_first else pair(5, 4, 3)
    packed = torch.nn.utils.rnn.pack_padded_sequence(b, lengths, batch_first=ours.batch_first, enforce_sorted=False)
    y, h = theirs(packed)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=ours.batch_first)
    compare(ours, theirs, flat(ours(a, lengths=lengths)), flat((y, h)), [(a, b)])


CELLS = {
    "rnn": lambda n, **k: n.RNNCell(3, 4, nonlinearity="relu", **k),
    "lstm": lambda n, **k: n.LSTMCell(3, 4, **k),
    "gru": lambda n, **k: n.GRUCell(3, 4, bias=False, **k),
}


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
def test_cells(make):
    ours, theirs = both(make)
    a, b = pair(2, 3)
    made = [pair(2, 4) for _ in range(ours.states)]
    x, y = ([p[i] for p in made] for i in (0, 1))
    for _ in range(2):
        x = ours(a, tuple(x) if len(x) > 1 else x[0])
        y = theirs(b, tuple(y) if len(y) > 1 else y[0])
        x, y = (list(v) if isinstance(v, tuple) else [v] for v in (x, y))
    compare(ours, theirs, x, y, [(a, b), *made])
    one, other = ours(a[0]), theirs(b[0])
    close(one[0] if isinstance(one, tuple) else one, other[0] if isinstance(other, tuple) else other)


def test_recurrent_dropout_and_initial_weights():
    pb.manual_seed(0)
    layer = nn.GRU(3, 16, 2, dropout=0.5)
    assert all(abs(p.numpy()).max() <= 0.25 for p in layer.parameters())
    x = pb.Tensor(rng.standard_normal((4, 2, 3)), dtype="float32")
    assert not np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    layer.eval()
    assert np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())


def test_recurrent_errors():
    layer = nn.LSTM(3, 4)
    with pytest.raises(ValueError, match=r"LSTM takes an input \(t, n, 3\) or \(t, 3\), not \(2, 4\)"):
        layer(pb.zeros(2, 4))
    with pytest.raises(ValueError, match=r"2 initial state\(s\) of shape \(1, 5, 4\)"):
        layer(pb.zeros(2, 5, 3), (pb.zeros(1, 4), pb.zeros(1, 4)))
    with pytest.raises(ValueError, match="lengths must be from 1 to 2"):
        layer(pb.zeros(2, 2, 3), lengths=[1, 3])
    with pytest.raises(ValueError, match="no steps"):
        layer(pb.zeros(0, 2, 3))


MASKS = {"none": None, "bools": rng.integers(0, 2, (3, 5)) > 0, "floats": rng.standard_normal((3, 5))}
MASKS["bools"][1] = False  # no key at all


@pytest.mark.parametrize("name", [*MASKS, "causal"])
def test_scaled_dot_product_attention(name):
    mask = MASKS.get(name)
    q, k, v = pair(2, 4, 3, 6), pair(2, 2, 5, 6), pair(2, 2, 5, 4)
    options = {"is_causal": name == "causal", "scale": 0.7, "enable_gqa": True}
    a = F.scaled_dot_product_attention(q[0], k[0], v[0], None if mask is None else pb.Tensor(mask), **options)
    b = torch.nn.functional.scaled_dot_product_attention(
        q[1], k[1], v[1], None if mask is None else torch.tensor(mask), **options
    )
    close(a, b)
    w = rng.standard_normal(b.shape)
    (a * pb.Tensor(w)).sum().backward()
    (b * torch.tensor(w)).sum().backward()
    for x, y in (q, k, v):
        close(x.grad, y.grad)


def test_attention_dropout_is_seeded():
    q = pb.Tensor(rng.standard_normal((3, 4)))
    pb.manual_seed(1)
    first = F.scaled_dot_product_attention(q, q, q, dropout_p=0.5).numpy()
    pb.manual_seed(1)
    assert np.array_equal(F.scaled_dot_product_attention(q, q, q, dropout_p=0.5).numpy(), first)
    assert not np.allclose(F.scaled_dot_product_attention(q, q, q).numpy(), first)


def test_attention_errors():
    x = pb.zeros(3, 4)
    with pytest.raises(ValueError, match="queries"):
        pb.scaled_dot_product_attention(x, pb.zeros(3, 5), x)
    with pytest.raises(ValueError, match="either a mask or is_causal"):
        pb.scaled_dot_product_attention(x, x, x, pb.zeros(3, 3), is_causal=True)
    with pytest.raises(TypeError, match="bools or floats"):
        pb.scaled_dot_product_attention(x, x, x, np.zeros((3, 3), int))
    with pytest.raises(ValueError, match="num_heads=3 must divide embed_dim=4"):
        nn.MultiheadAttention(4, 3)


HEADS = {
    "plain": {},
    "batch-first": {"batch_first": True},
    "nobias": {"bias": False},
    "dims": {"kdim": 5, "vdim": 3},
}


@pytest.mark.parametrize("options", HEADS.values(), ids=HEADS)
def test_multihead_attention(options):
    ours, theirs = both(lambda n, **k: n.MultiheadAttention(6, 2, **options, **k))
    t, s, n = 3, 4, 2

    def leaf(length, features):
        return pair(n, length, features) if ours.batch_first else pair(length, n, features)

    q, k, v = leaf(t, 6), leaf(s, ours.kdim), leaf(s, ours.vdim)
    padding = np.array([[False] * 4, [False, True, False, True]])
    hidden = np.array([[False, True, False, False]] * 3)
    out, weights = ours(q[0], k[0], v[0], pb.Tensor(padding), True, pb.Tensor(hidden))
    its, other = theirs(q[1], k[1], v[1], torch.tensor(padding), True, torch.tensor(hidden))
    compare(ours, theirs, (out, weights), (its, other), [q, k, v])
    per_head = rng.standard_normal((n * 2, t, s))
    out, weights = ours(q[0], k[0], v[0], attn_mask=pb.Tensor(per_head), average_attn_weights=False)
    its, other = theirs(q[1], k[1], v[1], attn_mask=torch.tensor(per_head), average_attn_weights=False)
    close(out, its)
    close(weights, other)
    out, none = ours(q[0], k[0], v[0], need_weights=False)
    assert none is None
    close(out, theirs(q[1], k[1], v[1], need_weights=False)[0])


def test_self_attention_without_batch():
    ours, theirs = both(lambda n, **k: n.MultiheadAttention(6, 3, **k))
    a, b = pair(4, 6)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    close(nn.Transformer.generate_square_subsequent_mask(4), mask)
    mine = ours(a, a, a, attn_mask=pb.Tensor(mask.numpy()))
    compare(ours, theirs, mine, theirs(b, b, b, attn_mask=mask), [(a, b)])
    close(ours(a, a, a, need_weights=False, is_causal=True)[0], theirs(b, b, b, attn_mask=mask)[0])
    close(ours(a, a, a, is_causal=True)[1], theirs(b, b, b, attn_mask=mask)[1])


@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_layers(norm_first):
    options = {"dropout": 0.0, "activation": "gelu", "norm_first": norm_first, "batch_first": norm_first}
    ours, theirs = both(lambda n, **k: n.TransformerEncoderLayer(6, 2, 5, **options, **k))
    a, b = pair(3, 3, 6)
    mask = np.triu(np.ones((3, 3), bool), 1)
    mine = ours(a, pb.Tensor(mask))
    compare(ours, theirs, (mine,), (theirs(b, torch.tensor(mask)),), [(a, b)])
    ours, theirs = both(lambda n, **k: n.TransformerDecoderLayer(6, 2, 5, **options, **k))
    (a, b), (m, o) = pair(3, 2, 6), pair(4, 2, 6)
    if norm_first:
        (a, b), (m, o) = pair(2, 3, 6), pair(2, 4, 6)
    padding = np.array([[False, False, False, True], [False] * 4])
    mine = ours(a, m, pb.Tensor(mask), memory_key_padding_mask=pb.Tensor(padding))
    its = theirs(b, o, torch.tensor(mask), memory_key_padding_mask=torch.tensor(padding))
    compare(ours, theirs, (mine,), (its,), [(a, b), (m, o)])


def test_transformer():
    def make(n, **k):
        return n.Transformer(6, 2, 2, 2, 5, 0.0, batch_first=True, **k)

    ours, theirs = both(make)
    (a, b), (s, r) = pair(2, 3, 6), pair(2, 4, 6)
    mask = np.triu(np.ones((4, 4), bool), 1)
    mine = ours(a, s, tgt_mask=pb.Tensor(mask))
    compare(ours, theirs, (mine,), (theirs(b, r, tgt_mask=torch.tensor(mask)),), [(a, b), (s, r)])


def test_second_order_of_a_layer():
    """∂/∂x of ‖∂loss/∂weights‖² through a whole layer, against PyTorch."""
    ours, theirs = both(lambda n, **k: n.GRU(2, 3, **k))
    a, b = pair(3, 2, 2)
    g = pb.grad(lambda x: _norm(pb, ours(x)[0], list(ours.parameters())))(a)
    with torch.backends.cudnn.flags(enabled=False):
        loss = (theirs(b)[0] ** 2).sum()
        grads = torch.autograd.grad(loss, list(theirs.parameters()), create_graph=True)
        (expected,) = torch.autograd.grad(sum((p**2).sum() for p in grads), b)
    close(g, expected)


def _norm(pb, y, parameters):
    from pullback.autograd.transforms import gradients

    grads = gradients((y**2).sum(), parameters, create_graph=True)
    return sum((p**2).sum() for p in grads)
