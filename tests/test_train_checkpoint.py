"""Checkpoints: what they hold, that nothing damaged gets in, and that a killed run goes on bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

import pullback as pb
from pullback import nn, optim
from pullback.data import batches
from pullback.train import checkpoint, load_checkpoint, read_checkpoint, save_checkpoint


def make(seed=0):
    pb.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    return model, optim.Adam(model.parameters(), lr=0.1)


def step(model, optimizer):
    optimizer.zero_grad()
    (model(pb.Tensor(np.ones((5, 3), np.float32))) ** 2).sum().backward()
    optimizer.step()


def weights(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes(), name


@pytest.fixture
def saved(tmp_path):
    """A checkpoint, and the model, optimiser, schedule and loader that it was made of."""
    model, optimizer = make()
    schedule = optim.lr_scheduler.StepLR(optimizer, 2)
    loader = batches(np.arange(10), batch_size=2, seed=3)
    for _ in range(3):
        step(model, optimizer)
        schedule.step()
    next(iter(loader))
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, model=model, optimizer=optimizer, scheduler=schedule, loader=loader, extra={"note": "hello"})
    return path, model, optimizer, schedule, loader


def test_everything_comes_back(saved):
    path, model, optimizer, schedule, _ = saved
    other, other_optimizer = make(1)
    other_schedule = optim.lr_scheduler.StepLR(other_optimizer, 2)
    other_loader = batches(np.arange(10), batch_size=2, seed=4)
    extra = load_checkpoint(path, model=other, optimizer=other_optimizer, scheduler=other_schedule, loader=other_loader)
    assert extra == {"note": "hello"}
    assert_same(weights(model), weights(other))
    assert other_loader.state_dict() == {**other_loader.state_dict(), "seed": 3, "epoch": 0, "batch": 1}
    assert other_optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    for m, o, s in ((model, optimizer, schedule), (other, other_optimizer, other_schedule)):
        step(m, o)
        s.step()
    assert_same(weights(model), weights(other))
    assert schedule.state_dict() == other_schedule.state_dict()


def test_the_random_state_comes_back(tmp_path):
    pb.manual_seed(5)
    dropout = nn.Dropout(0.5)
    x = pb.Tensor(np.ones(64, np.float32))
    dropout(x)
    save_checkpoint(tmp_path / "c")
    first = dropout(x).tolist()
    assert dropout(x).tolist() != first
    load_checkpoint(tmp_path / "c")
    assert dropout(x).tolist() == first


def test_all_plain_data_survives_exactly(tmp_path):
    extra = {
        "floats": [0.1, float("inf"), -0.0, 1e-320], "tuple": (1, (2, None)), "int keys": {0: "a", 7: {"b": True}},
        "odd": {"$array": "x", "": 3}, "big": 2**80, "text": "naïve\n", "empty": [{}, [], ()],
        "arrays": [np.arange(6, dtype=np.uint32).reshape(2, 3)[:, ::2], np.float64(0.1), np.zeros((0, 3), np.float16)],
        "tensor": pb.Tensor([1.0, 2.0]), "a.b": np.ones(1), "a": {"b": np.zeros(1)},
    }  # fmt: skip
    save_checkpoint(tmp_path / "c", extra=extra)
    got = load_checkpoint(tmp_path / "c")
    assert list(got) == list(extra)
    for name in ("floats", "tuple", "int keys", "odd", "big", "text", "empty"):
        assert repr(got[name]) == repr(extra[name])
    for a, b in zip(got["arrays"], extra["arrays"], strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    assert got["tensor"].tolist() == [1.0, 2.0]
    assert (got["a.b"].tolist(), got["a"]["b"].tolist()) == ([1.0], [0.0])
    with pytest.raises(TypeError, match=r"not the object at extra\.x"):
        save_checkpoint(tmp_path / "d", extra={"x": object()})
    with pytest.raises(TypeError, match="complex128 array"):
        save_checkpoint(tmp_path / "d", extra=np.zeros(2, complex))
    with pytest.raises(TypeError, match="keys must be strings or ints"):
        save_checkpoint(tmp_path / "d", extra={(1, 2): 3})
    assert not (tmp_path / "d").exists()


def test_any_safetensors_reader_can_open_it(saved):
    with safe_open(saved[0], framework="numpy") as file:
        assert file.metadata()["format"] == "pullback-checkpoint"
        np.testing.assert_array_equal(file.get_tensor("model.0.weight"), saved[1][0].weight.numpy())


def test_a_crash_while_writing_leaves_the_old_file(saved, monkeypatch):
    path, model, *_ = saved
    before = path.read_bytes()

    def crash(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, model=model)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_every_truncation_and_every_flipped_byte_is_noticed(saved):
    path = saved[0]
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in [0, 7, 8, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"run\.safetensors"):
            read_checkpoint(path)
    for at in [*rng.integers(0, len(whole), 100).tolist(), len(whole) - 1]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"run\.safetensors"):
            read_checkpoint(path)
    path.write_bytes(whole)
    assert read_checkpoint(path)["extra"] == {"note": "hello"}


def rewrite(path, **changes):
    """The same file with other metadata, its checksum made right again."""
    with safe_open(path, framework="numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata.update(changes)
    metadata["sha256"] = checkpoint._digest(metadata["state"], arrays)
    path.write_bytes(save(arrays, metadata))


def test_errors_say_what_does_not_fit(saved, tmp_path):
    path, model, optimizer, _, loader = saved
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_checkpoint(tmp_path / "nothing", model=model)
    nn.save_safetensors(model, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="but no checkpoint"):
        load_checkpoint(tmp_path / "weights.safetensors", model=model)
    save_checkpoint(tmp_path / "part", model=model)
    with pytest.raises(ValueError, match="holds no optimizer and no loader; it holds model, generator"):
        load_checkpoint(tmp_path / "part", model=model, optimizer=optimizer, loader=loader)
    rewrite(path, version="9")
    with pytest.raises(ValueError, match="version '9'"):
        load_checkpoint(path, model=model)


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape"])
def test_a_model_that_does_not_fit_changes_nothing(saved, change):
    path, model, optimizer, *_ = saved
    state = json.loads(safe_open(path, framework="numpy").metadata()["state"])
    if change == "missing":
        del state["model"]["0.weight"]
    elif change == "unexpected":
        state["model"]["9.weight"] = state["model"]["0.weight"]
    else:
        state["model"]["0.weight"] = state["model"]["3.weight"]
    rewrite(path, state=json.dumps(state))
    step(model, optimizer)
    before = weights(model)
    with pytest.raises(ValueError, match=r"0\.weight|9\.weight"):
        load_checkpoint(path, model=model, optimizer=optimizer)
    assert_same(before, weights(model))


def test_if_a_later_part_does_not_fit_the_earlier_ones_are_put_back(saved):
    path, *_ = saved
    model, _ = make(1)
    other = optim.Adam(list(model.parameters())[:2])
    before = weights(model)
    with pytest.raises(ValueError, match="groups") as caught:
        load_checkpoint(path, model=model, optimizer=other)
    assert "while restoring the optimizer" in caught.value.__notes__[-1]
    assert_same(before, weights(model))


RUN = """
import os, signal, sys
import numpy as np
import pullback as pb
from pullback import nn, optim
from pullback.train import Callback, EarlyStopping, Trainer

