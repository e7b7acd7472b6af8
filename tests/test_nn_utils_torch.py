"""Weight and spectral normalisation, parametrisations, packed sequences and further options against PyTorch's."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.nn.utils import parametrizations, parametrize
from pullback.nn.utils import rnn as packing

torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch", "ignore::FutureWarning:torch")
ITS = torch.nn.utils


def rand(*shape, seed=0):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


def same(ours, theirs, rtol=1e-9, atol=1e-11):
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol)


def compare(ours, theirs, shape, steps=2):
    """Keys, and over some training forwards outputs, gradients and buffers; then one in evaluation."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    ours.load_state_dict(theirs.state_dict())
    a, b = pb.Tensor(rand(*shape), requires_grad=True), torch.tensor(rand(*shape), requires_grad=True)
    for step in range(steps):
        out, wanted = ours(a), theirs(b)
        same(out, wanted)
        weights = rand(*wanted.shape, seed=step)
        (out * weights).sum().backward()
        (wanted * torch.from_numpy(weights)).sum().backward()
    same(a.grad, b.grad)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        same(p.grad, q.grad, 1e-8, 1e-10)
    for key, value in theirs.state_dict().items():
        same(ours.state_dict()[key], value)
    same(ours.eval()(a), theirs.eval()(b))


