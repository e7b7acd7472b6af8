"""vmap: axes, nesting, composition with every other transform, randomness, and what it refuses."""

from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Iterator

import numpy as np
import pytest

import pullback as pb
from pullback.nn import functional as F

RNG = np.random.default_rng(0)


def t(*shape: int) -> pb.Tensor:
    return pb.Tensor(RNG.standard_normal(shape))


@pytest.fixture(params=["numpy", "numba", "strict"], autouse=True)
def _backend(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "numba":
        pytest.importorskip("numba")
    with pb.backend(request.param):
        yield


def same(a, b, tolerance=1e-11) -> None:
    assert tuple(a.shape) == tuple(b.shape)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------- axes and containers


def test_in_axes_and_out_axes() -> None:
    x, y = t(4, 3), t(5, 4)
    found = pb.vmap(lambda a, b: pb.outer(a, b), in_axes=(1, None), out_axes=2)(x, y)
    same(found, pb.stack([pb.outer(x[:, i], y) for i in range(3)], axis=2))
    same(pb.vmap(lambda a, b: a * b, in_axes=-1, out_axes=-1)(x, x), x * x)
    same(pb.vmap(lambda a: a.sum(), in_axes=[1])(x), x.sum(0))


def test_containers_in_and_out() -> None:
    Pair = namedtuple("Pair", "left right")
    x, y, w = t(3, 2), t(2, 3), t(2)

    def f(both, scale):
        return {"sum": both["x"] + both["pair"].right, "none": None, "w": both["pair"].left * scale}

    found = pb.vmap(f, in_axes=({"x": 0, "pair": Pair(None, 1)}, None), out_axes={"sum": 1, "none": None, "w": None})(
        {"x": x, "pair": Pair(w, y)}, 2.0
    )
    same(found["sum"], (x + y.mT).mT)
    same(found["w"], w * 2.0)
    assert found["none"] is None
    same(pb.vmap(lambda a, *, b: a * b)(x, b=x), x * x)
    same(pb.vmap(lambda: pb.ones(2, dtype="float64"), axis_size=3)(), pb.ones(3, 2, dtype="float64"))


def test_results_that_do_not_depend_on_the_example() -> None:
    x = t(3, 2)
    same(pb.vmap(lambda a: 1.5)(x), pb.full((3,), 1.5))
    w = t(2).requires_grad_()
    pb.vmap(lambda a, w: w.exp(), in_axes=(0, None), out_axes=None)(x, w).sum().backward()
    same(w.grad, w.exp())
    w.grad = None
    pb.vmap(lambda a, w: w.exp(), in_axes=(0, None))(x, w).sum().backward()
    same(w.grad, 3 * w.exp())


def test_nested() -> None:
    x, y = t(3, 2), t(4, 2)
    found = pb.vmap(pb.vmap(pb.dot, in_axes=(None, 0)), in_axes=(0, None))(x, y)
    same(found, x @ y.mT)
    z = t(2, 3, 4, 5)
    deep = pb.vmap(pb.vmap(pb.vmap(lambda a: a / a.norm(), in_axes=1), out_axes=1), in_axes=2)(z)
    same(deep, pb.stack([
        pb.stack([pb.stack([z[i, :, k, m] / z[i, :, k, m].norm() for m in range(5)]) for i in range(2)], axis=1)
        for k in range(4)
    ]))  # fmt: skip


def test_no_examples() -> None:
    x = pb.zeros(0, 3, dtype="float64")
    assert pb.vmap(lambda a: (a * 2).sum())(x).shape == (0,)
    assert pb.vmap(lambda a: pb.cumsum(a, 0))(x).shape == (0, 3)
    assert pb.vmap(pb.grad(lambda a: (a**2).sum()))(x).shape == (0, 3)


# ---------------------------------------------------------------- with the other transforms


def loss(w, x, y):
    h = (x @ w["a"] + w["b"]).tanh()
    return ((h @ w["c"] - y) ** 2).mean()


def weights():
    return {"a": t(3, 4), "b": t(4), "c": t(4, 2)}


def test_per_sample_gradients() -> None:
    w, x, y = weights(), t(5, 3), t(5, 2)
    found = pb.vmap(pb.grad(loss), in_axes=(None, 0, 0))(w, x, y)
    for name in w:
        same(found[name], pb.stack([pb.grad(loss)(w, x[i], y[i])[name] for i in range(5)]))
    total = pb.grad(lambda w: loss(w, x, y))(w)
    same(found["a"].mean(0), total["a"])


def test_gradient_through_vmap_to_second_order() -> None:
    w, x = t(3, 3), t(4, 3)

    def mapped(w):
        return pb.vmap(lambda a: ((w @ a).tanh() * a).sum() ** 2)(x).sum()

    def loop(w):
        return sum((((w @ a).tanh() * a).sum() ** 2 for a in x), pb.zeros((), dtype="float64"))

    same(pb.grad(mapped)(w), pb.grad(loop)(w))
    same(pb.hessian(mapped)(w), pb.hessian(loop)(w))
    assert pb.gradcheck(mapped, [w], order=2)


def test_gradient_of_per_sample_gradients() -> None:
    """A gradient penalty: the outer gradient goes through vmap and the gradients inside it."""
    w, x = t(3), t(4, 3)

    def critic(w, a):
        return (w * a).sum().exp() + (a**3 * w).sum()

    def mapped(w):
        return ((pb.vmap(pb.grad(critic, argnums=1), in_axes=(None, 0))(w, x).norm(axis=1) - 1) ** 2).mean()

    def loop(w):
        norms = pb.stack([pb.grad(critic, argnums=1)(w, a).norm() for a in x])
        return ((norms - 1) ** 2).mean()

    same(mapped(w), loop(w))
    same(pb.grad(mapped)(w), pb.grad(loop)(w))
    same(pb.hessian(mapped)(w), pb.hessian(loop)(w), 1e-9)


def f(x):
    return pb.stack([x[0] * x[1], x.sin().sum(), (x**3)[2] * x[0]])


def test_jacobians_and_hessians_inside() -> None:
    xs = t(4, 3)
    for transform in (pb.jacrev, pb.jacfwd, pb.jacobian):
        same(pb.vmap(transform(f))(xs), pb.stack([transform(f)(x) for x in xs]))
    same(pb.vmap(pb.hessian(lambda x: f(x).prod()))(xs), pb.stack([pb.hessian(lambda x: f(x).prod())(x) for x in xs]))
    direction = t(3)
    found = pb.vmap(lambda x: pb.hvp(lambda x: f(x).prod(), (x,), (direction,))[0])(xs)
    same(found, pb.stack([pb.hvp(lambda x: f(x).prod(), (x,), (direction,))[0] for x in xs]))
    found = pb.vmap(lambda x, v: pb.jvp(f, (x,), (v,))[1])(xs, xs)
    same(found, pb.stack([pb.jvp(f, (x,), (x,))[1] for x in xs]))


def test_jacobian_forms_agree() -> None:
    x = t(3)
    same(pb.jacfwd(f)(x), pb.jacrev(f)(x))
    same(pb.jacrev(f, chunk_size=2)(x), pb.jacrev(f)(x))
    same(pb.jacfwd(f, chunk_size=1)(x), pb.jacrev(f)(x))
    same(pb.jacfwd(pb.jacrev(f))(x), pb.jacrev(pb.jacfwd(f))(x))
    a, b = pb.jacfwd(lambda x, y: x[:2] * y, argnums=(0, 1))(x, t(2))
    assert a.shape == (2, 3)
    assert b.shape == (2, 2)
    assert pb.jacrev(lambda x: x[:0])(x).shape == pb.jacfwd(lambda x: x[:0])(x).shape == (0, 3)
    same(pb.jacrev(lambda x: x * 0 + pb.ones(3, dtype="float64"))(x), pb.zeros(3, 3, dtype="float64"))


def test_rules_that_look_at_values_work_row_by_row() -> None:
    @pb.custom_vjp
    def doubled(a):
        return a * 2

    doubled.defvjp(lambda a: (a * 2, None), lambda _, g: (g * 2 if g.sum().item() else g * 0,))
    x = t(3)
    same(pb.jacrev(doubled, chunk_size=1)(x), 2 * pb.eye(3, dtype="float64"))
    with pytest.raises(pb.BackendError, match="values cannot be looked at"):
        pb.jacrev(doubled)(x)


def test_a_batch_of_cotangents_over_one_graph() -> None:
    x, gs = t(3), t(5, 3)
    # the graph has a vmap of its own inside
    _, pullback = pb.vjp(lambda x: pb.vmap(lambda a: a.sin() * x.sum())(x), x)
    (found,) = pb.vmap(pullback)(gs)
    same(found, pb.stack([pullback(g)[0] for g in gs]))
    deeper = pb.vmap(pb.vmap(lambda g: pullback(g)[0]))(gs.reshape(5, 1, 3))
    same(deeper, found.reshape(5, 1, 3))


def test_backward_inside_adds_up_like_a_loop() -> None:
    w = t(3).requires_grad_()
    xs = t(4, 3)

    def step(x):
        loss = (w * x).sum() ** 2
        loss.backward()
        return loss

    pb.vmap(step)(xs)
    found, w.grad = w.grad, None
    for x in xs:
        step(x)
    same(found, w.grad)


def test_gradients_of_what_is_outside_say_what_to_do() -> None:
    w = t(3).requires_grad_()
    with pytest.raises(pb.GraphError, match="pass it to the mapped function with in_axes=None"):
        pb.vmap(lambda x: pb.gradients((w * x).sum(), w)[0])(t(4, 3))


def test_checkpoint_anomaly_and_custom_vjp_inside() -> None:
    x = t(4, 3)
    g = pb.vmap(pb.grad(lambda a: pb.checkpoint(lambda b: (b.exp().tanh() * b).sum(), a)))(x)
    same(g, pb.stack([pb.grad(lambda b: (b.exp().tanh() * b).sum())(a) for a in x]))
    with pytest.raises(pb.AnomalyError, match="log"), pb.detect_anomaly():
        pb.vmap(lambda a: pb.log(a - a))(x)

    @pb.custom_vjp
    def doubled(a):
        return a * 2

    doubled.defvjp(lambda a: (a * 2, a), lambda a, g: (g * a,))
    same(pb.vmap(pb.grad(lambda a: doubled(a).sum()))(x), x)


def test_a_model() -> None:
    model = pb.nn.Sequential(
        pb.nn.Conv2d(1, 2, 3), pb.nn.ReLU(), pb.nn.MaxPool2d(2), pb.nn.Flatten(), pb.nn.LayerNorm(8), pb.nn.Linear(8, 3)
    )
    images, labels = pb.tensor(RNG.standard_normal((4, 1, 6, 6)), dtype="float32"), pb.tensor([0, 2, 1, 1])
    found = pb.vmap(lambda image, label: F.cross_entropy(model(image[None]), label[None]))(images, labels)
    same(found, F.cross_entropy(model(images), labels, reduction="none"), 1e-5)


def test_an_op_of_ones_own() -> None:
    @pb.primitive
    def twice(x, /, *, k, xp):
        return x * k

    twice.vjp(x=lambda g, k: twice(g, k=k))
    x, backend = t(3, 2), pb.current_backend()
    before = backend.fallbacks["vmap:twice"]
    same(pb.vmap(lambda a: twice(a, k=2.0))(x), x * 2)
    assert backend.fallbacks["vmap:twice"] == before + 1
    twice.batch(lambda batch, x, *, k: twice(x, k=k))
    same(pb.vmap(pb.grad(lambda a: twice(a, k=2.0).sum()))(x), pb.full((3, 2), 2.0, dtype="float64"))
    assert backend.fallbacks["vmap:twice"] == before + 1
    twice.batch(lambda batch, x, *, k: x.sum())
    with pytest.raises(Exception, match=r"batching rule of twice gave|has no attribute 'sum'"):
        pb.vmap(lambda a: twice(a, k=2.0))(x)


def test_fallbacks_can_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_FALLBACK", "error")
    keys = pb.asarray(np.stack([pb.Generator(i).next_key() for i in range(2)]))
    with pytest.raises(pb.BackendError, match=r"vmap:dropout .* no batching rule for this call"):
        pb.vmap(lambda x, key: pb.dropout(x, key, p=0.5))(t(2, 3), keys)


# ---------------------------------------------------------------- random numbers


def test_randomness() -> None:
    x = pb.ones(3, 100, dtype="float64")
    with pytest.raises(RuntimeError, match='randomness="different"'):
        pb.vmap(lambda a: F.dropout(a, 0.5))(x)
    pb.manual_seed(3)
    different = pb.vmap(lambda a: F.dropout(a, 0.5), randomness="different")(x)
    pb.manual_seed(3)
    same(different, pb.stack([F.dropout(a, 0.5) for a in x]))  # the keys of a loop, in its order
    assert not np.array_equal(different[0].numpy(), different[1].numpy())
    pb.manual_seed(3)
    equal = pb.vmap(lambda a: F.dropout(a, 0.5), randomness="same")(x)
    pb.manual_seed(3)
    first = F.dropout(x[0], 0.5)
    same(equal, pb.stack([first] * 3))
    pb.manual_seed(3)
    drawn = pb.vmap(lambda a: pb.random.normal(4, dtype="float64") + a.sum(), randomness="different")(x)
    pb.manual_seed(3)
    same(drawn, pb.stack([pb.random.normal(4, dtype="float64") + a.sum() for a in x]), 1e-12)


def test_nested_randomness() -> None:
    x = pb.ones(2, 3, 50)

    def inner(a):
        return pb.vmap(lambda b: F.dropout(b, 0.5), randomness="different")(a)

    rows = pb.vmap(inner, randomness="different")(x).numpy().reshape(6, 50)
    assert len({row.tobytes() for row in rows}) == 6
    rows = pb.vmap(inner, randomness="same")(x).numpy()
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0, 0], rows[0, 1])
    with pytest.raises(RuntimeError, match="randomness"):
        pb.vmap(inner)(x)


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pb.vmap(pb.add)(pb.ones(2, 3), pb.ones(3, 3)), r"differ in length: args\[0\] has 2, args\[1\] has 3"),
        (lambda: pb.vmap(pb.exp, in_axes=1)(pb.ones(3)), r"args\[0\] has shape \(3,\) and no axis 1"),
        (lambda: pb.vmap(pb.add, in_axes=(0,))(pb.ones(2), pb.ones(2)), "in_axes has 1 entries for 2 positional"),
        (lambda: pb.vmap(pb.exp, in_axes=None)(pb.ones(2)), "no argument is mapped"),
        (lambda: pb.vmap(pb.exp, axis_size=3)(pb.ones(2)), r"args\[0\] has 2; axis_size=3"),
        (lambda: pb.vmap(lambda d: d["x"], in_axes=({"y": 0},))({"x": pb.ones(2)}), r"in_axes\[0\] has the keys"),
        (lambda: pb.vmap(lambda d: d[0], in_axes=((0, 0),))((pb.ones(2),)), r"in_axes\[0\] is a tuple of 2, but"),
        (lambda: pb.vmap(pb.exp, out_axes=2)(pb.ones(2, 3)), "so out_axes cannot be 2"),
        (lambda: pb.vmap(pb.exp, out_axes=None)(pb.ones(2, 3)), "differs between examples"),
        (lambda: pb.vmap(pb.exp, out_axes=(0, 0))(pb.ones(2, 3)), "out_axes is a tuple of 2"),
        (lambda: pb.vmap(pb.exp, randomness="none")(pb.ones(2)), "randomness must be one of"),
        (lambda: pb.vmap(lambda x: x.item())(pb.ones(2)), "values cannot be looked at"),
        (lambda: pb.vmap(lambda x: x if x > 0 else -x)(pb.ones(2)), "values cannot be looked at"),
        (lambda: pb.vmap(lambda x: x[x > 0])(pb.ones(2, 3)), "how many elements a mask selects differs"),
    ],
)
def test_refused(call, message) -> None:
    with pytest.raises((ValueError, pb.BackendError), match=message):
        call()
    assert pb.vmap(pb.exp)(pb.zeros(2)).tolist() == [1.0, 1.0]  # nothing is left running


