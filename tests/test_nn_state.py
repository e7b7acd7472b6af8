"""state_dict, load_state_dict and safetensors files."""

from __future__ import annotations

import os

import numpy as np
import pytest

import pullback as pb
from pullback import nn


def net():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, 3))


def values(module):
    return {key: tensor.numpy().copy() for key, tensor in module.state_dict().items()}


def assert_equal(a, b):
    assert list(a) == list(b)
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])


def test_round_trip():
    a, b = net(), net()
    a(pb.Tensor(np.random.default_rng(0).normal(size=(4, 1, 5, 5)).astype(np.float32)))
    result = b.load_state_dict(a.state_dict())
    assert result == ([], [])
    assert_equal(values(a), values(b))


def test_state_dict_is_a_copy():
    model = net()
    state = model.state_dict()
    before = state["3.weight"].numpy().copy()
    model[3].weight.assign(np.zeros((3, 18)))
    np.testing.assert_array_equal(state["3.weight"].numpy(), before)
    assert next(iter(model.state_dict(prefix="net."))) == "net.0.weight"


def test_loaded_arrays_are_not_aliased():
    model = nn.BatchNorm1d(2)
    given = values(model)
    model.load_state_dict(given)
    for value in given.values():
        value[...] = 7
    assert not any((v == 7).any() for v in values(model).values())


def test_nothing_changes_when_something_is_wrong():
    model = net()
    before = values(model)
    state = {key: value + 1 for key, value in before.items()}
    state["3.weight"] = np.zeros((18, 3), np.float32)
    state["1.running_var"] = "text"
    del state["0.bias"]
    state["extra"] = np.zeros(1)
    with pytest.raises(ValueError) as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    for part in (
        "does not fit Sequential, which is unchanged",
        "3.weight has shape (18, 3) in the state_dict, (3, 18) in the model",
        "1.running_var cannot be read as an array: str is no array",
        "missing keys: 0.bias",
        "unexpected keys: extra",
        "strict=False ignores missing and unexpected keys",
    ):
        assert part in message
    assert_equal(values(model), before)
    with pytest.raises(ValueError, match=r"3\.weight has shape"):
        model.load_state_dict(state, strict=False)
    with pytest.raises(TypeError, match="a state_dict is a dict from names to arrays, not list"):
        model.load_state_dict([1])
    with pytest.raises(ValueError, match="num_batches_tracked has dtype float64 in the state_dict, int64 in the model"):
        model.load_state_dict({"1.num_batches_tracked": np.zeros(())}, strict=False)


def test_not_strict():
    model = net()
    result = model.load_state_dict({"3.bias": [1.0, 2.0, 3.0] @ np.eye(3), "other": 1}, strict=False)
    np.testing.assert_array_equal(model[3].bias.numpy(), [1, 2, 3])
    assert result.unexpected_keys == ["other"]
    assert "0.weight" in result.missing_keys
    assert "3.bias" not in result.missing_keys
    assert model[3].bias.dtype == pb.float32


def test_values_move_to_the_modules_backend():
    model = net().to("strict")
    model.load_state_dict(net().to("numpy").state_dict())
    assert {p.backend.name for p in model.parameters()} == {"strict"}


def test_safetensors_round_trip(tmp_path):
    a, b, path = net(), net(), tmp_path / "model.safetensors"
    nn.save_safetensors(a, path)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    b.load_state_dict(nn.load_safetensors(path))
    assert_equal(values(a), values(b))
    nn.save_safetensors(b.state_dict(), path, metadata={"epoch": "3"})
    nn.save_safetensors({"transposed": np.arange(6).reshape(2, 3).T, "scalar": np.array(3.0)}, path)
    loaded = nn.load_safetensors(path)
    np.testing.assert_array_equal(loaded["transposed"], np.arange(6).reshape(2, 3).T)
    assert loaded["scalar"].shape == ()


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    nn.save_safetensors(net(), path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        nn.save_safetensors(net(), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    nn.save_safetensors(net(), path)
    data = path.read_bytes()
    header = data.replace(b'"F32"', b'"F99"', 1)
    for broken in (data[: len(data) // 2], data[:4], b"", header, b"PK" + data[2:]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"model\.safetensors .* is no complete safetensors file"):
            nn.load_safetensors(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        nn.load_safetensors(tmp_path / "absent.safetensors")
