"""The graph: deep chains, freed memory, versions, hooks, modes, immutability, threads, copies."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.autograd.graph import GraphError, Node
from pullback.autograd.state import is_grad_enabled
from pullback.autograd.tensor import Tensor


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


@pytest.fixture
def no_collector():
    """The garbage collector switched off, with nothing left to collect."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def garbage() -> list[object]:
    """Tensors and nodes that only the collector could free. Other threads of the test runner may leave garbage too."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return [o for o in gc.garbage if issubclass(type(o), Tensor | Node)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def test_garbage_is_noticed(no_collector: None) -> None:
    x = leaf(1.0)
    cycle = [x * x]
    cycle.append(cycle)
    del x, cycle
    assert garbage()


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


# ---------------------------------------------------------------- depth and memory


def test_a_chain_of_100_000_ops_differentiates_and_is_freed(no_collector: None) -> None:
    x = leaf(1.0, 2.0)
    y = x
    for i in range(100_000):
        y = y * 1.0 if i % 2 else y + 0.0
    alive = weakref.ref(y._node)
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [1.0, 1.0]
    del y
    assert alive() is None
    assert not garbage()


def test_a_deep_graph_differentiates_twice() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(3000):
        y = y * x
    (first,) = pb.gradients(y, x, create_graph=True)
    (second,) = pb.gradients(first, x)
    assert first.item() == 3001.0
    assert second.item() == 3001.0 * 3000.0


def test_a_dropped_graph_leaves_no_garbage(no_collector: None) -> None:
    def work() -> list[weakref.ref]:
        w = pb.Parameter(np.ones((3, 2)))
        x = Tensor(np.ones((4, 3)))
        h = (x @ w).tanh()
        loss = (h * h + h.exp()).sum() + pb.max(h, axis=1).sum()
        h.retain_grad()
        loss.register_hook(lambda g: g * 2.0)
        loss.backward()
        unused = (h * w.sum()).sum()  # never differentiated
        second = pb.grad(lambda v: (v * v * v).sum())(w)
        return [weakref.ref(t) for t in (w, h, loss, unused, second)] + [weakref.ref(h._node), weakref.ref(loss._node)]

    assert all(ref() is None for ref in work())
    assert not garbage()


def test_create_graph_leaves_no_garbage(no_collector: None) -> None:
    x = leaf(0.5, 2.0)
    (g,) = pb.gradients((x * x.exp()).sum(), x, create_graph=True)
    (g * g).sum().backward()
    refs = [weakref.ref(g), weakref.ref(x)]
    del g, x
    assert all(ref() is None for ref in refs)
    assert not garbage()


def test_residuals_are_freed_as_backward_goes() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    residual = weakref.ref(y._node.saved[0])
    out = y.sum()
    del y
    out.backward()
    assert residual() is None


def test_a_second_backward_needs_the_graph_retained() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(GraphError, match=r"already differentiated .* \(at the op multiply\); pass retain_graph=True"):
        y.backward()


def test_backward_without_a_graph() -> None:
    with pytest.raises(GraphError, match="depends on no leaf"):
        Tensor([1.0]).backward()
    with pytest.raises(ValueError, match="needs a gradient of that shape"):
        (leaf(1.0, 2.0) * 2.0).backward()
    with pytest.raises(ValueError, match=r"the gradient has shape \(3,\), the tensor \(2,\)"):
        (leaf(1.0, 2.0) * 2.0).backward(np.ones(3))


def test_gradients_accumulate_and_shared_nodes_are_visited_once() -> None:
    x = leaf(2.0)
    calls = []
    y = x * x
    y.register_hook(lambda g: calls.append(g.item()))
    (y * 3.0 + y * y).backward()
    assert calls == [3.0 + 2 * 4.0]
    assert x.grad.tolist() == [44.0]
    (x * 5.0).backward()
    assert x.grad.tolist() == [49.0]


# ---------------------------------------------------------------- versions


def test_assigning_between_forward_and_backward_names_the_op_and_the_line() -> None:
    w = pb.Parameter(np.array([2.0, 3.0]))
    x = leaf(1.0, 1.0)
    y = (x * w).sum()  # this line
    number = next(i for i, line in enumerate(Path(__file__).read_text().splitlines(), 1) if "# this line" in line)
    w.assign([5.0, 5.0])
    with pytest.raises(
        GraphError, match=rf"when multiply used it at .*test_engine_graph\.py:{number} in test_assigning"
    ):
        y.backward()


def test_an_assignment_that_nothing_saved_is_no_error() -> None:
    w, x = pb.Parameter(np.array([2.0])), leaf(1.0)
    y = (x + w).sum()
    w.assign([5.0])
    y.backward()
    assert x.grad.tolist() == [1.0]


def test_a_graph_made_after_the_assignment_is_fine() -> None:
    w = pb.Parameter(np.array([2.0]))
    w.assign([5.0])
    y = w * w
    y.backward()
    assert w.grad.tolist() == [10.0]


# ---------------------------------------------------------------- hooks


def test_hooks_see_and_replace_gradients() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3.0
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10.0)
    y.sum().backward(retain_graph=True)
    assert seen == [[1.0, 1.0]]
    assert x.grad.tolist() == [30.0, 30.0]
    handle.remove()
    handle.remove()
    x.grad = None
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_hooks_on_leaves_and_wrong_shapes() -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: -g)
    (x * 1.0).sum().backward()
    assert x.grad.tolist() == [-1.0, -1.0]
    y = x * 1.0
    y.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"a hook on multiply changed the gradient's shape \(2,\) to \(\)"):
        y.sum().backward()
    with pytest.raises(GraphError, match="register_hook needs"):
        Tensor([1.0]).register_hook(print)


def test_retain_grad() -> None:
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    z = y * 3.0
    z.backward()
    assert y.grad.tolist() == [3.0]
    assert z.grad is None
    assert x.grad.tolist() == [12.0]
    x.retain_grad()  # a leaf has its gradient anyway


# ---------------------------------------------------------------- modes


def test_no_grad_and_enable_grad_as_blocks_and_decorators() -> None:
    x = leaf(1.0)
    assert (x * x).requires_grad
    with pb.no_grad():
        assert not is_grad_enabled()
        assert not (x * x).requires_grad
        with pb.enable_grad():
            assert (x * x).requires_grad
        assert not (x * x).requires_grad
    assert is_grad_enabled()

    @pb.no_grad
    def plain(t):
        return t * t

    @pb.no_grad()
    def called(t):
        return t * t

    @pb.enable_grad()
    def recorded(t):
        return t * t

    assert not plain(x).requires_grad
    assert not called(x).requires_grad
    assert plain.__name__ == "plain"
    with pb.no_grad():
        assert recorded(x).requires_grad


def test_modes_are_restored_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), pb.no_grad():
        _ = 1 / 0
    assert is_grad_enabled()
    x = leaf(1.0)
    y = x * x
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.backward()
    assert is_grad_enabled()
    assert (x * x).requires_grad  # and the eager interpreter is back


# ---------------------------------------------------------------- values are immutable


def test_setting_items_points_to_at() -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"x\.at\[i\]\.set\(v\)"):
        x[0] = 5.0


def test_in_place_operators_rebind() -> None:
    x = leaf(1.0, 2.0)
    before = y = x * 1.0
    y += 1.0
    y *= 2.0
    y -= 0.5
    y /= 2.0
    assert before.tolist() == [1.0, 2.0]
    assert y is not before
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_numpy_views_cannot_be_written_to() -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 5.0
    given = np.array([1.0, 2.0])
    w = pb.Parameter(given)
    given[0] = 7.0
    assert w.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        w.numpy()[0] = 5.0


def test_only_leaves_change_requires_grad() -> None:
    y = leaf(1.0) * 2.0
    with pytest.raises(GraphError, match=r"use \.detach"):
        y.requires_grad = False
    assert not y.detach().requires_grad
    with pytest.raises(TypeError, match="only floating tensors"):
        Tensor([1, 2], requires_grad=True)


# ---------------------------------------------------------------- threads


def test_concurrent_backward_passes_in_threads() -> None:
    w = Tensor(np.linspace(0.1, 1.0, 50))
    failures: list[str] = []
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        try:
            with pb.backend("numpy"):
                start.wait()
                for k in range(30):
                    x = Tensor(np.full(50, float(seed + k)), requires_grad=True)
                    y = ((x * w).tanh() * x).sum()
                    with pb.no_grad():
                        assert not (x * x).requires_grad
                    if k % 2:
                        (g,) = pb.gradients(y, x, create_graph=True)
                        (g * g).sum().backward()
                        assert g.requires_grad
                    else:
                        y.backward()
                        t = np.tanh((seed + k) * w.numpy())
                        np.testing.assert_allclose(x.grad.numpy(), t + (seed + k) * w.numpy() * (1 - t * t))
        except BaseException as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_threads_share_one_graph_with_retain_graph() -> None:
    x = leaf(1.0, 2.0)
    y = (x.exp() * x).sum()
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(pb.gradients(y, x, retain_graph=True)[0].numpy()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(g, found[0]) for g in found)


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
@pytest.mark.parametrize("kind", [pb.Tensor, pb.Parameter])
def test_leaves_are_copied_and_pickled(kind: type, duplicate) -> None:
    x = kind(np.array([[1.0, 2.0]]), requires_grad=True)
    y = duplicate(x)
    assert type(y) is kind
    assert (y.dtype, y.shape, y.requires_grad, y.backend) == (x.dtype, x.shape, True, x.backend)
    assert y.tolist() == x.tolist()
    (y * y).sum().backward()
    assert x.grad is None
    plain = duplicate(kind(np.array([1], "int64"), requires_grad=False))
    assert not plain.requires_grad


def test_computed_tensors_are_not_copied() -> None:
    with pytest.raises(GraphError, match="only leaves can be deep-copied"):
        copy.deepcopy(leaf(1.0) * 2.0)