def test_types_refused() -> None:
    with pytest.raises(TypeError, match=r"args\[0\] is a str, which cannot be mapped"):
        pb.vmap(lambda x: x)("abc")
    with pytest.raises(TypeError, match="in_axes must hold ints and None, not 'a'"):
        pb.vmap(pb.exp, in_axes="a")(pb.ones(2))


def test_values_can_be_printed() -> None:
    seen = []
    pb.vmap(lambda x: seen.append(repr(x)))(pb.ones(2, 3))
    assert "2 examples of shape (3,)" in seen[0]


def test_indices_are_checked_within_their_example() -> None:
    x, index = t(2, 3), pb.tensor([[0, 2], [1, 3]])
    with pytest.raises(IndexError):
        pb.vmap(lambda a, i: pb.take(a, i, axis=0))(x, index)
    same(pb.vmap(lambda a, i: pb.take(a, i, axis=0))(x, index - 1), pb.stack([x[0][[-1, 1]], x[1][[0, 2]]]))


def test_composite_ops_that_look_at_values() -> None:
    index = pb.tensor([[0, 1, 0], [2, 2, 2]])
    x = t(2, 3)
    same(
        pb.vmap(lambda a, i: pb.scatter_reduce(pb.zeros(4, dtype="float64"), 0, i, a, "amax"))(x, index),
        pb.stack([pb.scatter_reduce(pb.zeros(4, dtype="float64"), 0, index[b], x[b], "amax") for b in range(2)]),
    )
    same(
        pb.vmap(lambda a, i: pb.zeros(4, dtype="float64").at[i].multiply(a))(x, index),
        pb.stack([pb.zeros(4, dtype="float64").at[index[b]].multiply(x[b]) for b in range(2)]),
    )
    found = pb.vmap(lambda i: F.one_hot(i, 3))(index)
    assert found.tolist() == F.one_hot(index, 3).tolist()
    with warnings.catch_warnings(), pytest.raises(ValueError, match="one_hot"):
        pb.vmap(lambda i: F.one_hot(i, 2))(index)


