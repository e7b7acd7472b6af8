"""The Trainer: what it computes is what a hand-written loop computes, whatever it is fed."""

from __future__ import annotations

import math
import os
import signal

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.data import DataLoader, batches
from pullback.train import Callback, EarlyStopping, NonFiniteLossError, Trainer
from pullback.train.progress import Progress

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 4)).astype(np.float32)
Y = (X @ RNG.standard_normal((4, 3))).argmax(axis=1)


def make(metrics=("accuracy",), dropout=0.0, lr=0.05, **options):
    pb.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 3))
    return Trainer(model, optim.Adam(model.parameters(), lr=lr), nn.CrossEntropyLoss(), metrics, **options)


def bits(model):
    return b"".join(p.numpy().tobytes() for p in model.parameters())


def test_fit_is_the_hand_written_loop():
    trainer = make()
    history = trainer.fit(X, Y, epochs=3, batch_size=16, seed=1, verbose=0)

    other = make()
    model, optimizer, loss_of = other.model, other.optimizer, other.loss
    loader = batches(X, Y, batch_size=16, seed=1)
    losses, rights = [], []
    for _ in range(3):
        total, right = 0.0, 0
        for x, y in loader:
            scores = model(x)
            loss = loss_of(scores, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
            right += int((scores.numpy().argmax(axis=1) == y.numpy()).sum())
        losses.append(total / 50)
        rights.append(right / 50)
    assert bits(trainer.model) == bits(model)
    assert history["loss"] == losses
    assert history["accuracy"] == rights
    assert history.epoch == [0, 1, 2]
    assert not history.interrupted


def test_it_learns():
    trainer = make()
    history = trainer.fit(X, Y, epochs=40, seed=0, verbose=0, validation_data=(X, Y))
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.9
    assert trainer.evaluate(X, Y)["accuracy"] == history["val_accuracy"][-1]


def test_evaluate_does_not_depend_on_the_batch_size():
    trainer = make(["accuracy", "top2"])
    whole = trainer.evaluate(X, Y, batch_size=50)
    for size in (1, 7, 32):
        got = trainer.evaluate(X, Y, batch_size=size)
        assert got["loss"] == pytest.approx(whole["loss"], rel=1e-6)
        assert (got["accuracy"], got["top2_accuracy"]) == (whole["accuracy"], whole["top2_accuracy"])


def test_evaluation_changes_nothing():
    trainer = make(dropout=0.5)
    trainer.model[2].eval()
    before = bits(trainer.model), [m.training for m in trainer.model.modules()]
    assert trainer.evaluate(X, Y) == trainer.evaluate(X, Y)
    assert (bits(trainer.model), [m.training for m in trainer.model.modules()]) == before
    assert all(p.grad is None for p in trainer.model.parameters())


def test_validation_does_not_disturb_training():
    a = make(dropout=0.5)
    a.fit(X, Y, epochs=2, seed=0, verbose=0)
    b = make(dropout=0.5)
    b.fit(X, Y, epochs=2, seed=0, verbose=0, validation_data=(X, Y))
    assert bits(a.model) == bits(b.model)
    assert a.history["accuracy"] == b.history["accuracy"]


def test_validation_split_takes_the_end():
    seen = []

    class Spy(Callback):
        def on_train_begin(self):
            seen.append(len(self.trainer._loader.dataset))

    trainer = make()
    history = trainer.fit(X, Y, validation_split=0.2, seed=0, verbose=0, callbacks=[Spy()])
    assert seen == [40]
    assert trainer.evaluate(X[40:], Y[40:])["loss"] == pytest.approx(history["val_loss"][-1])


def test_predict():
    trainer = make(dropout=0.5)
    expected = trainer.predict(X, batch_size=50)
    assert expected.shape == (50, 3)
    np.testing.assert_allclose(trainer.predict(X, batch_size=7), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        trainer.predict(DataLoader(list(zip(X, Y, strict=True)))), expected, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(trainer.predict(batches(X, shuffle=False)), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="nothing to predict"):
        trainer.predict(X[:0])


class TwoInputs(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(8, 3)

    def forward(self, a, b):
        scores = self.layer(pb.concatenate((a, b), axis=1))
        return scores


def test_several_inputs():
    pb.manual_seed(0)
    model = TwoInputs()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), "accuracy")
    history = trainer.fit((X, X), Y, epochs=2, validation_split=0.2, seed=0, verbose=0)
    assert history["loss"][1] < history["loss"][0]
    assert trainer.predict((X, X)).shape == (50, 3)
    assert 0 <= trainer.evaluate((X, X), Y)["accuracy"] <= 1


def test_loaders_datasets_and_iterables():
    results = []
    samples = list(zip(X, Y, strict=True))
    for data in (batches(X, Y, batch_size=10, shuffle=False), samples_dataset(samples), iter_only(samples)):
        trainer = make()
        trainer.fit(data, batch_size=10, epochs=2, shuffle=False, verbose=0)
        results.append(bits(trainer.model))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("kind", [list, iter, tuple])
def test_batches_that_somebody_else_made(kind):
    made = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 50, 10)]
    whole, trainer = make(), make()
    whole.fit(X, Y, batch_size=10, shuffle=False, verbose=0)
    history = trainer.fit(kind(made), batch_size=None, shuffle=False, verbose=0, validation_data=made)
    assert bits(whole.model) == bits(trainer.model)
    assert history["val_loss"] == [pytest.approx(trainer.evaluate(X, Y)["loss"])]


