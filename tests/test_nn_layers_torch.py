"""Convolution, pooling, padding, resampling and more layers against PyTorch's: outputs, gradients, keys, reprs."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.nn import functional as F

pytest.importorskip("torch", reason="the comparison needs PyTorch")

import torch

from beside_torch import pairs_of, rand, same, same_gradients

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
TF = torch.nn.functional

# name -> how to make the layer, shapes of its inputs
LAYERS = {
    "conv1d": (lambda n, **k: n.Conv1d(2, 4, 3, **k), [(2, 2, 7)]),
    "conv1d-options": (lambda n, **k: n.Conv1d(4, 6, (3,), 2, 1, 2, 2, False, **k), [(2, 4, 9)]),
    "conv1d-same": (lambda n, **k: n.Conv1d(2, 3, 4, padding="same", dilation=3, **k), [(2, 2, 8)]),
    "conv1d-unbatched": (lambda n, **k: n.Conv1d(2, 3, 2, padding="valid", **k), [(2, 5)]),
    "conv3d": (lambda n, **k: n.Conv3d(2, 4, 2, **k), [(2, 2, 4, 3, 3)]),
    "conv3d-options": (
        lambda n, **k: n.Conv3d(4, 2, (2, 1, 3), (1, 2, 1), (1, 0, 2), (2, 1, 1), 2, **k),
        [(1, 4, 4, 3, 3)],
    ),
    "conv3d-same": (lambda n, **k: n.Conv3d(1, 2, (3, 2, 1), padding="same", **k), [(1, 3, 3, 2)]),
    "conv1d-circular": (lambda n, **k: n.Conv1d(2, 3, 3, padding=2, padding_mode="circular", **k), [(2, 2, 5)]),
    "conv2d-reflect": (
        lambda n, **k: n.Conv2d(2, 3, (3, 2), padding=(2, 1), padding_mode="reflect", **k),
        [(2, 2, 5, 4)],
    ),
    "conv2d-same-replicate": (
        lambda n, **k: n.Conv2d(2, 3, (4, 3), padding="same", padding_mode="replicate", **k),
        [(2, 2, 5, 4)],
    ),
    "conv3d-replicate": (
        lambda n, **k: n.Conv3d(1, 2, 3, padding=1, padding_mode="replicate", bias=False, **k),
        [(1, 1, 3, 2, 2)],
    ),
    "transpose1d": (lambda n, **k: n.ConvTranspose1d(3, 2, 3, **k), [(2, 3, 4)]),
    "transpose1d-options": (lambda n, **k: n.ConvTranspose1d(4, 6, 3, 3, 2, 2, 2, False, 2, **k), [(2, 4, 4)]),
    "transpose2d": (lambda n, **k: n.ConvTranspose2d(3, 2, 4, 2, 1, **k), [(2, 3, 3, 4)]),
    "transpose2d-options": (
        lambda n, **k: n.ConvTranspose2d(4, 2, (3, 2), (2, 1), (1, 0), (1, 1), 2, True, (1, 2), **k),
        [(1, 4, 3, 3)],
    ),
    "transpose2d-unbatched": (lambda n, **k: n.ConvTranspose2d(2, 2, 2, **k), [(2, 3, 3)]),
    "transpose3d": (lambda n, **k: n.ConvTranspose3d(2, 3, (2, 3, 1), 2, (1, 1, 0), 1, **k), [(1, 2, 2, 3, 2)]),
    "maxpool1d": (lambda n, **k: n.MaxPool1d(3, 2, 1), [(2, 2, 7)]),
    "maxpool1d-dilated": (lambda n, **k: n.MaxPool1d(2, 1, 0, 3, ceil_mode=True), [(2, 2, 7)]),
    "maxpool3d": (lambda n, **k: n.MaxPool3d((2, 3, 1), 2, (1, 1, 0), ceil_mode=True), [(2, 1, 3, 4, 3)]),
    "maxpool3d-unbatched": (lambda n, **k: n.MaxPool3d(2), [(1, 4, 4, 2)]),
    "avgpool1d": (lambda n, **k: n.AvgPool1d(3, 2, 1), [(2, 2, 7)]),
    "avgpool1d-inside": (lambda n, **k: n.AvgPool1d(4, 3, 2, True, False), [(2, 2, 8)]),
    "avgpool2d-divisor": (lambda n, **k: n.AvgPool2d(2, 1, 1, divisor_override=3), [(1, 2, 3, 3)]),
    "avgpool3d": (lambda n, **k: n.AvgPool3d((2, 3, 2), (1, 2, 2), (1, 1, 0), True), [(2, 1, 3, 4, 3)]),
    "avgpool3d-inside": (lambda n, **k: n.AvgPool3d(3, 2, 1, True, False), [(1, 2, 4, 4, 3)]),
    "avgpool3d-divisor": (lambda n, **k: n.AvgPool3d(2, 2, 1, True, True, 5), [(1, 2, 4, 3, 3)]),
    "adaptiveavg1d": (lambda n, **k: n.AdaptiveAvgPool1d(3), [(2, 2, 7)]),
    "adaptiveavg3d": (lambda n, **k: n.AdaptiveAvgPool3d((2, None, 3)), [(2, 1, 3, 2, 5)]),
    "adaptivemax1d": (lambda n, **k: n.AdaptiveMaxPool1d(3), [(2, 2, 7)]),
    "adaptivemax3d": (lambda n, **k: n.AdaptiveMaxPool3d((2, 3, None)), [(2, 1, 3, 4, 2)]),
    "lppool1d": (lambda n, **k: n.LPPool1d(2, 3, 2, True), [(2, 2, 8)]),
    "lppool2d": (lambda n, **k: n.LPPool2d(4, (2, 3)), [(2, 2, 4, 6)]),
    "lppool3d": (lambda n, **k: n.LPPool3d(2, 2, 1), [(1, 2, 3, 3, 2)]),
    "constantpad1d": (lambda n, **k: n.ConstantPad1d((2, -1), 3.5), [(2, 2, 4)]),
    "constantpad2d": (lambda n, **k: n.ConstantPad2d(1, -1.0), [(2, 2, 4, 3)]),
    "constantpad3d": (lambda n, **k: n.ConstantPad3d((1, 0, 2, 1, 0, 3), 0.5), [(1, 2, 2, 2, 2)]),
    "zeropad1d": (lambda n, **k: n.ZeroPad1d(2), [(2, 4)]),
    "zeropad2d": (lambda n, **k: n.ZeroPad2d((1, 2, 0, 3)), [(2, 2, 2, 2)]),
    "zeropad3d": (lambda n, **k: n.ZeroPad3d(1), [(1, 2, 2, 2, 2)]),
    "reflectionpad1d": (lambda n, **k: n.ReflectionPad1d((3, 1)), [(2, 2, 4)]),
    "reflectionpad2d": (lambda n, **k: n.ReflectionPad2d((1, 2, 3, 0)), [(2, 1, 4, 3)]),
    "reflectionpad3d": (lambda n, **k: n.ReflectionPad3d(1), [(1, 2, 2, 3, 2)]),
    "replicationpad1d": (lambda n, **k: n.ReplicationPad1d((3, 1)), [(2, 2, 2)]),
    "replicationpad2d": (lambda n, **k: n.ReplicationPad2d((1, 2, 3, 0)), [(2, 2, 3)]),
    "replicationpad3d": (lambda n, **k: n.ReplicationPad3d(2), [(1, 2, 1, 3, 2)]),
    "circularpad1d": (lambda n, **k: n.CircularPad1d((3, 1)), [(2, 2, 4)]),
    "circularpad2d": (lambda n, **k: n.CircularPad2d((1, 2, 3, 0)), [(1, 2, 3, 3)]),
    "circularpad3d": (lambda n, **k: n.CircularPad3d(1), [(1, 1, 2, 1, 2)]),
    "upsample": (lambda n, **k: n.Upsample(scale_factor=2), [(2, 2, 3, 2)]),
    "upsample-size": (lambda n, **k: n.Upsample((5, 2), mode="bilinear"), [(2, 2, 3, 4)]),
    "upsample-line": (lambda n, **k: n.Upsample(scale_factor=(1.6,), mode="linear", align_corners=True), [(1, 2, 5)]),
    "upsample-cubic": (lambda n, **k: n.Upsample(scale_factor=1.7, mode="bicubic"), [(1, 2, 4, 3)]),
    "upsample-volume": (lambda n, **k: n.Upsample(scale_factor=(2, 1.5, 1), mode="trilinear"), [(1, 1, 2, 4, 2)]),
    "upsample-nearest3d": (lambda n, **k: n.Upsample((3, 5, 2)), [(1, 1, 2, 4, 2)]),
    "upsamplingnearest": (lambda n, **k: n.UpsamplingNearest2d((4, 3)), [(1, 2, 3, 5)]),
    "upsamplingbilinear": (lambda n, **k: n.UpsamplingBilinear2d(scale_factor=2), [(1, 2, 3, 2)]),
    "pixelshuffle": (lambda n, **k: n.PixelShuffle(2), [(2, 8, 2, 3)]),
    "pixelunshuffle": (lambda n, **k: n.PixelUnshuffle(3), [(1, 2, 3, 6)]),
    "channelshuffle": (lambda n, **k: n.ChannelShuffle(3), [(2, 6, 2, 2)]),
    "localresponse": (lambda n, **k: n.LocalResponseNorm(3, 0.5, k=2.0), [(2, 5, 3)]),
    "localresponse-even": (lambda n, **k: n.LocalResponseNorm(4, 1.0, 1.5), [(2, 3, 2, 3)]),
    "batchnorm3d": (lambda n, **k: n.BatchNorm3d(2, momentum=0.3, **k), [(2, 2, 2, 3, 2)]),
    "instancenorm1d": (lambda n, **k: n.InstanceNorm1d(3, eps=0.1, **k), [(2, 3, 4)]),
    "instancenorm2d": (lambda n, **k: n.InstanceNorm2d(3, affine=True, track_running_stats=True, **k), [(2, 3, 2, 4)]),
    "instancenorm2d-unbatched": (lambda n, **k: n.InstanceNorm2d(3, affine=True, bias=False, **k), [(3, 2, 4)]),
    "instancenorm3d": (lambda n, **k: n.InstanceNorm3d(2, 1e-3, 0.5, True, True, **k), [(2, 2, 2, 2, 2)]),
    "bilinear": (lambda n, **k: n.Bilinear(3, 4, 2, **k), [(5, 3), (5, 4)]),
    "bilinear-nobias": (lambda n, **k: n.Bilinear(2, 2, 3, False, **k), [(2, 3, 2), (2, 3, 2)]),
    "softmax2d": (lambda n, **k: n.Softmax2d(), [(2, 3, 2, 2)]),
    "rrelu-eval": (lambda n, **k: n.RReLU(0.1, 0.5), [(3, 4)]),
    "dropout1d-eval": (lambda n, **k: n.Dropout1d(0.3), [(3, 4, 2)]),
    "dropout3d-eval": (lambda n, **k: n.Dropout3d(0.3), [(3, 4, 2, 2, 1)]),
    "alphadropout-eval": (lambda n, **k: n.AlphaDropout(0.3), [(3, 4)]),
    "featurealphadropout-eval": (lambda n, **k: n.FeatureAlphaDropout(0.3), [(3, 4, 2)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    make, shapes = LAYERS[name]
    ours, theirs = make(nn, dtype="float64"), make(torch.nn, dtype=torch.float64)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    with torch.no_grad():
        for i, p in enumerate(theirs.parameters()):
            p.copy_(torch.from_numpy(rand(*p.shape, seed=20 + i)))
    ours.load_state_dict(theirs.state_dict())
    if name.endswith("eval"):
        ours.eval()
        theirs.eval()
    mine, other = pairs_of(shapes)
    for _ in range(2):  # twice: running statistics take part
        out, wanted = ours(*mine), theirs(*other)
    same(out, wanted)
    same_gradients(out, wanted, [*mine, *ours.parameters()], [*other, *theirs.parameters()])
    for key, value in theirs.state_dict().items():
        same(ours.state_dict()[key], value)
    ours.eval()
    theirs.eval()
    same(ours(*mine), theirs(*other))


@pytest.mark.parametrize("make", [nn.Conv1d, nn.Conv3d, nn.ConvTranspose2d])
def test_initial_weights_have_pytorchs_bounds(make):
    pb.manual_seed(0)
    layer, theirs = make(8, 6, 3, groups=2), getattr(torch.nn, make.__name__)(8, 6, 3, groups=2)
    for p, q in zip(layer.parameters(), theirs.parameters(), strict=True):
        bound = 1 / math.sqrt(math.prod(layer.weight.shape[1:]))
        assert p.shape == tuple(q.shape)
        assert 0.5 * bound < abs(p.numpy()).max() <= bound


def test_transposed_convolution_of_a_wanted_size():
    ours, theirs = nn.ConvTranspose2d(2, 1, 3, 2, 1), torch.nn.ConvTranspose2d(2, 1, 3, 2, 1)
    ours.load_state_dict(theirs.state_dict())
    x = rand(1, 2, 3, 4).astype(np.float32)
    for size in [(5, 7), (6, 8), (1, 1, 6, 7)]:
        same(ours(pb.Tensor(x), size), theirs(torch.from_numpy(x), list(size)), 1e-5, 1e-6)
    with pytest.raises(ValueError, match=r"sizes from \(5, 7\) to \(6, 8\) are possible"):
        ours(pb.Tensor(x), (4, 7))


INDEXED = {
    "1d": (lambda n: n.MaxPool1d(3, 2, 1, return_indices=True), (2, 2, 7)),
    "2d": (lambda n: n.MaxPool2d((2, 3), (2, 1), (1, 1), 2, True, True), (2, 2, 7, 6)),
    "2d-unbatched": (lambda n: n.MaxPool2d(2, return_indices=True), (2, 4, 6)),
    "3d": (lambda n: n.MaxPool3d(2, 1, 1, return_indices=True), (1, 2, 3, 4, 2)),
    "adaptive1d": (lambda n: n.AdaptiveMaxPool1d(4, True), (2, 2, 7)),
    "adaptive2d": (lambda n: n.AdaptiveMaxPool2d((3, 2), True), (2, 2, 7, 4)),
    "adaptive3d": (lambda n: n.AdaptiveMaxPool3d(2, return_indices=True), (1, 2, 3, 4, 5)),
}


@pytest.mark.parametrize("name", INDEXED)
def test_indices_of_maxima(name):
    make, shape = INDEXED[name]
    x = rand(*shape)
    for wanted, out in zip(make(torch.nn)(torch.from_numpy(x)), make(nn)(pb.Tensor(x)), strict=True):
        assert out.numpy().dtype == wanted.numpy().dtype
        np.testing.assert_array_equal(out.numpy(), wanted.numpy())


@pytest.mark.parametrize(
    ("axes", "shape", "size"), [(1, (2, 2, 7), (2, 2, 7)), (2, (2, 5, 6), (5, 6)), (3, (1, 1, 4, 4, 2), None)]
)
def test_unpooling(axes, shape, size):
    x = rand(*shape)
    a, b = pb.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    pools = [getattr(n, f"MaxPool{axes}d")(2, return_indices=True) for n in (nn, torch.nn)]
    back = [getattr(n, f"MaxUnpool{axes}d")(2) for n in (nn, torch.nn)]
    assert repr(back[0]) == repr(back[1])
    sizes = [] if size is None else [size]
    out, wanted = back[0](*pools[0](a), *sizes), back[1](*pools[1](b), *sizes)
    same(out, wanted)
    same_gradients(out, wanted, [a], [b])


INTERPOLATED = {
    "nearest-factor": ((2, 2, 5), {"scale_factor": 1.7}),
    "nearest-exact": ((1, 2, 5, 3), {"scale_factor": (0.7, 2.5), "mode": "nearest-exact"}),
    "area": ((1, 2, 7, 5), {"scale_factor": 0.6, "mode": "area"}),
    "recomputed": ((1, 2, 5, 4), {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}),
    "bicubic-aligned": ((1, 2, 5, 4), {"size": (7, 2), "mode": "bicubic", "align_corners": True}),
    "one": ((1, 2, 1, 4), {"size": (3, 1), "mode": "bilinear", "align_corners": True}),
    "antialias": ((1, 2, 9, 7), {"size": (4, 10), "mode": "bilinear", "antialias": True}),
    "antialias-cubic": ((1, 1, 9, 7), {"scale_factor": 0.45, "mode": "bicubic", "antialias": True}),
    "antialias-aligned": (
        (1, 1, 9, 7), {"size": (4, 5), "mode": "bilinear", "antialias": True, "align_corners": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INTERPOLATED)
def test_interpolate(name):
    shape, options = INTERPOLATED[name]
    (a,), (b,) = pairs_of([shape])
    out, wanted = F.interpolate(a, **options), TF.interpolate(b, **options)
    same(out, wanted)
    same_gradients(out, wanted, [a], [b])


def test_alpha_dropout_keeps_the_moments():
    pb.manual_seed(1)
    x = pb.Tensor(rand(2000, 50) - 0.1)
    for layer in (nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3)):
        y = layer(x).numpy()
        assert abs(y.mean()) < 0.05
        assert abs(y.std() - 1) < 0.05
    a = 1 / math.sqrt((1.7580993408473766**2 * 0.3 + 1) * 0.7)
    dropped = -1.7580993408473766 * a * 0.7
    share = np.isclose(nn.AlphaDropout(0.3)(x).numpy(), dropped).mean()
    assert abs(share - 0.3) < 0.02
    volume = nn.Dropout3d(0.5)(pb.ones(40, 30, 2, 2, 2)).numpy()
    assert set(np.unique(volume)) == {0.0, 2.0}
    assert (volume == volume[:, :, :1, :1, :1]).all()


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "options", [{"max_norm": 1.0}, {"max_norm": 2.0, "norm_type": 1}, {"scale_grad_by_freq": True}]
)
def test_embedding_options(options):
    ours, theirs = nn.Embedding(5, 3, 2, **options, dtype="float64"), torch.nn.Embedding(5, 3, 2, **options).double()
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    index = np.array([[1, 4, 1], [2, 4, 1]])
    out, wanted = ours(index), theirs(torch.from_numpy(index))
    same(out, wanted)
    same_gradients(out, wanted, [ours.weight], [theirs.weight])
    same(ours.weight, theirs.weight)


BAGS = {
    "mean": ({}, [[1, 4, 1], [0, 2, 4]], None),
    "sum-offsets": ({"mode": "sum", "padding_idx": 2}, [1, 4, 2, 0, 1, 3], [0, 2, 2, 5]),
    "max": ({"mode": "max"}, [[1, 4, 1], [0, 2, 4]], None),
    "max-offsets": ({"mode": "max", "padding_idx": -1}, [1, 4, 2, 0, 4], [0, 3, 3]),
    "mean-last": ({"include_last_offset": True, "scale_grad_by_freq": True}, [1, 4, 2, 0, 1], [0, 2, 5]),
}


@pytest.mark.parametrize("name", BAGS)
def test_embedding_bag(name):
    options, index, offsets = BAGS[name]
    ours, theirs = nn.EmbeddingBag(5, 3, **options, dtype="float64"), torch.nn.EmbeddingBag(5, 3, **options).double()
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    given = [] if offsets is None else [offsets]
    out = ours(np.array(index), *map(np.array, given))
    wanted = theirs(torch.tensor(index), *map(torch.tensor, given))
    same(out, wanted)
    if not options.get("scale_grad_by_freq"):  # PyTorch divides row 2 here by the count of another row
        same_gradients(out, wanted, [ours.weight], [theirs.weight])


def test_bags_divide_a_rows_gradient_by_its_count():
    table = pb.Tensor(rand(5, 3), requires_grad=True)
    out = F.embedding_bag([1, 4, 2, 0, 1], table, [0, 2], mode="sum", scale_grad_by_freq=True)
    out.sum().backward()
    np.testing.assert_allclose(table.grad.numpy()[:, 0], [1, 1, 1, 0, 1])


def test_embedding_bag_weights_of_samples():
    ours, theirs = nn.EmbeddingBag(5, 3, mode="sum", dtype="float64"), torch.nn.EmbeddingBag(5, 3, mode="sum").double()
    ours.load_state_dict(theirs.state_dict())
    index, (a,), (b,) = np.array([[1, 4], [0, 1]]), *pairs_of([(2, 2)])
    out, wanted = ours(index, per_sample_weights=a), theirs(torch.from_numpy(index), per_sample_weights=b)
    same(out, wanted)
    same_gradients(out, wanted, [ours.weight, a], [theirs.weight, b])


def test_embedding_from_pretrained():
    table = rand(4, 2)
    layer = nn.Embedding.from_pretrained(table, padding_idx=1)
    assert not layer.weight.requires_grad
    np.testing.assert_array_equal(layer(np.array([1, 3])).numpy(), table[[1, 3]])
    assert nn.EmbeddingBag.from_pretrained(pb.Tensor(table), freeze=False, mode="sum").weight.requires_grad


# ---------------------------------------------------------------- errors

WRONG = [
    (lambda: nn.Conv3d(2, 3, (2, 2)), r"Conv3d: kernel_size must be an integer or a triple \(depth, height, width\)"),
    (lambda: nn.Conv1d(2, 3, 2)(pb.zeros(4)), r"conv1d takes sequences \(n, c, l\) or one sequence \(c, l\)"),
    (lambda: nn.Conv1d(2, 3, 2)(pb.zeros(1, 3, 4)), r"has 3 channels, the weight \(3, 2, 2\) takes 2"),
    (lambda: nn.Conv3d(1, 1, 3)(pb.zeros(1, 1, 4, 2, 4)), "the kernel spans 3 along an axis whose padded length is 2"),
    (lambda: nn.ConvTranspose2d(2, 3, 2, padding_mode="reflect"), "padding_mode must be one of 'zeros'"),
    (lambda: nn.ConvTranspose2d(2, 3, 2, output_padding=1)(pb.zeros(1, 2, 3, 3)), "output_padding .* must be smaller"),
    (lambda: nn.ReflectionPad1d(4)(pb.zeros(2, 4)), "reflect padding"),
    (lambda: nn.CircularPad2d((1, 2)), "padding is an integer or 4 of them"),
    (lambda: nn.ZeroPad2d(1)(pb.zeros(2)), "takes up to 1 pairs"),
    (lambda: nn.Upsample(), "give either size or scale_factor"),
    (lambda: nn.Upsample(scale_factor=2, mode="bilinear")(pb.zeros(1, 2, 3)), "'bilinear' does not fit an input"),
    (lambda: nn.PixelShuffle(2)(pb.zeros(3, 2, 2)), r"an input \(…, c·2², h, w\) is wanted"),
    (lambda: nn.InstanceNorm2d(2)(pb.zeros(1, 2, 1, 1)), "needs more than one value"),
    (lambda: nn.InstanceNorm1d(2)(pb.zeros(1, 3, 4)), r"InstanceNorm1d\(2\) takes an input of shape \(n, 2, l\)"),
    (lambda: nn.MaxPool3d(2)(pb.zeros(2, 2)), "max_pool3d takes volumes"),
    (lambda: nn.EmbeddingBag(3, 2)(np.array([0, 1])), "without offsets"),
    (lambda: nn.Bilinear(2, 3, 1)(pb.zeros(4, 2), pb.zeros(4, 2)), "bilinear: inputs"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic", "volume"])
def test_grid_sample(mode, padding, align):
    shapes = [(2, 2, 3, 4, 2), (2, 1, 2, 3, 3)] if mode == "volume" else [(2, 2, 4, 5), (2, 2, 3, 2)]
    (a, g), (b, h) = pairs_of(shapes)
    chosen = {"mode": "bilinear" if mode == "volume" else mode, "padding_mode": padding, "align_corners": align}
    out, wanted = F.grid_sample(a, g, **chosen), TF.grid_sample(b, h, **chosen)
    same(out, wanted)
    if mode == "nearest":  # the positions have no gradient here, and zeros there
        same_gradients(out, wanted, [a], [b])
    else:
        same_gradients(out, wanted, [a, g], [b, h])


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 2), (2, 1, 2, 3, 4)])
def test_affine_grid(size, align):
    (a,), (b,) = pairs_of([(2, len(size) - 2, len(size) - 1)])
    out, wanted = F.affine_grid(a, size, align), TF.affine_grid(b, list(size), align)
    same(out, wanted)
    same_gradients(out, wanted, [a], [b])


def test_random_slopes():
    pb.manual_seed(0)
    x = pb.Tensor(rand(200, 50), requires_grad=True)
    y = nn.RReLU(0.2, 0.4)(x)
    slopes = (y / x).detach().numpy()
    assert (slopes[x.numpy() > 0] == 1).all()
    below = slopes[x.numpy() <= 0]
    assert below.min() > 0.2 - 1e-6
    assert below.max() < 0.4 + 1e-6
    assert abs(below.mean() - 0.3) < 0.01
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes)


def test_gumbel_softmax():
    pb.manual_seed(0)
    logits = pb.Tensor(np.log([[0.5, 0.2, 0.3]] * 4000), requires_grad=True)
    hard = F.gumbel_softmax(logits, tau=0.7, hard=True)
    assert set(np.unique(hard.numpy().round(12))) == {0.0, 1.0}
    np.testing.assert_allclose(hard.numpy().mean(0), [0.5, 0.2, 0.3], atol=0.03)
    pb.manual_seed(0)
    soft = F.gumbel_softmax(logits, tau=0.7)
    np.testing.assert_array_equal(soft.numpy().argmax(1), hard.numpy().argmax(1))
    weights = rand(4000, 3)
    (through,), (direct,) = (pb.gradients((y * weights).sum(), [logits]) for y in (hard, soft))
    same(through, direct)
    assert F.gumbel_softmax(pb.zeros(2, 5, 3), hard=True, dim=1).sum(axis=1).tolist() == [[1, 1, 1]] * 2
    with pytest.raises(ValueError, match="tau must be positive"):
        F.gumbel_softmax(logits, tau=0.0)