path, weights, kill_at, resume = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "resume"

class Kill(Callback):
    count = 0
    def on_train_batch_end(self, batch, logs):
        Kill.count += 1
        if Kill.count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

pb.manual_seed(11 + resume)
rng = np.random.default_rng(0)
x = rng.standard_normal((75, 1, 6, 6)).astype("float32")
y = (x.mean((1, 2, 3)) > 0).astype("int64")
model = nn.Sequential(
    nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(16, 2)
)
optimizer = optim.Adam(model.parameters(), lr=1e-2)
schedule = optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.7)
trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), ["accuracy"], scheduler=schedule)
history = trainer.fit(
    x, y, epochs=4, batch_size=8, validation_split=0.2, seed=3 + resume, verbose=0, checkpoint=path,
    checkpoint_every=3, resume=resume, callbacks=[EarlyStopping(patience=9, restore_best_weights=True), Kill()],
)
nn.save_safetensors(model, weights, {"history": repr(history.history)})
"""


def launch(backend, *arguments):
    environment = {**os.environ, "PULLBACK_BACKEND": backend, "PYTHONHASHSEED": "random"}
    return subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_kill_9_and_resume_gives_the_same_bits(tmp_path, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    done = launch(backend, tmp_path / "a.ckpt", tmp_path / "a.safetensors", 0, "fresh")
    assert done.returncode == 0, done.stderr
    for kill_at in (13, 9):  # in the second epoch of the first run; then in the third of the resumed one
        mode = "fresh" if kill_at == 13 else "resume"
        killed = launch(backend, tmp_path / "b.ckpt", tmp_path / "b.safetensors", kill_at, mode)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "b.safetensors").exists()
    resumed = launch(backend, tmp_path / "b.ckpt", tmp_path / "b.safetensors", 0, "resume")
    assert resumed.returncode == 0, resumed.stderr
    a, b = (nn.load_safetensors(tmp_path / f"{name}.safetensors") for name in "ab")
    assert_same(a, b)
    histories = [safe_open(tmp_path / f"{name}.safetensors", framework="numpy").metadata()["history"] for name in "ab"]
    assert histories[0] == histories[1]
