"""Callbacks, metrics and the History."""

from __future__ import annotations

import csv
import json
import math
import sys

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.train import (
    Accuracy,
    BinaryAccuracy,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LearningRateScheduler,
    MeanMetric,
    ModelCheckpoint,
    RunningMean,
    TopKAccuracy,
    Trainer,
    get_metric,
    read_checkpoint,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3)).astype(np.float32)
Y = X @ RNG.standard_normal((3, 2)).astype(np.float32)


def make(lr=0.1):
    pb.manual_seed(0)
    model = nn.Linear(3, 2)
    return Trainer(model, optim.SGD(model.parameters(), lr=lr), nn.MSELoss())


class Scripted(Callback):
    """Pretends that `val_loss` took these values, for the callbacks after it."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, epoch, logs):
        logs["val_loss"] = self.values[epoch]


def test_the_order_of_calls():
    calls = []

    class Spy(Callback):
        def on_train_begin(self):
            calls.append("begin")

        def on_train_end(self):
            calls.append("end")

        def on_epoch_begin(self, epoch):
            calls.append(f"epoch {epoch}")

        def on_epoch_end(self, epoch, logs):
            calls.append(f"done {epoch} {sorted(logs)}")

        def on_train_batch_end(self, batch, logs):
            calls.append(f"batch {batch}")

    make().fit(X, Y, epochs=2, batch_size=20, verbose=0, callbacks=[Spy()])
    assert calls == [
        "begin", "epoch 0", "batch 0", "batch 1", "done 0 ['loss']", "epoch 1", "batch 0", "batch 1", "done 1 ['loss']",
        "end",
    ]  # fmt: skip


def test_early_stopping_restores_the_best_weights():
    stop = EarlyStopping(patience=2, restore_best_weights=True)
    seen = []

    class Spy(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append(self.trainer.model.weight.numpy().copy())

    trainer = make()
    history = trainer.fit(X, Y, epochs=9, seed=0, verbose=0, callbacks=[Scripted([3, 1, 2, 2, 0, 0]), stop, Spy()])
    assert len(history) == 4
    assert (stop.best_epoch, stop.stopped_epoch) == (1, 3)
    np.testing.assert_array_equal(trainer.model.weight.numpy(), seen[1])
    trainer.fit(X, Y, epochs=1, seed=0, verbose=0, callbacks=[Scripted([5]), stop])
    assert (stop.best.value, stop.stopped_epoch) == (5, None)


def test_early_stopping_settings():
    for values, settings, epochs in [
        ([1.0, 0.95, 0.9, 0.5], {"min_delta": 0.2, "patience": 1}, 2),
        ([1.0, 2.0, 3.0, 2.5], {"mode": "max", "patience": 1}, 4),
        ([1.0, math.nan, 0.5], {"patience": 1}, 2),
    ]:
        history = make().fit(X, Y, epochs=4, seed=0, verbose=0, callbacks=[Scripted(values), EarlyStopping(**settings)])
        assert len(history) == epochs
    with pytest.raises(ValueError, match=r"no 'val_loss' to monitor, only loss; give fit validation_data"):
        make().fit(X, Y, verbose=0, callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match="mode must be"):
        EarlyStopping(mode="up")


def test_model_checkpoint(tmp_path):
    trainer = make()
    callbacks = [
        Scripted([3.0, 2.0, 2.5]),
        ModelCheckpoint(tmp_path / "deep" / "all-{epoch:02d}.safetensors"),
        ModelCheckpoint(tmp_path / "best-{epoch}-{val_loss:.1f}", save_best_only=True),
        ModelCheckpoint(tmp_path / "whole", save_weights_only=False),
    ]
    trainer.fit(X, Y, epochs=3, seed=0, verbose=0, callbacks=callbacks)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == [f"all-0{i}.safetensors" for i in (1, 2, 3)]
    assert sorted(p.name for p in tmp_path.glob("best*")) == ["best-1-3.0", "best-2-2.0"]
    loaded = nn.load_safetensors(tmp_path / "deep" / "all-03.safetensors")
    np.testing.assert_array_equal(loaded["weight"], trainer.model.weight.numpy())
    assert read_checkpoint(tmp_path / "whole")["extra"]["epoch"] == 3
    with pytest.raises(ValueError, match="asks for 'val_los'; there are epoch, loss"):
        trainer.fit(X, Y, verbose=0, callbacks=ModelCheckpoint(tmp_path / "{val_los}"))


def test_csv_logger(tmp_path):
    path = tmp_path / "logs" / "run.csv"
    trainer = make()
    history = trainer.fit(X, Y, epochs=2, seed=0, verbose=0, callbacks=[CSVLogger(path)])
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [0, 1]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    trainer.fit(X, Y, epochs=1, seed=0, verbose=0, callbacks=[CSVLogger(path, append=True)])
    assert [row["epoch"] for row in csv.DictReader(path.read_text().splitlines())] == ["0", "1", "0"]
    trainer.fit(X, Y, epochs=1, seed=0, verbose=0, callbacks=[CSVLogger(path, separator=";")])
    assert path.read_text().startswith("epoch;loss")


def test_csv_logger_when_training_resumes(tmp_path):
    path, saved = tmp_path / "run.csv", tmp_path / "saved"
    settings = {"seed": 0, "verbose": 0, "checkpoint": tmp_path / "c", "resume": True}
    make().fit(X, Y, epochs=2, callbacks=[CSVLogger(path)], **settings)
    saved.write_bytes((tmp_path / "c").read_bytes())
    make().fit(X, Y, epochs=4, callbacks=[CSVLogger(path)], **settings)
    (tmp_path / "c").write_bytes(saved.read_bytes())
    make().fit(X, Y, epochs=4, callbacks=[CSVLogger(path)], **settings)
    assert [row["epoch"] for row in csv.DictReader(path.read_text().splitlines())] == ["0", "1", "2", "3"]


def test_learning_rate_scheduler():
    rates = []

    class Spy(Callback):
        def on_epoch_end(self, epoch, logs):
            rates.append(self.trainer.optimizer.param_groups[0]["lr"])

    make().fit(X, Y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, lr: lr / 2), Spy()])
    assert rates == [0.05, 0.025, 0.0125]


def test_a_callback_can_stop_in_the_middle_of_an_epoch():
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs):
            assert logs["loss"] > 0
            self.trainer.stop_training = batch == 2

    trainer = make()
    assert len(trainer.fit(X, Y, epochs=5, batch_size=4, verbose=0, callbacks=[Stop()])) == 1
    assert trainer._loader.batch == 3


def test_accuracy_over_unequal_batches():
    scores = RNG.standard_normal((10, 4)).astype(np.float32)
    target = RNG.integers(0, 4, 10)
    right = scores.argmax(axis=1) == target
    onehot = np.eye(4, dtype=np.float32)[target]
    ranks = (scores > scores[np.arange(10), target][:, None]).sum(axis=1)
    for metric, expected, targets in [
        (Accuracy(), right, target),
        (Accuracy(), right, onehot),
        (TopKAccuracy(2), ranks < 2, target),
    ]:
        for a, b in [(0, 7), (7, 10)]:
            metric.update(pb.Tensor(scores[a:b]), pb.Tensor(targets[a:b]))
        assert metric.result() == expected.mean()
        state = json.loads(json.dumps(metric.state_dict()))
        metric.reset()
        assert math.isnan(metric.result())
        metric.load_state_dict(state)
        assert metric.result() == expected.mean()


def test_accuracy_of_images():
    scores = RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)
    target = RNG.integers(0, 3, (2, 4, 5))
    metric = Accuracy()
    metric.update(pb.Tensor(scores), pb.Tensor(target))
    assert metric.result() == (scores.argmax(axis=1) == target).mean()


def test_binary_accuracy():
    metric = BinaryAccuracy()
    metric.update(pb.Tensor([[2.0], [-1.0], [3.0]]), pb.Tensor([[1.0], [0.0], [0.0]]))
    assert metric.result() == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match=r"predictions have shape \(3, 1\), targets \(3,\)"):
        metric.update(pb.Tensor([[2.0], [-1.0], [3.0]]), pb.Tensor([1.0, 0.0, 0.0]))


def test_metric_errors():
    scores = pb.Tensor(np.zeros((4, 3), np.float32))
    for target in (np.zeros(3, np.int64), np.zeros((4, 1), np.int64), np.zeros(4, np.float32)):
        with pytest.raises(ValueError, match=r"accuracy: for scores of shape \(4, 3\)"):
            Accuracy().update(scores, pb.Tensor(target))
    with pytest.raises(ValueError, match=r"need the shape \(n, classes, ...\)"):
        Accuracy().update(pb.Tensor([1.0]), pb.Tensor([1]))
    with pytest.raises(ValueError, match="k must be"):
        TopKAccuracy(0)
    assert get_metric("top3").name == "top3_accuracy"


def test_a_metric_of_ones_own():
    class Error(MeanMetric):
        name = "error"

        def measure(self, prediction, target):
            return (prediction - target).abs().sum(), prediction.size

    trainer = make()
    trainer.metrics = [Error()]
    expected = np.abs(trainer.predict(X) - Y).mean()
    assert trainer.evaluate(X, Y, batch_size=7)["error"] == pytest.approx(expected, rel=1e-5)


def test_running_mean_fetches_in_bulk_from_a_device():
    mean = RunningMean()
    with pb.backend("strict-device"):
        for i in range(50):
            mean.add(pb.Tensor(float(i)), 2, scale=2.0)
    assert len(mean._pending) == 50 - mean.FETCH
    assert mean.result() == 24.5


def test_history(tmp_path, monkeypatch):
    history = History()
    history.append(0, {"loss": 1.0})
    history.append(1, {"loss": 0.5, "val_loss": 0.7, "lr": 0.1})
    assert history["loss"] == [1.0, 0.5]
    assert math.isnan(history["val_loss"][0])
    assert "val_loss" in history
    assert repr(history) == "History(2 epochs: loss=0.5, val_loss=0.7, lr=0.1)"
    history.save(tmp_path / "h.json")
    assert json.loads((tmp_path / "h.json").read_text())["loss"] == [1.0, 0.5]
    history.save(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text().splitlines()[0] == "epoch,loss,val_loss,lr"
    with pytest.raises(ValueError, match=r"as \.json or \.csv, not as \.txt"):
        history.save(tmp_path / "h.txt")
    with pytest.raises(KeyError, match="no 'acc' in this history, only loss, val_loss, lr"):
        history["acc"]
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'pullback\[demo\]'"):
        history.plot(tmp_path / "h.png")


def test_history_plot(tmp_path):
    pytest.importorskip("matplotlib")
    history = History()
    for epoch in range(3):
        history.append(epoch, {"loss": 1.0 / (epoch + 1), "val_loss": 1.0, "accuracy": 0.5})
    history.plot(tmp_path / "h.png")
    assert (tmp_path / "h.png").read_bytes()[:4] == b"\x89PNG"
