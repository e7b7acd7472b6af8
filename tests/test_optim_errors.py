"""Optimisers given what they cannot use, or what they can in spite of its looks."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pullback as pb
from pullback import optim


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


def test_wrong_parameters() -> None:
    w = pb.Parameter([1.0])
    with pytest.raises(ValueError, match="SGD got no parameters"):
        optim.SGD([])
    with pytest.raises(ValueError, match="group 0 has no parameters"):
        optim.SGD([{"params": []}])
    with pytest.raises(TypeError, match="not one Parameter; put it in a list"):
        optim.SGD(w)
    with pytest.raises(TypeError, match="item 1 is a Tensor, not a Parameter"):
        optim.SGD([w, pb.Tensor([1.0], requires_grad=True)])
    with pytest.raises(ValueError, match=r"group 0: parameter 1 \(shape \(1,\)\) is given twice"):
        optim.SGD([w, w])
    with pytest.raises(ValueError, match=r"group 1: parameter 0 .* is given twice"):
        optim.SGD([{"params": [w]}, {"params": [w]}])
    with pytest.raises(TypeError, match="do not mix groups and parameters"):
        optim.SGD([{"params": [pb.Parameter([2.0])]}, w])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -0.1}, "lr must be at least 0, not -0.1"),
        ("SGD", {"lr": float("nan")}, "lr must be at least 0"),
        ("SGD", {"lr": None}, "has no learning rate"),
        ("SGD", {"momentum": -1.0}, "momentum must be at least 0"),
        ("SGD", {"nesterov": True}, "needs momentum > 0 and dampening 0"),
        ("Adam", {"betas": (1.0, 0.9)}, r"betas must lie in \[0, 1\)"),
        ("AdamW", {"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ("RMSprop", {"eps": -1.0}, "eps must be at least 0"),
        ("Adadelta", {"rho": 1.5}, r"rho must lie in \[0, 1\)"),
        ("NAdam", {"momentum_decay": -1.0}, "momentum_decay must be at least 0"),
        ("ASGD", {"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ("Rprop", {"etas": (1.0, 1.2)}, r"0 < etas\[0\] < 1 < etas\[1\], not \(1.0, 1.2\)"),
        ("LAMB", {"betas": (0.9, 1.0)}, r"betas must lie in \[0, 1\)"),
        ("Adafactor", {"beta2_decay": 0.8}, "beta2_decay must be at most 0, not 0.8"),
        ("Adafactor", {"eps": (-1e-30, 1e-3)}, "eps must be two numbers of at least 0"),
        ("Adafactor", {"d": 0.5}, "d must be at least 1, not 0.5"),
        ("Muon", {}, r"Muon moves matrices only, and parameter 0 has shape \(1,\)"),
        ("LBFGS", {"line_search_fn": "wolfe"}, "line_search_fn is None or 'strong_wolfe', not 'wolfe'"),
        ("LBFGS", {"history_size": 0}, "history_size must be at least 1"),
    ],
)
def test_options_out_of_range(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([pb.Parameter([1.0])], **options)
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([{"params": [pb.Parameter([1.0])], **options}])


def test_a_learning_rate_may_be_a_tensor() -> None:
    w = pb.Parameter([1.0])
    opt = optim.SGD([w], lr=pb.tensor(0.25))
    w.grad = pb.Tensor([2.0])
    opt.step()
    assert w.item() == 0.5
    assert json.dumps(opt.state_dict()["param_groups"][0]["lr"]) == "0.25"


def test_a_gradient_of_another_dtype_is_refused() -> None:
    w = pb.Parameter([1.0])
    w.grad = pb.Tensor(np.array([1.0]))
    with pytest.raises(TypeError, match="is float64, the parameter float32"):
        optim.SGD([w]).step()
