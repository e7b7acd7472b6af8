"""Differentiable functions of the user's own: custom_vjp, and primitives around other people's code."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.autograd.tensor import Tensor


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


def square_exp():
    """x ↦ x²·eˣ with its rule, and a count of the rule's calls."""
    calls = []

    @pb.custom_vjp
    def f(x):
        """Square times exponential."""
        return x * x * x.exp()

    def fwd(x):
        e = x.exp()
        return x * x * e, (x, e)

    def bwd(residuals, g):
        calls.append(1)
        x, e = residuals
        return (g * (2.0 * x * e + x * x * e),)

    f.defvjp(fwd, bwd)
    return f, calls


def test_the_rule_is_used_and_the_function_keeps_its_name() -> None:
    f, calls = square_exp()
    assert f.__name__ == "f"
    assert f.__doc__ == "Square times exponential."
    x = Tensor(np.array([0.5, 1.5]), requires_grad=True)
    y = f(x)
    assert "custom_vjp:f" in repr(y)
    y.sum().backward()
    v = x.numpy()
    np.testing.assert_allclose(x.grad.numpy(), (2 * v + v * v) * np.exp(v))
    assert len(calls) == 1


def test_every_order() -> None:
    f, _ = square_exp()

    def plain(x):
        return x * x * x.exp()

    a = np.array([0.3, -0.7, 1.1])
    assert pb.gradcheck(f, [a])
    assert pb.gradcheck(f, [a], order=2)

    def third(fn):
        d = lambda h: pb.grad(lambda x: h(x).sum())
        return d(d(d(fn)))(Tensor(a)).numpy()

    np.testing.assert_allclose(third(f), third(plain), rtol=1e-12)


def test_the_given_rule_wins_over_the_ops_inside() -> None:
    @pb.custom_vjp
    def reverse_gradient(x):
        return x * 1.0

    reverse_gradient.defvjp(lambda x: (x * 1.0, None), lambda _, g: (-g,))
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    (reverse_gradient(x) * 3.0).sum().backward()
    assert x.grad.tolist() == [-3.0, -3.0]


def test_several_arguments_outputs_and_other_residuals() -> None:
    @pb.custom_vjp
    def f(x, n, y):
        return x * y, x + y

    def fwd(x, n, y):
        return (x * y, x + y), {"inputs": [x, y], "n": n, "label": ("a", 1)}

    def bwd(residuals, g):
        first, second = g
        x, y = residuals["inputs"]
        assert residuals["label"] == ("a", 1)
        n = residuals["n"]
        return n * first * y + second, None, n * first * x + second

    f.defvjp(fwd, bwd)
    x, y = (Tensor(np.array(v), requires_grad=True) for v in ([1.0, 2.0], [3.0, 4.0]))
    a, b = f(x, 10, y)
    (a + b * 100.0).sum().backward()
    assert x.grad.tolist() == [130.0, 140.0]
    assert y.grad.tolist() == [110.0, 120.0]
    x.grad = y.grad = None
    f(x, 10, y)[0].sum().backward()  # the other output's cotangent is zeros
    assert x.grad.tolist() == [30.0, 40.0]
    only = f(x.detach(), 1, y)[1]
    only.sum().backward()
    assert y.grad.tolist() == [11.0, 21.0]


def test_without_recording_the_function_itself_is_called() -> None:
    f, calls = square_exp()
    assert not f(Tensor([1.0])).requires_grad
    with pb.no_grad():
        assert not f(Tensor([1.0], requires_grad=True)).requires_grad
    assert not calls


def test_inside_checkpoint_and_with_parameters() -> None:
    f, _ = square_exp()
    w = pb.Parameter(np.array([0.5]))
    pb.checkpoint(lambda: f(w * 2.0).sum()).backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * 3 * np.exp(1.0))


@pytest.mark.parametrize(
    ("fwd", "bwd", "error", "message"),
    [
        (lambda x: x * x, lambda r, g: (g,), TypeError, "fwd must return the pair .* not a Tensor"),
        (lambda x: (1.0, None), lambda r, g: (g,), TypeError, "must be a Tensor or a tuple of Tensors, not a float"),
        (lambda x: (x * 2.0, None), lambda r, g: g, TypeError, "bwd must return a tuple .* not a Tensor"),
        (lambda x: (x * 2.0, None), lambda r, g: (g, g), TypeError, r"bwd gave 2 cotangents for 1 argument\(s\)"),
        (lambda x: (x * 2.0, None), lambda r, g: (1.0,), TypeError, "cotangent 0 is a float"),
        (
            lambda x: (x * 2.0, None),
            lambda r, g: (g.sum(),),
            ValueError,
            r"cotangent 0 has shape \(\), the argument \(2,\)",
        ),
    ],
)
def test_wrong_rules(fwd, bwd, error: type, message: str) -> None:
    @pb.custom_vjp
    def wrong(x):
        return x * 2.0

    wrong.defvjp(fwd, bwd)
    with pytest.raises(error, match=f"wrong: .*{message}"):
        wrong(Tensor([1.0, 2.0], requires_grad=True)).sum().backward()


def test_a_function_without_a_rule() -> None:
    @pb.custom_vjp
    def f(x):
        return x

    with pytest.raises(TypeError, match=r"f has no rule yet; give one with f\.defvjp"):
        f(Tensor([1.0]))


# ---------------------------------------------------------------- primitives of the user's own


def test_a_primitive_around_a_numba_function() -> None:
    numba = pytest.importorskip("numba")

    @numba.njit
    def horner(x, c):
        out = np.empty_like(x)
        for i in range(x.size):
            acc = 0.0
            for k in range(c.size - 1, -1, -1):
                acc = acc * x[i] + c[k]
            out[i] = acc
        return out

    @pb.primitive(tensor_rules=True, name="test_polynomial")
    def polynomial(x, c, /):
        return horner(np.ascontiguousarray(x), c)

    def slope(g, x, c):
        k = pb.Tensor(np.arange(1.0, c.shape[0]))
        return g * (polynomial(x, c[1:] * k) if c.shape[0] > 1 else x * 0.0)

    def coefficients(g, x, c):
        powers = pb.stack([x**k for k in range(c.shape[0])])
        return (powers * g).sum(axis=1)

    polynomial.vjp(x=slope, c=coefficients)
    x, c = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0])
    tensor = Tensor(x, requires_grad=True)
    y = polynomial(tensor, Tensor(c))
    np.testing.assert_allclose(y.numpy(), np.polynomial.polynomial.polyval(x, c))
    y.sum().backward()
    np.testing.assert_allclose(tensor.grad.numpy(), 2 + 6 * x + 12 * x * x)
    assert pb.gradcheck(polynomial, [x, c])
    assert pb.gradcheck(polynomial, [x, c], order=2)


def test_ops_of_one_name_do_not_meet() -> None:
    def times(k):
        @pb.primitive(name="test_times")
        def op(x, /):
            return x * k

        return op

    twice, thrice = times(2), times(3)
    assert twice(np.ones(1)).item() == 2.0
    assert thrice(np.ones(1)).item() == 3.0
    assert twice(np.ones(1)).item() == 2.0

    @pb.primitive
    def exp(x, /):
        return x * 0.0

    assert exp(np.ones(1)).item() == 0.0
    assert pb.exp(np.zeros(1)).item() == 1.0
