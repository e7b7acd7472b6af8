"""What wrong arguments and inputs say: the layer, the shapes and the fix."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.nn import functional as F


def zeros(*shape, dtype=np.float32):
    return pb.Tensor(np.zeros(shape, dtype))


CONSTRUCTORS = [
    (lambda: nn.Linear(0, 3), "Linear: in_features must be an integer of at least 1, not 0"),
    (lambda: nn.Linear(3, 2.5), "Linear: out_features must be an integer of at least 1, not 2.5"),
    (lambda: nn.Conv2d(3, -8, 3), "Conv2d: out_channels must be an integer of at least 1, not -8"),
    (lambda: nn.Conv2d(3, 8, 0), "Conv2d: kernel_size must be an integer of at least 1, not 0"),
    (lambda: nn.Conv2d(3, 8, (3, 3, 3)), r"Conv2d: kernel_size must be an integer or a pair \(height, width\)"),
    (lambda: nn.Conv2d(3, 8, 3, padding="full"), "Conv2d: padding must be one of 'valid', 'same', not 'full'"),
    (lambda: nn.Conv2d(3, 8, 3, stride=2, padding="same"), r'padding="same" needs stride 1, not \(2, 2\)'),
    (lambda: nn.Conv2d(3, 8, 3, groups=2), "Conv2d: groups=2 must divide in_channels=3"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), "Conv2d: groups=4 must divide out_channels=6"),
    (lambda: nn.MaxPool2d(2, stride=0), "MaxPool2d: stride must be an integer of at least 1, not 0"),
    (lambda: nn.Dropout(1.5), "Dropout: p must be a probability between 0 and 1, not 1.5"),
    (lambda: nn.GroupNorm(3, 4), "GroupNorm: num_groups=3 must divide num_channels=4"),
    (lambda: nn.LayerNorm(()), "LayerNorm: normalized_shape must have at least one axis"),
    (lambda: nn.RMSNorm(4.0), "RMSNorm: normalized_shape must be an integer of at least 1, not 4.0"),
    (lambda: nn.Embedding(4, 2, padding_idx=4), "padding_idx 4 is no row of a table of 4"),
    (lambda: nn.GELU("fast"), "GELU: approximate must be one of 'none', 'tanh'"),
    (lambda: nn.CrossEntropyLoss(reduction="avg"), "CrossEntropyLoss: reduction must be one of"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing must be between 0 and 1"),
]


@pytest.mark.parametrize(("make", "message"), CONSTRUCTORS)
def test_constructor(make, message):
    with pytest.raises(ValueError, match=message):
        make()


INPUTS = [
    (nn.Linear(12, 3), zeros(2, 3, 4), "put a Flatten before it"),
    (nn.Linear(5, 3), zeros(2, 4), r"input of shape \(2, 4\) must have the 5 features of the weight \(3, 5\)"),
    (nn.Conv2d(1, 4, 3), zeros(2, 8, 8, 1), r"it looks channels-last: x.permute\(0, 3, 1, 2\)"),
    (nn.Conv2d(3, 4, 3), zeros(2, 5, 8, 8), r"has 5 channels, the weight \(4, 3, 3, 3\) takes 3"),
    (nn.Conv2d(1, 4, 3), zeros(2, 64), r"images \(n, c, h, w\) or one image .* x.reshape\(n, c, h, w\)"),
    (nn.Conv2d(1, 4, 5), zeros(2, 1, 3, 3), "kernel"),
    (nn.MaxPool2d(2), zeros(4, 4), "max_pool2d takes images"),
    (
        nn.BatchNorm2d(3),
        zeros(2, 4, 5, 5),
        r"BatchNorm2d\(3\) takes an input of shape \(n, 3, h, w\), not \(2, 4",
    ),
    (nn.BatchNorm1d(3), zeros(2, 3, 5, 5), r"takes an input of shape \(n, 3\) or \(n, 3, l\)"),
    (nn.LayerNorm(4), zeros(2, 3), r"\(2, 3\) does not end in the normalised axes \(4,\)"),
    (nn.GroupNorm(2, 4), zeros(2, 3, 2), "group"),
    (nn.Unflatten(1, (2, 2)), zeros(2, 5), r"an axis of length 5 cannot become \(2, 2\)"),
    (nn.Flatten(2), zeros(2, 5), "axis 2 is out of range"),
]


@pytest.mark.parametrize(("layer", "x", "message"), INPUTS)
def test_input_names_the_layer(layer, x, message):
    net = nn.Sequential(nn.Identity(), nn.Sequential(layer))
    with pytest.raises((ValueError, IndexError), match=message) as caught:
        net(x)
    assert caught.value.__notes__ == [f"in 1.0 ({layer!r})"]


def test_note_names_the_innermost_layer_once():
    class Outer(nn.Module):
        def __init__(self):
            self.body = nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Linear(2, 2))])

        def forward(self, x):
            return self.body[0][1](x)  # called past the Sequential

    with pytest.raises(ValueError, match="2 features") as caught:
        Outer()(zeros(1, 3))
    assert caught.value.__notes__ == ["in body.0.1 (Linear(in_features=2, out_features=2, bias=True))"]
    with pytest.raises(ValueError, match="2 features") as caught:
        nn.Linear(2, 2)(zeros(1, 3))
    assert caught.value.__notes__ == ["in Linear(in_features=2, out_features=2, bias=True)"]


def test_losses_do_not_broadcast():
    for loss in (nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.HuberLoss(), nn.BCEWithLogitsLoss(), nn.KLDivLoss()):
        with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)"):
            loss(zeros(4, 1), zeros(4))
    with pytest.raises(ValueError, match="shape"):
        nn.CrossEntropyLoss()(zeros(4, 3), zeros(5, dtype=np.int64))
    with pytest.raises((ValueError, TypeError)):
        nn.CrossEntropyLoss()(zeros(4, 3), zeros(4))


def test_labels_out_of_range():
    for loss in (nn.CrossEntropyLoss(), nn.NLLLoss()):
        with pytest.raises((ValueError, IndexError)):
            loss(zeros(2, 3), pb.Tensor(np.array([0, 3])))
    with pytest.raises((ValueError, IndexError)):
        nn.Embedding(3, 2)(np.array([0, 3]))


three, four, plain = nn.Buffer(np.zeros(3)), nn.Buffer(np.zeros(4)), zeros(4)
FUNCTIONS = [
    (
        lambda: F.batch_norm(zeros(2, 4), three, three),
        ValueError,
        r"running_mean must have shape \(4,\), .* not \(3,\)",
    ),
    (lambda: F.batch_norm(zeros(2, 4), four, three, training=True), ValueError, r"running_var must have shape \(4,\)"),
    (lambda: F.batch_norm(zeros(2, 4), plain, plain, training=True), TypeError, "make it an nn.Buffer, or pass None"),
    (lambda: F.batch_norm_relu(zeros(2, 4), plain, plain, training=True), TypeError, "make it an nn.Buffer"),
    (lambda: F.batch_norm(zeros(2, 4), four, four, zeros(3)), ValueError, r"weight must have shape \(4,\), not \(3,\)"),
    (lambda: F.batch_norm(zeros(4), four, four), ValueError, r"needs an input \(n, c, …\), not one of shape \(4,\)"),
    (lambda: F.instance_norm(zeros(2, 4, 3), three, three), ValueError, r"instance_norm: running_mean must have shape"),
    (lambda: F.instance_norm(zeros(2, 4, 3), use_input_stats=False), ValueError, "use_input_stats=False it needs"),
    (lambda: F.rms_norm(zeros(2, 4), 3.0), ValueError, r"does not end in the normalised axes \(3.0,\)"),
    (lambda: F.softmax(zeros(2, 3)), TypeError, "softmax needs the axis that holds the classes: pass dim=1"),
    (lambda: F.pad(zeros(2), (1, 1, 1, 1)), ValueError, r"takes up to 1 pairs of widths, last axis first"),
    (lambda: F.one_hot(np.array([3]), 3), ValueError, "classes must be from 0 to 2; these reach from 3 to 3"),
    (lambda: F.one_hot(np.array([1.0])), TypeError, "classes are integers, not float64"),
    (lambda: F.embedding(np.array([1.0]), zeros(2, 2)), TypeError, "indices are integers, not float64"),
    (lambda: F.batch_norm(zeros(2, 3), None, None), ValueError, "needs running_mean and running_var"),
    (lambda: F.dropout2d(zeros(2, 3)), ValueError, "dropout2d takes"),
    (lambda: F.prelu(zeros(2, 3), zeros(4)), ValueError, "the weight has 4 channels"),
    (
        lambda: F.adaptive_avg_pool2d(zeros(1, 1, 4, 4), (1, 2, 3)),
        ValueError,
        "output_size must be an integer or",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), FUNCTIONS)
def test_function(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