LAYERS = {
    "linear": (lambda n, **k: n.Linear(4, 3, **k), (5, 4)),
    "conv": (lambda n, **k: n.Conv2d(2, 4, 3, padding=1, **k), (2, 2, 4, 4)),
    "transposed": (lambda n, **k: n.ConvTranspose1d(4, 2, 3, 2, **k), (2, 4, 3)),
}
NORMS = {
    "weight": lambda u, m: u.parametrizations.weight_norm(m),
    "weight-dim": lambda u, m: u.parametrizations.weight_norm(m, dim=1),
    "weight-whole": lambda u, m: u.parametrizations.weight_norm(m, dim=None),
    "spectral": lambda u, m: u.parametrizations.spectral_norm(m, n_power_iterations=2),
    "spectral-bias": lambda u, m: u.parametrizations.spectral_norm(m, "bias", dim=0),
    "weight-old": lambda u, m: u.weight_norm(m),
    "weight-old-whole": lambda u, m: u.weight_norm(m, dim=None),
    "spectral-old": lambda u, m: u.spectral_norm(m, n_power_iterations=2),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layer", LAYERS)
def test_normalised_layer(layer, norm):
    make, shape = LAYERS[layer]
    ours, theirs = (NORMS[norm](n.utils, m) for n, m in (
        (nn, make(nn, dtype="float64")), (torch.nn, make(torch.nn, dtype=torch.float64))))  # fmt: skip
    assert repr(ours).split("(")[0] == repr(theirs).split("(")[0]
    compare(ours, theirs, shape)


def test_spectral_norm_makes_the_largest_singular_value_one():
    pb.manual_seed(0)
    layer = parametrizations.spectral_norm(nn.Linear(6, 5, dtype="float64"), n_power_iterations=50)
    layer(pb.zeros(1, 6, dtype="float64"))
    with pb.no_grad():
        assert np.linalg.norm(layer.eval().weight.numpy(), 2) == pytest.approx(1.0, abs=1e-6)
    old = nn.utils.spectral_norm(nn.Conv2d(2, 3, 3), n_power_iterations=50)
    old(pb.zeros(1, 2, 3, 3))
    assert np.linalg.norm(old.weight.detach().numpy().reshape(3, -1), 2) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("norm", ["weight", "spectral", "weight-old", "spectral-old"])
def test_a_normalisation_is_taken_off_again(norm):
    pb.manual_seed(0)
    plain = nn.Linear(4, 3, dtype="float64")
    layer = NORMS[norm](nn.utils, copy.deepcopy(plain)).eval()
    before = layer(pb.ones(1, 4, dtype="float64")).detach()
    if norm.endswith("old"):
        remove = nn.utils.remove_weight_norm if norm == "weight-old" else nn.utils.remove_spectral_norm
        remove(layer)
        with pytest.raises(ValueError, match="on 'weight'"):
            remove(layer)
    else:
        parametrize.remove_parametrizations(layer, "weight")
        with pytest.raises(ValueError, match="no parametrisation on 'weight'"):
            parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert isinstance(layer.weight, pb.Parameter)
    same(layer(pb.ones(1, 4, dtype="float64")), before)
    if norm.startswith("weight"):
        same(layer.weight, plain.weight)


class Twice(nn.Module):
    def forward(self, x):
        return 2.0 * x

    def right_inverse(self, x):
        return x / 2.0


class Positive(nn.Module):
    def forward(self, x):
        return pb.exp(x)


def test_parametrisations_are_put_together_assigned_and_cached():
    layer = nn.Linear(2, 2, dtype="float64")
    before = layer.weight.numpy()
    parametrize.register_parametrization(layer, "weight", Twice())
    same(layer.weight, pb.Tensor(before))
    layer.weight = pb.ones(2, 2, dtype="float64")
    same(layer.parametrizations.weight.original, 0.5 * pb.ones(2, 2, dtype="float64"))
    parametrize.register_parametrization(layer, "weight", Positive())
    same(layer.weight, pb.exp(pb.ones(2, 2, dtype="float64")))
    assert parametrize.is_parametrized(layer)
    assert not parametrize.is_parametrized(layer, "bias")
    assert layer.weight is not layer.weight
    with parametrize.cached():
        assert layer.weight is layer.weight
    with pytest.raises(NotImplementedError, match="Positive has no right_inverse"):
        layer.weight = pb.zeros(2, 2)
    twin = copy.deepcopy(layer)
    twin.parametrizations.weight.original.assign(np.zeros((2, 2)))
    same(layer.weight, pb.exp(pb.ones(2, 2, dtype="float64")))
    same(twin.weight, pb.ones(2, 2, dtype="float64"))
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    same(layer.weight, 0.5 * pb.ones(2, 2, dtype="float64"))


def test_parametrisation_errors():
    class Shrink(nn.Module):
        def forward(self, x):
            return x[:1]

    with pytest.raises(ValueError, match=r"Shrink makes \(1, 3\) float32 of the parameter 'weight', which is \(2, 3\)"):
        parametrize.register_parametrization(nn.Linear(3, 2), "weight", Shrink())
    with pytest.raises(ValueError, match="Linear has no parameter 'wait'"):
        parametrize.register_parametrization(nn.Linear(3, 2), "wait", Twice())
    with pytest.raises(ValueError, match="no parameter 'w'"):
        nn.utils.weight_norm(nn.Linear(3, 2), "w")


def test_parameters_as_a_vector():
    layer = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    np.testing.assert_array_equal(vector.detach().numpy()[:6], layer.weight.numpy().ravel())
    vector.sum().backward()
    assert (layer.bias.grad.numpy() == 1).all()
    nn.utils.vector_to_parameters(pb.arange(9).astype("float32"), layer.parameters())
    assert layer.bias.tolist() == [6, 7, 8]
    with pytest.raises(ValueError, match=r"a vector of shape \(8,\) for parameters with 9 elements"):
        nn.utils.vector_to_parameters(pb.zeros(8), layer.parameters())


# ---------------------------------------------------------------- sequences


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[4, 3, 1], [1, 4, 2]])
def test_packing(lengths, batch_first):
    x = rand(3, 4, 2) if batch_first else rand(4, 3, 2)
    ordered = lengths == sorted(lengths, reverse=True)
    ours = packing.pack_padded_sequence(pb.Tensor(x), lengths, batch_first, enforce_sorted=ordered)
    theirs = ITS.rnn.pack_padded_sequence(torch.from_numpy(x), lengths, batch_first, enforce_sorted=ordered)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            same(a, b)
    assert ours.lengths == lengths
    a, n = packing.pad_packed_sequence(ours, batch_first, -1.0, 5)
    b, m = ITS.rnn.pad_packed_sequence(theirs, batch_first, -1.0, 5)
    same(a, b)
    same(n, m)
    for one, other in zip(packing.unpack_sequence(ours), ITS.rnn.unpack_sequence(theirs), strict=True):
        same(one, other)


