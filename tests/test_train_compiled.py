"""`Trainer(jit_compile=True)`: bit for bit the run without it, whatever takes part in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.train import Callback, EarlyStopping, LearningRateScheduler, NonFiniteLossError, Trainer

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype(np.float32)
Y = (X @ RNG.standard_normal((6, 3))).argmax(axis=1)
VALIDATION = (X[:23], Y[:23])


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def trainer_of(jit_compile: bool, **options: Any) -> Trainer:
    pb.manual_seed(0)
    model = options.pop("model", mlp)()
    optimizer = options.pop("optimizer", lambda p: optim.Adam(p, lr=0.02))(model.parameters())
    schedule = options.pop("schedule", None)
    options.setdefault("loss", nn.CrossEntropyLoss())
    options.setdefault("metrics", ["accuracy"])
    if schedule is not None:
        options["scheduler"] = schedule(optimizer)
    return Trainer(model, optimizer, jit_compile=jit_compile, **options)


class Freeze(Callback):
    """Freezes a layer in the middle of an epoch, evaluates, and changes an option of a layer."""

    def on_train_batch_end(self, batch: int, logs: Any) -> None:
        epoch = self.trainer.epoch
        self.trainer.model[0].requires_grad_(not (epoch == 1 and batch >= 1))
        if epoch == 2 and batch == 0:
            self.trainer.model[3].p = 0.1
            self.logs = self.trainer.evaluate(*VALIDATION, batch_size=10)


class Doubled(nn.Module):
    """Two inputs, and an option of its own."""

    def __init__(self) -> None:
        self.linear, self.by = nn.Linear(6, 3), 2.0

    def forward(self, x: pb.Tensor, y: pb.Tensor) -> pb.Tensor:
        return self.linear(x * self.by + y)


def two_groups(parameters: Any) -> optim.Optimizer:
    first, *others = parameters
    return optim.AdamW([{"params": [first], "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}])


RUNS: dict[str, tuple[dict[str, Any], Callable[[], dict[str, Any]]]] = {
    "validation and short batches": ({}, lambda: {"validation_data": VALIDATION}),
    "clipping": ({"clip_norm": 0.05, "metrics": []}, dict),
    "schedule": ({"schedule": lambda o: optim.StepLR(o, 1, gamma=0.5)}, dict),
    "plateau": (
        {"schedule": lambda o: optim.ReduceLROnPlateau(o, patience=0)}, lambda: {"validation_split": 0.2},
    ),
    "momentum follows a schedule": (
        {
            "optimizer": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
            "schedule": lambda o: optim.OneCycleLR(o, 0.2, total_steps=5),
        },
        dict,
    ),
    "callbacks": (
        {},
        lambda: {
            "validation_data": VALIDATION,
            "callbacks": [
                Freeze(),
                LearningRateScheduler(lambda epoch, lr: lr * 0.9),
                EarlyStopping(patience=1, restore_best_weights=True),
            ],
        },
    ),
    "two inputs": ({"model": Doubled}, lambda: {"x": (X, X[::-1].copy())}),
    "a loss of ours": ({"loss": lambda scores, y: ((scores - nn.functional.one_hot(y, 3)) ** 2).mean()}, dict),
    "two groups and decay": ({"optimizer": two_groups}, dict),
}  # fmt: skip


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("name", RUNS)
def test_it_is_the_same_run(name: str, backend: str) -> None:
    options, settings = RUNS[name]
    outcomes = []
    with pb.backend(backend):
        for jit_compile in (False, True):
            trainer = trainer_of(jit_compile, **options)
            given = {"x": X, "y": Y, "epochs": 5, "batch_size": 16, "seed": 1, "verbose": 0, **settings()}
            history = trainer.fit(**given)
            test = trainer.evaluate(given["x"], Y, batch_size=20)
            guesses = [trainer.predict(given["x"], batch_size=20) for _ in range(2)]
            state = {key: value.numpy() for key, value in trainer.model.state_dict().items()}
            outcomes.append((history.history, test, guesses, state))
    (plain, test, guesses, state), (replayed, test_again, guesses_again, state_again) = outcomes
    assert plain == replayed
    assert test == test_again
    np.testing.assert_array_equal(guesses, guesses_again)
    for key in state:
        np.testing.assert_array_equal(state[key], state_again[key], err_msg=key)
    assert trainer._train_step.replayed >= 4
    assert trainer._predict_step.replayed >= 2


def test_a_resumed_run_is_the_same_run(tmp_path: Any) -> None:
    whole = trainer_of(True)
    history = whole.fit(X, Y, epochs=4, batch_size=16, seed=1, verbose=0)
    path = tmp_path / "run.safetensors"
    first = trainer_of(True)
    first.fit(X, Y, epochs=2, batch_size=16, seed=1, verbose=0, checkpoint=path)
    second = trainer_of(True)
    resumed = second.fit(X, Y, epochs=4, batch_size=16, seed=1, verbose=0, checkpoint=path, resume=True)
    assert resumed.history == history.history
    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_nan_loss_stops_a_replay_before_it_reaches_anything() -> None:
    trainer = trainer_of(True)
    trainer.fit(X, Y, epochs=2, batch_size=10, seed=0, verbose=0)
    before = {key: value.numpy() for key, value in trainer.model.state_dict().items()}
    with pytest.raises(NonFiniteLossError, match=r"nan in epoch 1, batch 1\..*pb\.detect_anomaly"):
        trainer.fit(np.full_like(X, np.nan), Y, batch_size=10, verbose=0)
    for key, value in trainer.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key], err_msg=key)


def test_a_loss_that_looks_at_values_says_so() -> None:
    trainer = trainer_of(True, loss=lambda scores, y: scores.mean() if scores.mean() > 0 else -scores.mean())
    with pytest.raises(pb.CaptureError, match=r"item\(\) of a tensor.*pullback.where"):
        trainer.fit(X, Y, verbose=0)