# ---------------------------------------------------------------- modules as functions


def test_functional_call() -> None:
    inner = pb.nn.Linear(3, 3)
    model = pb.nn.Sequential(inner, pb.nn.BatchNorm1d(3), inner)  # the layer is shared
    x = pb.tensor(RNG.standard_normal((4, 3)), dtype="float32")
    before = {name: p.detach() for name, p in model.named_parameters()}
    changed = {name: p * 2 for name, p in before.items()}
    found = pb.nn.functional_call(model.eval(), changed, (x,))
    same(model(x), pb.nn.functional_call(model, before, x))
    for name, p in model.named_parameters():
        p.assign(changed[name])
    same(found, model(x))
    with pytest.raises(KeyError, match=r"no parameter or buffer named 7\.weight"):
        pb.nn.functional_call(model, {"7.weight": x}, (x,))
    with pytest.raises(ValueError, match=r"0\.weight has shape \(3, 3\), not \(4, 3\)"):
        pb.nn.functional_call(model, {"0.weight": x}, (x,))
    assert isinstance(inner.weight, pb.Parameter)
    listed = pb.nn.ParameterList([pb.ones(2)])
    listed.forward = lambda: listed[0]  # type: ignore[method-assign]
    assert pb.nn.functional_call(listed, {"0": pb.zeros(2)}).tolist() == [0, 0]
    assert listed[0].tolist() == [1, 1]


def test_per_sample_gradients_of_a_model() -> None:
    model = pb.nn.Sequential(pb.nn.Conv2d(1, 2, 3), pb.nn.Tanh(), pb.nn.Flatten(), pb.nn.Linear(8, 2))
    images, labels = pb.tensor(RNG.standard_normal((3, 1, 4, 4)), dtype="float32"), pb.tensor([0, 1, 1])
    params = {name: p.detach() for name, p in model.named_parameters()}

    def loss(params, image, label):
        return F.cross_entropy(pb.nn.functional_call(model, params, (image[None],)), label[None])

    found = pb.vmap(pb.grad(loss), in_axes=(None, 0, 0))(params, images, labels)
    for b in range(3):
        model.zero_grad()
        F.cross_entropy(model(images[b : b + 1]), labels[b : b + 1]).backward()
        for name, p in model.named_parameters():
            same(found[name][b], p.grad, 1e-5)
