"""Metrics beside scikit-learn's: in batches, saved in between, and in a Trainer."""

from __future__ import annotations

import itertools
import json
import math
import sys

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.train import (
    AUROC,
    ConfusionMatrix,
    F1Score,
    MeanAbsoluteError,
    MeanSquaredError,
    Perplexity,
    Precision,
    R2Score,
    Recall,
    Trainer,
    get_metric,
    load_checkpoint,
    save_checkpoint,
)


def gather(metric, prediction: np.ndarray, target: np.ndarray):
    """The result over uneven batches, saved and loaded in the middle."""
    metric.reset()
    cuts = [0, 5, 6, 20, len(target)]
    for i, (a, b) in enumerate(itertools.pairwise(cuts)):
        metric.update(pb.Tensor(prediction[a:b]), pb.Tensor(target[a:b]))
        if i == 2:
            state = metric.state_dict()
            metric.reset()
            metric.load_state_dict(state)
    return metric.compute()


def samples(classes: int, n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.choice(classes, n, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    scores = rng.standard_normal((n, classes))
    scores[np.arange(n), target] += 0.8
    return scores, target


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn.metrics", reason="scikit-learn is the reference: pip install 'pullback[demo]'")


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@pytest.mark.parametrize("kind", [Precision, Recall, F1Score])
def test_averages_over_classes(kind, average, sklearn) -> None:
    theirs = {Precision: "precision_score", Recall: "recall_score", F1Score: "f1_score"}[kind]
    for classes in (2, 4):
        scores, target = samples(classes)
        if classes == 4:
            scores[:, 2] = -9.0  # never predicted: a precision of 0/0
        expected = getattr(sklearn, theirs)(target, scores.argmax(axis=1), average=average, zero_division=0)
        np.testing.assert_allclose(gather(kind(average), scores, target), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", [Precision, Recall, F1Score])
def test_binary(kind, sklearn) -> None:
    theirs = {Precision: "precision_score", Recall: "recall_score", F1Score: "f1_score"}[kind]
    scores, target = samples(2)
    single = scores[:, 1:] - scores[:, :1]
    expected = getattr(sklearn, theirs)(target, scores.argmax(axis=1))
    assert gather(kind("binary"), scores, target) == pytest.approx(expected, rel=1e-12)
    assert gather(kind("binary"), single, target[:, None]) == pytest.approx(expected, rel=1e-12)
    probability = 1 / (1 + np.exp(-single[:, 0]))
    assert gather(kind("binary", threshold=0.5), probability, target) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix(normalize, sklearn) -> None:
    scores, target = samples(4)
    scores[:, 1] = -9.0
    expected = sklearn.confusion_matrix(target, scores.argmax(axis=1), normalize=normalize)
    np.testing.assert_allclose(gather(ConfusionMatrix(normalize), scores, target), expected, rtol=1e-12)
    onehot = np.eye(4)[target]
    np.testing.assert_allclose(gather(ConfusionMatrix(normalize), scores, onehot), expected, rtol=1e-12)


def test_auroc(sklearn) -> None:
    scores, target = samples(2)
    single = scores[:, 1] - scores[:, 0]
    expected = sklearn.roc_auc_score(target, single)
    assert gather(AUROC(), single, target) == pytest.approx(expected, rel=1e-12)
    assert gather(AUROC(), scores, target) == pytest.approx(expected, rel=1e-12)
    scores, target = samples(4)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    for average in ("macro", "weighted", None):
        expected = sklearn.roc_auc_score(target, shares, average=average, multi_class="ovr")
        np.testing.assert_allclose(gather(AUROC(average), scores, target), expected, rtol=1e-12)
        np.testing.assert_allclose(gather(AUROC(average, logits=False), shares, target), expected, rtol=1e-12)


def test_auroc_of_one_class_is_undefined(sklearn) -> None:
    assert math.isnan(gather(AUROC(), np.linspace(0, 1, 30), np.ones(30)))
    scores, target = samples(3)
    target[target == 0] = 1
    areas = gather(AUROC(None), scores, target)
    assert math.isnan(areas[0])
    assert gather(AUROC(), scores, target) == pytest.approx(areas[1:].mean())


def test_auroc_names_what_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(ImportError, match=r"pip install 'pullback\[demo\]'"):
        gather(AUROC(), *samples(2))


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("shape", [(50,), (50, 3)])
def test_regression(shape, offset, sklearn) -> None:
    rng = np.random.default_rng(1)
    y = rng.standard_normal(shape) + offset
    x = y + 0.5 * rng.standard_normal(shape)
    assert gather(R2Score(), x, y) == pytest.approx(sklearn.r2_score(y, x), rel=1e-8)
    assert gather(MeanSquaredError(), x, y) == pytest.approx(sklearn.mean_squared_error(y, x), rel=1e-9)
    assert gather(get_metric("rmse"), x, y) == pytest.approx(((x - y) ** 2).mean() ** 0.5, rel=1e-9)
    assert gather(MeanAbsoluteError(), x, y) == pytest.approx(sklearn.mean_absolute_error(y, x), rel=1e-9)


def test_r2_of_constants(sklearn) -> None:
    y = np.ones((30, 2))
    x = y + np.array([0.0, 0.5])
    assert gather(R2Score(), x, y) == sklearn.r2_score(y, x) == 0.5
    metric = R2Score()
    metric.update(pb.Tensor(y[:1]), pb.Tensor(y[:1]))
    assert math.isnan(metric.result())


def test_perplexity() -> None:
    rng = np.random.default_rng(2)
    scores, target = rng.standard_normal((40, 6, 3)), rng.integers(0, 6, (40, 3))
    target[::4, 1] = -100
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    counted = target != -100
    chosen = np.take_along_axis(logs, np.where(counted, target, 0)[:, None], axis=1)[:, 0]
    assert gather(Perplexity(), scores, target) == pytest.approx(math.exp(-chosen[counted].mean()), rel=1e-9)
    assert gather(Perplexity(), np.zeros((30, 7)), target[:30, 0]) == pytest.approx(7.0)


NAMES = ["accuracy", "precision", "recall", "f1", "confusion_matrix", "auroc", "perplexity"]


def test_in_a_trainer(tmp_path) -> None:
    pytest.importorskip("sklearn", reason="AUROC is scikit-learn's: pip install 'pullback[demo]'")
    scores, target = samples(3, 96)
    x = scores.astype("float32")
    model = nn.Linear(3, 3)
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.05), nn.CrossEntropyLoss(), NAMES)
    path = tmp_path / "c.safetensors"
    history = trainer.fit(
        x, target, epochs=3, seed=0, verbose=2, validation_data=(x, target), checkpoint=path, checkpoint_every=2
    )
    for name in NAMES:
        assert (name in history) == (f"val_{name}" in history) == (name != "confusion_matrix")
    found = trainer.evaluate(x, target, verbose=1)
    matrix = found["confusion_matrix"]
    assert matrix.shape == (3, 3)
    assert np.trace(matrix) / matrix.sum() == pytest.approx(found["accuracy"])
    assert found["auroc"] == history["val_auroc"][-1]
    resumed = Trainer(model, trainer.optimizer, trainer.loss, NAMES)
    assert len(resumed.fit(x, target, epochs=4, seed=0, verbose=0, checkpoint=path, resume=True)) == 4


def test_states_go_through_a_checkpoint(tmp_path) -> None:
    scores, target = samples(3)
    for name in [*NAMES, "r2", "mse"]:
        metric, fresh = get_metric(name), get_metric(name)
        data = (scores, scores + 0.1) if name in ("r2", "mse") else (scores, target)
        metric.update(pb.Tensor(data[0]), pb.Tensor(data[1]))
        save_checkpoint(tmp_path / name, extra=metric.state_dict())
        fresh.load_state_dict(load_checkpoint(tmp_path / name))
        if name != "auroc":
            json.dumps(metric.state_dict())
            np.testing.assert_array_equal(fresh.result(), metric.result())
        else:
            np.testing.assert_array_equal(fresh.state_dict()["scores"], metric.state_dict()["scores"])


def test_errors() -> None:
    scores, target = samples(3)
    with pytest.raises(ValueError, match="average must be 'macro'"):
        F1Score("mean")
    with pytest.raises(ValueError, match="average='binary' is for two classes, not 3"):
        gather(F1Score("binary"), scores, target)
    with pytest.raises(ValueError, match=r"target classes must lie in \[0, 3\), got 0 to 5"):
        gather(Recall(), scores, np.where(target == 2, 5, 0))
    with pytest.raises(ValueError, match="normalize must be None"):
        ConfusionMatrix("rows")
    with pytest.raises(ValueError, match=r"mse: predictions have shape \(5, 3\), targets \(5,\)"):
        gather(MeanSquaredError(), scores, target.astype(float))
    with pytest.raises(ValueError, match="unknown metric 'f2'; known are accuracy, binary_accuracy, precision"):
        get_metric("f2")
    metric = ConfusionMatrix()
    metric.update(pb.Tensor(scores), pb.Tensor(target))
    with pytest.raises(ValueError, match="scores of 2 classes after some of 3"):
        metric.update(pb.Tensor(scores[:, :2]), pb.Tensor(target % 2))
    assert math.isnan(F1Score().result())
