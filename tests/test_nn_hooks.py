"""Hooks on modules."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import nn


def data(*shape):
    return pb.Tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32), requires_grad=True)


def test_forward_hooks_see_and_replace():
    layer, seen = nn.Linear(2, 3), []
    x = data(4, 2)
    expected = layer(x * 2.0).numpy() + 1.0
    pre = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2.0,))
    post = layer.register_forward_hook(lambda m, args, out: seen.append((m, args[0].shape)) or out + 1.0)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-6)
    assert seen == [(layer, (4, 2))]
    pre.remove()
    pre.remove()
    post.remove()
    np.testing.assert_array_equal(layer(x).numpy(), layer.forward(x).numpy())


def test_hooks_with_kwargs_order_and_context():
    class Scaled(nn.Module):
        def forward(self, x, factor=1.0):
            return x * factor

    layer, order = Scaled(), []
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"factor": 3.0}), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, kwargs, out: order.append(kwargs["factor"]), with_kwargs=True)
    with layer.register_forward_hook(lambda m, args, out: order.append("first"), prepend=True):
        np.testing.assert_allclose(layer(data(2), factor=2.0).numpy(), 3 * data(2).numpy())
    layer(data(2))
    assert order == ["first", 3.0, 3.0]


def test_full_backward_hook():
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x, calls = data(4, 2), []
    net(x).sum().backward()
    plain = x.grad.numpy()
    x.grad = None
    handle = net[2].register_full_backward_hook(lambda m, gi, go: calls.append((m, gi, go)))
    net(x).sum().backward()
    ((module, (gi,), (go,)),) = calls
    assert module is net[2]
    np.testing.assert_array_equal(go.numpy(), np.ones((4, 1)))
    np.testing.assert_allclose(gi.numpy(), np.ones((4, 1)) @ net[2].weight.numpy(), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), plain, rtol=1e-6)
    handle.remove()
    x.grad = None
    net[2].register_full_backward_hook(lambda m, gi, go: (gi[0] * 2.0,))
    net(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * plain, rtol=1e-6)


def test_backward_hook_sees_this_use_of_the_input_only():
    layer, calls = nn.Linear(2, 2), []
    layer.register_full_backward_hook(lambda m, gi, go: calls.append(gi[0].numpy()))
    x = data(3, 2)
    (layer(x).sum() + (x * 100.0).sum()).backward()
    np.testing.assert_allclose(calls[0], np.ones((3, 2)) @ layer.weight.numpy(), rtol=1e-6)


def test_backward_hook_without_input_gradient_and_pre_hook():
    layer, calls = nn.Linear(2, 1), []
    layer.register_full_backward_pre_hook(lambda m, go: (go[0] * 10.0,))
    layer.register_full_backward_hook(lambda m, gi, go: calls.append((gi, go[0].numpy())))
    layer(data(3, 2).detach()).sum().backward()
    assert calls[0][0] == (None,)
    np.testing.assert_array_equal(calls[0][1], np.full((3, 1), 10.0))
    np.testing.assert_array_equal(layer.bias.grad.numpy(), [30.0])


def test_backward_hooks_on_several_inputs_and_outputs():
    class Both(nn.Module):
        def forward(self, x, y):
            return x * y, x + y

    layer, calls = Both(), []
    layer.register_full_backward_hook(lambda m, gi, go: calls.append((gi, go)))
    x, y = data(2), data(2).detach()
    out = layer(x, y)
    assert isinstance(out, tuple)
    out[0].sum().backward()
    (((gx, gy), (g0, g1)),) = calls
    np.testing.assert_allclose(gx.numpy(), y.numpy())
    assert gy is None
    np.testing.assert_array_equal(g0.numpy(), [1, 1])
    np.testing.assert_array_equal(g1.numpy(), [0, 0])


def test_backward_hooks_take_part_in_second_derivatives():
    layer, calls = nn.Sequential(nn.Tanh()), []
    layer.register_full_backward_hook(lambda m, gi, go: calls.append(gi[0].requires_grad))
    x = pb.Tensor([0.3], requires_grad=True)
    layer(x).sum().backward(create_graph=True)
    first, x.grad = x.grad, None
    first.sum().backward()
    t = np.tanh(0.3)
    np.testing.assert_allclose(first.numpy(), [1 - t * t], rtol=1e-5)
    np.testing.assert_allclose(x.grad.numpy(), [-2 * t * (1 - t * t)], rtol=1e-5)
    assert calls[0]


def test_backward_hooks_need_tensors():
    class Odd(nn.Module):
        def forward(self, x):
            return {"y": x}

    layer = Odd()
    layer.register_full_backward_hook(lambda m, gi, go: None)
    with pytest.raises(TypeError, match="Odd has backward hooks and returns a dict"):
        layer(data(2))
