"""The command line: what it prints, what it saves, and what it says to wrong arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.__main__ import main
from pullback.train import History, demo


def pullback(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pullback", *arguments],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    """A few real digits, so that the demo takes a second."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    (x, y), (x_test, y_test) = demo.load_digits(28)
    monkeypatch.setitem(demo.LOADERS, "digits", lambda: ((x[:96], y[:96]), (x_test[:40], y_test[:40])))


@pytest.fixture
def unpictured(small, monkeypatch):
    """The same without its pictures, which take most of the time."""
    monkeypatch.setattr(demo, "draw", lambda *arguments: None)
    monkeypatch.setattr(History, "plot", lambda *arguments: None)


def test_demo_trains_and_saves(small, tmp_path, capsys):
    assert main(["demo", "--backend", "numpy", "--epochs", "3", "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "digits: 96 images to train with, 40 to test; backend numpy" in out
    assert "Epoch 3/3  loss" in out
    assert "test accuracy" in out
    names = ["history.csv", "history.json", "history.png", "predictions.png", "weights.safetensors"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    for name in names:
        assert f"saved {tmp_path / 'out' / name}" in out
    losses = json.loads((tmp_path / "out" / "history.json").read_text())["loss"]
    assert losses[2] < losses[0]
    model = demo.classic_cnn()
    model.load_state_dict(nn.load_safetensors(tmp_path / "out" / "weights.safetensors"))
    assert sum(p.size for p in model.parameters()) == 93322


def test_demo_is_reproducible(unpictured, tmp_path):
    for name in ("a", "b"):
        demo.run("digits", "numpy", epochs=1, seed=4, out=tmp_path / name)
    demo.run("digits", "numpy", epochs=1, seed=5, out=tmp_path / "c")
    a, b, c = ((tmp_path / name / "weights.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_demo_without_network_uses_digits_and_says_so(unpictured, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PULLBACK_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    demo.run("mnist", "numpy", epochs=1, out=tmp_path / "out")
    out = capsys.readouterr().out
    assert "mnist is not at hand: using the digits instead" in out
    assert "digits: 96 images" in out


def test_the_current_backend_is_left_alone(unpictured, tmp_path):
    before = pb.current_backend()
    demo.run("digits", "numpy", epochs=1, out=tmp_path)
    assert pb.current_backend() is before


def test_info(tmp_path):
    done = pullback("info", cwd=tmp_path, PULLBACK_BACKEND="numpy", PULLBACK_DATA="", OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    for expected in (
        f"numpy         {np.__version__}",
        "current  numpy",
        "available",
        "OMP_NUM_THREADS  2",
        "data cache",
    ):
        assert expected in done.stdout


def test_info_says_why_a_backend_is_not_available(capsys, monkeypatch):
    from pullback.backends import registry

    monkeypatch.setitem(registry._BUILTIN, "cupy", (".cupy", "CupyBackend", "no_such_library", "pip install 'it'"))
    monkeypatch.delitem(registry._loaded, "cupy", raising=False)
    assert main(["info"]) == 0
    assert "needs the package no_such_library, which is not installed: pip install 'it'" in capsys.readouterr().out


def test_info_without_threadpoolctl(capsys, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "threadpoolctl" else find(name, *a)
    )
    assert main(["info"]) == 0
    assert "threadpoolctl is installed" in capsys.readouterr().out


def test_verify_passes_its_status_on(monkeypatch):
    from pullback.conformance import run

    asked = []
    monkeypatch.setattr(run, "main", lambda name, family: asked.append((name, family)) or 1)
    assert main(["verify", "numpy", "--family", "unary"]) == 1
    assert asked == [("numpy", "unary")]


def test_verify_runs(capsys):
    assert main(["verify", "numpy", "--family", "linear"]) == 0
    assert "0 failed" in capsys.readouterr().out


def test_the_demo_asks_for_matplotlib_before_it_trains(small, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["demo", "--backend", "numpy"]) == 1
    out, err = capsys.readouterr()
    assert "Epoch" not in out
    assert "pip install 'pullback[demo]'" in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "COMMAND"),
        (["train"], 2, "invalid choice: 'train'"),
        (["demo", "--data", "imagenet"], 2, "invalid choice: 'imagenet'"),
        (["demo", "--epochs", "0"], 2, "must be at least 1"),
        (["demo", "--epochs", "two"], 2, "'two' is not a whole number"),
        (["demo", "--seed", "-1"], 2, "'-1' is not a whole number"),
        (["demo", "--backend", "nunpy"], 1, "unknown backend 'nunpy'; known are numpy"),
        (["verify"], 2, "BACKEND"),
        (["verify", "nunpy"], 1, "unknown backend 'nunpy'"),
        (["verify", "numpy", "--family", "magic"], 2, "no family 'magic'"),
    ],
)
def test_wrong_arguments(arguments, status, message, capsys):
    try:
        got = main(arguments)
    except SystemExit as stop:
        got = stop.code
    assert got == status
    assert message in capsys.readouterr().err


def test_a_missing_library_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert main(["demo"]) == 1
    err = capsys.readouterr().err
    assert err == "pullback: the digits come with scikit-learn: pip install 'pullback[demo]'\n"


def test_ctrl_c_is_status_130(monkeypatch):
    def press(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", press)
    assert main(["demo"]) == 130