def test_padding_of_sequences():
    parts = [rand(n, 2) for n in (2, 4, 1)]
    ours, theirs = [pb.Tensor(p) for p in parts], [torch.from_numpy(p) for p in parts]
    for options in ({}, {"batch_first": True, "padding_value": 7.0}, {"padding_side": "left"}):
        same(packing.pad_sequence(ours, **options), ITS.rnn.pad_sequence(theirs, **options))
    same(
        packing.pack_sequence(ours, enforce_sorted=False).data, ITS.rnn.pack_sequence(theirs, enforce_sorted=False).data
    )
    with pytest.raises(ValueError, match="descending order"):
        packing.pack_sequence(ours)
    with pytest.raises(ValueError, match="2 lengths from 1 to 3"):
        packing.pack_padded_sequence(pb.zeros(3, 2, 1), [4, 1])


RECURRENT = {
    "rnn": lambda n, **k: n.RNN(3, 4, 2, bidirectional=True, **k),
    "lstm": lambda n, **k: n.LSTM(3, 4, batch_first=True, **k),
    "lstm-projected": lambda n, **k: n.LSTM(3, 5, 2, bidirectional=True, proj_size=2, **k),
    "lstm-projected-nobias": lambda n, **k: n.LSTM(3, 4, bias=False, batch_first=True, proj_size=3, **k),
    "gru": lambda n, **k: n.GRU(3, 4, **k),
}


def twins(make):
    ours, theirs = make(nn, dtype="float64"), make(torch.nn, dtype=torch.float64)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def flat(out):
    y, h = out
    return (y, *h) if isinstance(h, tuple) else (y, h)


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("packed", [False, True])
def test_recurrent(name, packed):
    ours, theirs = twins(RECURRENT[name])
    x = rand(4, 5, 3) if ours.batch_first else rand(5, 4, 3)
    a, b = pb.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    sides = ours.num_layers * (2 if ours.bidirectional else 1)
    first = [rand(sides, 4, ours.proj_size or ours.hidden_size, seed=3), rand(sides, 4, ours.hidden_size, seed=4)]
    first = first[: ours.states]
    mine = [pb.Tensor(s, requires_grad=True) for s in first]
    its = [torch.tensor(s, requires_grad=True) for s in first]
    hx, hy = (tuple(mine), tuple(its)) if ours.states == 2 else (mine[0], its[0])
    if packed:
        lengths = [3, 5, 1, 4]
        out = ours(packing.pack_padded_sequence(a, lengths, ours.batch_first, enforce_sorted=False), hx)
        want = theirs(ITS.rnn.pack_padded_sequence(b, lengths, ours.batch_first, enforce_sorted=False), hy)
        out, want = (out[0].data, out[1]), (want[0].data, want[1])
    else:
        out, want = ours(a, hx), theirs(b, hy)
        for one, other in zip(flat(ours(a)), flat(theirs(b)), strict=True):
            same(one, other)
    total, wanted = 0.0, 0.0
    for i, (one, other) in enumerate(zip(flat(out), flat(want), strict=True)):
        same(one, other)
        w = rand(*other.shape, seed=i)
        total, wanted = total + (one * w).sum(), wanted + (other * torch.from_numpy(w)).sum()
    total.backward()
    wanted.backward()
    for p, q in zip([a, *mine, *ours.parameters()], [b, *its, *theirs.parameters()], strict=True):
        same(p.grad, q.grad, 1e-8, 1e-10)


def test_projection_is_for_lstm_alone():
    with pytest.raises(ValueError, match="proj_size=4 is for LSTM alone, and smaller than hidden_size"):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(TypeError, match="proj_size"):
        nn.RNN(3, 4, proj_size=2)
    layer = nn.LSTM(3, 4, proj_size=2)
    assert [len(weights) for weights in layer.all_weights] == [5]
    with pytest.raises(ValueError, match=r"shape \(1, 5, 2\) and \(1, 5, 4\) are wanted"):
        layer(pb.zeros(2, 5, 3), (pb.zeros(1, 5, 4), pb.zeros(1, 5, 4)))


# ---------------------------------------------------------------- attention


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True, "batch_first": True},
                                     {"add_bias_kv": True, "add_zero_attn": True}])  # fmt: skip
