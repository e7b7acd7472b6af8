"""checkpoint: the same gradients, one more run, less memory."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import pullback as pb
from pullback.autograd.graph import GraphError
from pullback.autograd.tensor import Tensor


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


def block(h: Tensor, w: Tensor) -> Tensor:
    return ((h @ w).tanh() * h + h.exp() * 0.1).tanh()


def test_gradients_are_equal_and_the_function_runs_exactly_once_more() -> None:
    a, b = arrays((4, 3), (3, 3))
    runs = []

    def f(h, w, *, scale):
        runs.append(1)
        return block(h, w) * scale

    results = []
    for wrap in (lambda fn, *args, **kwargs: fn(*args, **kwargs), pb.checkpoint):
        x, w = Tensor(a, requires_grad=True), pb.Parameter(b)
        y = wrap(f, x * 2.0, w, scale=0.5)
        (y * y).sum().backward()
        results.append((y.numpy(), x.grad.numpy(), w.grad.numpy()))
    assert len(runs) == 1 + 2
    for plain, again in zip(*results, strict=True):
        assert np.array_equal(plain, again)


def test_closures_structures_and_several_outputs() -> None:
    a, b = arrays((4, 3), (3, 3))
    w = pb.Parameter(b)

    def f(pair, options):
        x, n = pair
        y = block(x, w) * options["scale"]
        return {"y": y, "parts": pb.split(y, [1, 2], axis=1), "n": n}

    grads = []
    for wrap in (lambda fn, *args: fn(*args), pb.checkpoint):
        x, s = Tensor(a, requires_grad=True), Tensor(np.array(0.7), requires_grad=True)
        w.grad = None
        out = wrap(f, (x, 3), {"scale": s})
        (out["y"].sum() + (out["parts"][1] * out["parts"][1]).sum() * out["n"]).backward()
        grads.append([x.grad.numpy(), s.grad.numpy(), w.grad.numpy()])
    for plain, again in zip(*grads, strict=True):
        assert np.array_equal(plain, again)


def test_higher_orders() -> None:
    (a,) = arrays((5,))

    def f(x):
        return ((x * x.tanh()).exp() * x).sum()

    def checked(x):
        return pb.checkpoint(f, x)

    x = Tensor(a)
    third = [pb.grad(lambda v, g=g: (pb.grad(lambda u: (pb.grad(g)(u) * u).sum())(v)).sum())(x) for g in (f, checked)]
    np.testing.assert_allclose(third[1].numpy(), third[0].numpy(), rtol=1e-12)
    np.testing.assert_allclose(pb.hessian(checked)(x).numpy(), pb.hessian(f)(x).numpy(), rtol=1e-12)
    assert pb.gradcheck(checked, [a], order=2)


def test_retain_graph_recomputes_for_each_backward_and_a_freed_graph_raises() -> None:
    runs = []

    def f(x):
        runs.append(1)
        return (x.exp() * x).sum()

    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = pb.checkpoint(f, x)
    y.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward()
    assert np.array_equal(x.grad.numpy(), 2 * once)
    assert len(runs) == 3
    with pytest.raises(GraphError, match="already differentiated"):
        y.backward()


def test_nested_checkpoints() -> None:
    a, b = arrays((4, 3), (3, 3))
    counts = {"inner": 0, "outer": 0}

    def inner(x, w):
        counts["inner"] += 1
        return block(x, w)

    def outer(x, w):
        counts["outer"] += 1
        h = pb.checkpoint(inner, x.tanh(), w)
        return pb.checkpoint(inner, h, w) * x

    plain, w0 = Tensor(a, requires_grad=True), pb.Parameter(b)
    (block(block(plain.tanh(), w0), w0) * plain).sum().backward()
    x, w = Tensor(a, requires_grad=True), pb.Parameter(b)
    y = pb.checkpoint(outer, x, w).sum()
    assert counts == {"inner": 2, "outer": 1}
    y.backward()
    assert counts == {"inner": 6, "outer": 2}
    np.testing.assert_allclose(x.grad.numpy(), plain.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(w.grad.numpy(), w0.grad.numpy(), rtol=1e-12)


def test_a_gradient_inside_a_checkpointed_function() -> None:
    (a,) = arrays((4,))

    def penalty(x):
        y = (x * x * x).sum()
        (g,) = pb.gradients(y, x, create_graph=True)
        return (g * g).sum()

    def inner(x):
        return pb.checkpoint(lambda v: pb.checkpoint(penalty, v * 1.0), x)

    x, z = Tensor(a, requires_grad=True), Tensor(a, requires_grad=True)
    inner(x).backward()
    penalty(z * 1.0).backward()
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), rtol=1e-12)


def test_dropout_drops_the_same_elements_again() -> None:
    x = Tensor(np.ones((20, 20)), requires_grad=True)
    pb.manual_seed(3)
    y = pb.checkpoint(lambda t: pb.dropout(t.exp(), pb.default_generator.next_key(), p=0.5), x)
    before = pb.default_generator.get_state()
    kept = y.numpy() != 0
    y.sum().backward()
    assert pb.default_generator.get_state() == before
    assert np.array_equal(x.grad.numpy() != 0, kept)
    assert 100 < kept.sum() < 300


def test_peak_memory_falls() -> None:
    (a,) = arrays((200, 200))
    depth, size = 24, a.nbytes

    def segment(h):
        for _ in range(6):
            h = (h.tanh() * 0.9).exp() * 0.3
        return h

    def peak(wrap) -> tuple[float, np.ndarray]:
        x = Tensor(a, requires_grad=True)
        gc.collect()
        tracemalloc.start()
        h = x
        for _ in range(depth // 6):
            h = wrap(segment, h)
        h.sum().backward()
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top / size, x.grad.numpy()

    plain, expected = peak(lambda fn, h: fn(h))
    less, got = peak(pb.checkpoint)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert plain > 40
    assert less < 0.5 * plain


def test_nested_checkpoints_hold_one_inner_segment_at_a_time() -> None:
    (a,) = arrays((200, 200))

    def segment(h):
        for _ in range(10):
            h = h.tanh()
        return h

    def both(h, wrap):
        for _ in range(8):
            h = wrap(segment, h)
        return h

    def peak(wrap) -> float:
        x = Tensor(a, requires_grad=True)
        gc.collect()
        tracemalloc.start()
        pb.checkpoint(both, x, wrap).sum().backward()
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top / a.nbytes

    assert peak(pb.checkpoint) < 0.5 * peak(lambda fn, h: fn(h))


def test_nothing_is_recorded_or_kept_without_need() -> None:
    runs = []

    def f(x):
        runs.append(1)
        return x * x

    with pb.no_grad():
        assert not pb.checkpoint(f, Tensor([1.0], requires_grad=True)).requires_grad
    assert not pb.checkpoint(f, Tensor([1.0])).requires_grad
    assert len(runs) == 2


def test_a_dropped_checkpoint_leaves_no_garbage() -> None:
    gc.collect()
    gc.disable()
    try:
        x = Tensor(np.ones(3), requires_grad=True)
        y = pb.checkpoint(lambda v: v.exp().tanh(), x)
        kept = weakref.ref(y._node)
        z = pb.checkpoint(lambda v: v.exp().tanh(), y).sum()
        z.backward()
        del y, z
        assert kept() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_function_that_changes_is_named() -> None:
    ops = [lambda x: x.exp(), lambda x: x.tanh()]
    y = pb.checkpoint(lambda x: ops.pop(0)(x).sum(), Tensor([1.0], requires_grad=True))
    with pytest.raises(GraphError, match="op number 0 was exp, now tanh"):
        y.backward()

    shorter = [True, False]
    y = pb.checkpoint(lambda x: (x.exp() if shorter.pop(0) else x).sum(), Tensor([1.0], requires_grad=True))
    with pytest.raises(GraphError, match="op number 0 was exp, now sum"):
        y.backward()


def test_a_parameter_assigned_to_before_backward_is_an_error() -> None:
    w = pb.Parameter(np.array([2.0]))
    x = Tensor(np.array([1.0]), requires_grad=True)
    y = pb.checkpoint(lambda v: (v + w).exp().sum(), x)  # exp would be recomputed from another value
    w.assign([3.0])
    with pytest.raises(GraphError, match=r"checkpoint: a parameter of shape \(1,\) was assigned to"):
        y.backward()
