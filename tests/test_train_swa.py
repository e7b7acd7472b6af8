"""Averages of weights: PyTorch's values, buffers, batch statistics, saving."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.train.swa_utils import (
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)


def model_of(lib):
    return lib.Sequential(lib.Linear(3, 4), lib.BatchNorm1d(4), lib.Linear(4, 2))


def disturb(ours: nn.Module, theirs, step: int) -> None:
    """The same new weights and statistics in both, as a training step would leave them."""
    rng = np.random.default_rng(step)
    state = {
        name: np.asarray(5 * step + 1) if t.dtype == "int64" else np.abs(rng.standard_normal(t.shape)).astype("float32")
        for name, t in ours.state_dict().items()
    }
    ours.load_state_dict(state)
    if theirs is not None:
        import torch

        theirs.load_state_dict({name: torch.tensor(value) for name, value in state.items()})


KINDS = {
    "default": lambda m: {},
    "swa": lambda m: {"avg_fn": m["get_swa_avg_fn"]()},
    "swa-multi": lambda m: {"multi_avg_fn": m["get_swa_multi_avg_fn"]()},
    "ema": lambda m: {"avg_fn": m["get_ema_avg_fn"](0.7)},
    "ema-multi": lambda m: {"multi_avg_fn": m["get_ema_multi_avg_fn"](0.7)},
}
OURS = {f.__name__: f for f in (get_ema_avg_fn, get_swa_avg_fn)}
OURS |= {"get_ema_multi_avg_fn": get_ema_multi_avg_fn, "get_swa_multi_avg_fn": get_swa_multi_avg_fn}


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_averages_equal_pytorch(kind: str, use_buffers: bool, backend: str) -> None:
    torch = pytest.importorskip("torch")
    with pb.backend(backend):
        ours, theirs = model_of(nn), model_of(torch.nn)
        mine = AveragedModel(ours, **KINDS[kind](OURS), use_buffers=use_buffers)
        # PyTorch's own get_swa_multi_avg_fn raises for counts, such as num_batches_tracked
        reference = KINDS["swa" if kind == "swa-multi" else kind](vars(torch.optim.swa_utils))
        other = torch.optim.swa_utils.AveragedModel(theirs, **reference, use_buffers=use_buffers)
        for step in range(6):
            disturb(ours, theirs, step)
            mine.update_parameters(ours)
            other.update_parameters(theirs)
        a, b = mine.state_dict(), other.state_dict()
        assert set(a) == set(b)
        for name in b:
            assert a[name].dtype == str(b[name].dtype).removeprefix("torch."), name
            np.testing.assert_allclose(a[name].numpy(), b[name].numpy(), rtol=1e-6, err_msg=name)


def test_the_average_is_a_model_of_its_own() -> None:
    model = nn.Linear(2, 2)
    averaged = AveragedModel(model)
    disturb(model, None, 0)
    averaged.update_parameters(model)
    x = pb.tensor([[1.0, -1.0]])
    np.testing.assert_array_equal(averaged(x).numpy(), model(x).numpy())
    disturb(model, None, 1)
    assert not np.array_equal(averaged(x).numpy(), model(x).numpy())
    again = AveragedModel(nn.Linear(2, 2))
    again.load_state_dict(averaged.state_dict())
    assert again.n_averaged.item() == 1
    np.testing.assert_array_equal(again(x).numpy(), averaged(x).numpy())


def test_the_average_may_live_on_another_backend() -> None:
    model = nn.Linear(2, 2, backend="numpy")
    averaged = AveragedModel(model, "strict")
    for step in range(3):
        disturb(model, None, step)
        averaged.update_parameters(model)
    assert {t.backend.name for t in averaged.state_dict().values()} == {"strict"}
    assert model.weight.backend.name == "numpy"


def test_batch_statistics_equal_pytorch() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = model_of(nn), model_of(torch.nn)
    disturb(ours, theirs, 1)
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((n, 3)).astype("float32") for n in (8, 8, 5)]
    ours.eval()
    ours[2].train()
    update_bn([(pb.tensor(b), None) for b in batches], ours)
    torch.optim.swa_utils.update_bn([torch.tensor(b) for b in batches], theirs)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        a, b = getattr(ours[1], name), getattr(theirs[1], name)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
    assert ours[1].momentum == 0.1
    assert [m.training for m in ours.modules()] == [False, False, False, True]
    update_bn(batches, nn.Linear(3, 3))  # nothing to do


def test_wrong_uses() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="avg_fn or multi_avg_fn, not both"):
        AveragedModel(model, avg_fn=get_swa_avg_fn(), multi_avg_fn=get_swa_multi_avg_fn())
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\], not 1.5"):
        get_ema_multi_avg_fn(1.5)
    averaged = AveragedModel(model, multi_avg_fn=lambda averages, parameters, n: None)
    averaged.update_parameters(model)
    with pytest.raises(ValueError, match="must return the new averages"):
        averaged.update_parameters(model)
    with pytest.raises(ValueError, match="the shapes differ"):
        averaged.update_parameters(nn.Linear(2, 3))