def test_attention_to_more_than_the_keys(options):
    ours, theirs = (make(6, 2, dtype=dtype, **options) for make, dtype in (
        (nn.MultiheadAttention, "float64"), (torch.nn.MultiheadAttention, torch.float64)))  # fmt: skip
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    shape = (2, 3, 6) if ours.batch_first else (3, 2, 6)
    x, padding = rand(*shape), np.array([[False, True, False], [False, False, False]])
    mask = np.triu(np.ones((3, 3), bool), 1)
    a, b = pb.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, weights = ours(a, a, a, key_padding_mask=pb.Tensor(padding), attn_mask=pb.Tensor(mask))
    its, other = theirs(b, b, b, key_padding_mask=torch.tensor(padding), attn_mask=torch.tensor(mask))
    same(out, its)
    same(weights, other)
    same(ours(a, a, a, need_weights=False, is_causal=True)[0], theirs(b, b, b, attn_mask=torch.tensor(mask))[0])
    (out * out).sum().backward()
    (its * its).sum().backward()
    same(a.grad, b.grad)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        same(p.grad, q.grad, 1e-8, 1e-10)


def test_transformer_with_parts_of_ones_own():
    def make(n, **k):
        return n.Transformer(
            6, 2, num_decoder_layers=1, dim_feedforward=5, dropout=0.0, custom_encoder=Same(n), norm_first=True, **k
        )

    class Same:
        def __new__(cls, n):
            class Encoder(n.Module):
                def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=False):
                    return src

            return Encoder()

    ours, theirs = make(nn, dtype="float64"), make(torch.nn, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    src, tgt = rand(3, 2, 6), rand(4, 2, 6, seed=1)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    out = ours(pb.Tensor(src), pb.Tensor(tgt), tgt_mask=pb.Tensor(mask.numpy()))
    same(out, theirs(torch.from_numpy(src), torch.from_numpy(tgt), tgt_mask=mask))


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_takes_its_masks_by_place(norm_first):
    def make(n, **k):
        layer = n.TransformerDecoderLayer(6, 3, 5, 0.0, "gelu", 1e-3, True, norm_first, False, **k)
        return n.TransformerDecoder(layer, 2, n.LayerNorm(6, **k))

    ours, theirs = make(nn, dtype="float64"), make(torch.nn, dtype=torch.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    tgt, memory = rand(2, 3, 6), rand(2, 4, 6, seed=1)
    masks = [np.triu(np.ones((3, 3), bool), 1), np.zeros((3, 4), bool), np.zeros((2, 3), bool), rand(2, 4) > 0.5]
    out = ours(pb.Tensor(tgt), pb.Tensor(memory), *map(pb.Tensor, masks))
    same(out, theirs(torch.from_numpy(tgt), torch.from_numpy(memory), *map(torch.from_numpy, masks)))


def test_loading_the_state_of_a_whole_torch_model_moves_every_key(tmp_path):
    """What the layers of this file and `test_nn_layers_torch.py` hold, in one model, live and by a safetensors file."""
    from safetensors.torch import save_file

    def make(n):
        return n.ModuleDict({
            "features": n.Sequential(
                n.utils.parametrizations.weight_norm(n.Conv1d(2, 4, 3, padding=1)), n.InstanceNorm1d(4, affine=True),
                n.utils.parametrizations.spectral_norm(n.ConvTranspose1d(4, 4, 2, 2)), n.PReLU(4),
            ),
            "reader": n.LSTM(4, 6, 2, batch_first=True, bidirectional=True, proj_size=3),
            "head": n.TransformerEncoder(n.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True), 2),
            "words": n.EmbeddingBag(7, 6, mode="sum"),
        })  # fmt: skip

    def run(model, x, words):
        y = model["reader"](model["features"](x).swapaxes(1, 2))[0]
        return model["head"](y + model["words"](words)[:, None])

    theirs = make(torch.nn).double().eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    x, words = rand(2, 2, 5), np.array([[1, 2, 6], [0, 0, 3]])
    wanted = run(theirs, torch.from_numpy(x), torch.from_numpy(words))
    for state in (theirs.state_dict(), nn.load_safetensors(tmp_path / "model.safetensors")):
        ours = make(nn).double().eval()
        assert list(ours.state_dict()) == list(theirs.state_dict())
        ours.load_state_dict(state)
        same(run(ours, pb.Tensor(x), words), wanted)
