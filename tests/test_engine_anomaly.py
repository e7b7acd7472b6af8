"""detect_anomaly names the op and the user's line where the first NaN or infinity arose."""

from __future__ import annotations

import math
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.autograd.state import state
from pullback.autograd.tensor import Tensor


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


def line(mark: str) -> str:
    """`file:line` of the line of this file that ends with the mark."""
    source = Path(__file__).read_text().splitlines()
    number = next(i for i, text in enumerate(source, 1) if text.endswith(f"# {mark}"))
    return rf"test_engine_anomaly\.py:{number} in"


def test_forward_names_op_shapes_and_line() -> None:
    x = Tensor([[4.0, -1.0]], requires_grad=True)
    with pb.detect_anomaly(), pytest.raises(pb.AnomalyError) as caught:
        pb.sqrt(x)  # root
    message = str(caught.value)
    assert "sqrt made a NaN from finite inputs ((1, 2) float32)" in message
    assert re.search(line("root"), message)


def test_without_gradients_too() -> None:
    with pb.detect_anomaly(), pb.no_grad(), pytest.raises(pb.AnomalyError, match="divide made an infinity"):
        Tensor([1.0]) / Tensor([0.0])
    with pb.detect_anomaly(), pytest.raises(pb.AnomalyError, match="exp made an infinity"):
        Tensor([1e4]).exp()


def test_a_nan_in_the_data_is_said_to_be_there() -> None:
    x = Tensor([1.0, np.nan])
    with (
        pb.detect_anomaly(),
        pytest.raises(pb.AnomalyError, match=r"multiply was given a NaN in input 1 .* with the data"),
    ):
        Tensor([1.0, 1.0]) * x


def test_infinite_masks_pass_and_what_goes_wrong_with_them_does_not() -> None:
    with pb.detect_anomaly():
        scores = pb.where(Tensor([True, False]), Tensor([1.0, 2.0]), -math.inf)
        assert pb.exp(scores).tolist()[1] == 0.0
        with pytest.raises(pb.AnomalyError, match="subtract made a NaN from infinite inputs"):
            scores - scores


def test_backward_names_the_forward_op_and_its_line() -> None:
    x = Tensor([0.0, 1.0], requires_grad=True)
    with pb.detect_anomaly():
        y = pb.rsqrt(x + 1e-30)  # slope
        with pytest.raises(pb.AnomalyError) as caught:
            y.sum().backward()
    message = str(caught.value)
    assert "in the backward pass of rsqrt" in message
    assert "made an infinity from a finite cotangent, for an input of shape (2,)" in message
    assert re.search(line("slope"), message)


@pytest.mark.parametrize("create_graph", [False, True])
def test_backward_of_user_rules_and_with_create_graph(create_graph: bool) -> None:
    @pb.custom_vjp
    def odd(x):
        return x * 1.0

    odd.defvjp(lambda x: (x * 1.0, x), lambda x, g: (g / (x - x),))
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pb.detect_anomaly(), pytest.raises(pb.AnomalyError, match="in the backward pass of custom_vjp:odd") as caught:
        odd(x).sum().backward(create_graph=create_graph)  # rule
    assert re.search(line("rule"), str(caught.value))


def test_checkpointed_functions_are_watched() -> None:
    x = Tensor([-1.0], requires_grad=True)
    with pb.detect_anomaly(), pytest.raises(pb.AnomalyError, match="log made a NaN") as caught:
        pb.checkpoint(lambda v: pb.log(v), x)  # inside
    assert re.search(line("inside"), str(caught.value))


def test_a_clean_run_gives_the_same_and_ends_with_the_block() -> None:
    apply = state.now.apply
    grads = []
    for watch in (False, True):
        x = Tensor([0.5, 1.0], requires_grad=True)
        if watch:
            with pb.detect_anomaly():
                (x.exp() * x).sum().backward()
        else:
            (x.exp() * x).sum().backward()
        grads.append(x.grad.tolist())
    assert grads[0] == grads[1]
    assert state.now.apply is apply
    assert not state.now.anomaly
    with np.errstate(all="ignore"):
        assert np.isnan(pb.sqrt(Tensor([-1.0])).item())


def test_other_threads_are_not_watched() -> None:
    seen = []

    def work() -> None:
        with np.errstate(all="ignore"):
            seen.append((Tensor([0.0], backend="numpy") / 0.0).item())

    with pb.detect_anomaly():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert math.isnan(seen[0])