def samples_dataset(samples):
    class Dataset:
        def __len__(self):
            return len(samples)

        def __getitem__(self, i):
            return samples[i]

    return Dataset()


def iter_only(samples):
    class Stream:
        def __iter__(self):
            return iter(samples)

    return Stream()


def test_schedules_and_clipping():
    trainer = make(lr=1.0)
    trainer.scheduler = optim.lr_scheduler.StepLR(trainer.optimizer, 1, gamma=0.1)
    history = trainer.fit(X, Y, epochs=3, seed=0, verbose=0)
    assert history["lr"] == pytest.approx([1.0, 0.1, 0.01])

    trainer = make(lr=1.0)
    trainer.scheduler = optim.lr_scheduler.ReduceLROnPlateau(trainer.optimizer, patience=0, threshold=10.0)
    history = trainer.fit(X, Y, epochs=4, seed=0, verbose=0, validation_data=(X, Y))
    assert history["lr"][-1] < 1.0

    norms = []

    class Spy(Callback):
        def on_train_batch_end(self, batch, logs):
            norms.append(math.sqrt(sum(float((p.grad.numpy() ** 2).sum()) for p in self.trainer.model.parameters())))

    make(clip_norm=1e-3).fit(X, Y, seed=0, verbose=0, callbacks=[Spy()])
    assert max(norms) <= 1e-3 * 1.001


class Interrupter(Callback):
    """Presses Ctrl-C after some batches."""

    def __init__(self, after, how):
        self.left = after
        self.how = how

    def on_train_batch_end(self, batch, logs):
        self.left -= 1
        if self.left == 0:
            if self.how == "signal":
                os.kill(os.getpid(), signal.SIGINT)
            else:
                raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["signal", "raised"])
def test_ctrl_c_leaves_a_usable_model_and_the_history(how, tmp_path, capsys):
    expected = make()
    expected.fit(X, Y, epochs=3, batch_size=10, seed=0, verbose=0)

    trainer = make()
    path = tmp_path / "c"
    settings = {"epochs": 3, "batch_size": 10, "seed": 0, "checkpoint": path, "checkpoint_every": 1}
    history = trainer.fit(X, Y, verbose=2, callbacks=[Interrupter(7, how)], **settings)
    assert history.interrupted
    assert history.epoch == [0]
    assert "interrupted in epoch 2, after 2 batches" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert np.isfinite(trainer.predict(X)).all()

    trainer = make()
    history = trainer.fit(X, Y, verbose=0, callbacks=[Interrupter(0, how)], resume=True, **settings)
    assert not history.interrupted
    assert history.history == expected.history.history
    assert bits(trainer.model) == bits(expected.model)


def test_ctrl_c_during_validation_keeps_the_trained_epoch(tmp_path):
    expected = make()
    expected.fit(X, Y, epochs=2, seed=0, verbose=0, validation_data=(X, Y))

    class Validation:
        def __init__(self, stop):
            self.stop = stop

        def __iter__(self):
            for i, sample in enumerate(zip(X, Y, strict=True)):
                if i == 40 and self.stop:
                    os.kill(os.getpid(), signal.SIGINT)
                yield sample

    settings = {"epochs": 2, "seed": 0, "verbose": 0, "checkpoint": tmp_path / "c"}
    history = make().fit(X, Y, validation_data=Validation(True), **settings)
    assert history.interrupted
    assert history.epoch == []
    trainer = make()
    trainer.fit(X, Y, validation_data=Validation(False), resume=True, **settings)
    assert trainer.history.history == expected.history.history
    assert bits(trainer.model) == bits(expected.model)


def test_resuming_a_finished_run_does_nothing_and_more_epochs_go_on(tmp_path):
    settings = {"seed": 0, "verbose": 0, "checkpoint": tmp_path / "c", "resume": True}
    first = make()
    first.fit(X, Y, epochs=2, **settings)
    again = make()
    again.fit(X, Y, epochs=2, **settings)
    assert bits(again.model) == bits(first.model)
    assert again.history.history == first.history.history
    again.fit(X, Y, epochs=3, **settings)
    straight = make()
    straight.fit(X, Y, epochs=3, seed=0, verbose=0)
    assert bits(again.model) == bits(straight.model)
    with pytest.raises(ValueError, match="batch_size=32, this loader has batch_size=16"):
        make().fit(X, Y, batch_size=16, **settings)
    with pytest.raises(ValueError, match=r"the metrics \['accuracy'\], this run has \[\]"):
        make([]).fit(X, Y, **settings)


def test_a_nan_loss_stops_before_it_reaches_the_weights():
    bad = X.copy()
    bad[37] = np.nan
    trainer = make()
    with pytest.raises(NonFiniteLossError, match=r"nan in epoch 1, batch 3\..*pb\.detect_anomaly"):
        trainer.fit(bad, Y, batch_size=16, shuffle=False, verbose=0)
    assert all(np.isfinite(p.numpy()).all() for p in trainer.model.parameters())


def test_progress_lines(capsys):
    trainer = make()
    trainer.fit(X, Y, epochs=2, seed=0)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("Epoch 1/2  loss ")
    assert "accuracy" in lines[1]
    assert err == ""
    trainer.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""
    trainer.evaluate(X, Y, verbose=1)
    assert capsys.readouterr().out.startswith("loss ")


def test_the_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(Progress, "INTERVAL", 0.0)
    make().fit(X, Y, epochs=1, batch_size=1, seed=0)
    out, err = capsys.readouterr()
    assert "Epoch 1/1" in err
    assert "loss" in err
    assert "/50" in err
    assert out.startswith("Epoch 1/1  loss")


def test_the_batches_are_made_where_the_model_is():
    trainer = make()
    trainer.model.to("strict")
    trainer.optimizer = optim.SGD(trainer.model.parameters(), lr=0.1)
    history = trainer.fit(X, Y, epochs=2, seed=0, verbose=0)
    assert history["loss"][1] < history["loss"][0]
    assert all(p.backend.name == "strict" for p in trainer.model.parameters())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t.fit(X), TypeError, "did you forget y"),
        (lambda t: t.fit(X, Y[:40]), ValueError, r"different lengths \[50, 40\]"),
        (lambda t: t.fit(batches(X, Y), Y), ValueError, "leave y out"),
        (lambda t: t.fit({"a": 1}, Y), TypeError, "not dict"),
        (lambda t: t.fit(X, Y, epochs=-1), ValueError, "epochs must be an int of at least 0, not -1"),
        (lambda t: t.fit(X, Y, epochs=1.5), ValueError, r"not 1\.5"),
        (lambda t: t.fit(X, Y, batch_size=None), ValueError, "leave y out"),
        (lambda t: t.fit(X, Y, callbacks=[EarlyStopping]), TypeError, r"the class EarlyStopping; .*EarlyStopping\(\)"),
        (lambda t: t.fit(X, Y, callbacks=[print]), TypeError, "must be a train.Callback"),
        (
            lambda t: Trainer(t.model, optim.Adam, t.loss),
            TypeError,
            "the optimizer is the class Adam; make an object",
        ),
        (lambda t: Trainer(t.model, "adam", t.loss), TypeError, "the optimizer is the string 'adam'"),
        (lambda t: Trainer(t.model, t.optimizer, nn.MSELoss), TypeError, "the loss is the class MSELoss"),
        (lambda t: Trainer(t.model, t.optimizer, 3), TypeError, "the loss must be a function"),
        (lambda t: Trainer(print, t.optimizer, t.loss), TypeError, "the model must be a Module"),
        (lambda t: t.fit(X, Y, validation_split=1.5), ValueError, "from 0 to 1"),
        (lambda t: t.fit(X, Y, validation_split=1e-6), ValueError, "one part empty"),
        (lambda t: t.fit(batches(X, Y), validation_split=0.1), ValueError, "needs arrays"),
        (lambda t: t.fit(X, Y, validation_split=0.1, validation_data=(X, Y)), ValueError, "not both"),
        (lambda t: t.fit(X, Y, validation_data=(X, Y, Y)), ValueError, "tuple of 3"),
        (lambda t: t.fit(X, Y, resume=True), ValueError, "need checkpoint="),
        (lambda t: t.fit(X, Y, checkpoint="c", checkpoint_every=0), ValueError, "at least 1"),
        (lambda t: t.fit(X[:0], Y[:0], verbose=0), ValueError, "gave no batch"),
        (lambda t: t.fit(iter([(X[0], Y[0])]), epochs=2, verbose=0), ValueError, "used up"),
        (lambda t: t.evaluate(X[:0], Y[:0]), ValueError, "nothing to evaluate"),
        (lambda t: Trainer(t.model, t.optimizer, t.loss, ["acuracy"]), ValueError, "unknown metric 'acuracy'"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(make())


def test_a_loss_that_is_not_reduced():
    trainer = make()
    trainer.loss = nn.CrossEntropyLoss(reduction="none")
    with pytest.raises(ValueError, match=r"Tensor of shape \(32,\), not a 0-d Tensor"):
        trainer.fit(X, Y, verbose=0)
