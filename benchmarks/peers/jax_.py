"""Workloads in JAX: one jitted function a step, parameters and Adam state donated."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from specs import Spec, data, weights

Params = dict[str, Any]


def conv(x: Any, w: Any, b: Any, pad: str | tuple = "VALID") -> Any:
    y = jax.lax.conv_general_dilated(x, w, (1, 1), pad, dimension_numbers=("NCHW", "OIHW", "NCHW"))
    return y if b is None else y + b[:, None, None]


def pool(x: Any) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def linear(p: Params, name: str, x: Any) -> Any:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def norm(p: Params, name: str, x: Any) -> Any:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def cnn(p: Params, x: Any, spec: Spec) -> Any:
    x = pool(jax.nn.relu(conv(x, p["0.weight"], p["0.bias"])))
    x = pool(jax.nn.relu(conv(x, p["3.weight"], p["3.bias"])))
    x = jax.nn.relu(conv(x, p["6.weight"], p["6.bias"])).reshape(x.shape[0], -1)
    return linear(p, "11", jax.nn.relu(linear(p, "9", x)))


def mlp(p: Params, x: Any, spec: Spec) -> Any:
    return linear(p, "4", jax.nn.relu(linear(p, "2", jax.nn.relu(linear(p, "0", x)))))


def recurrent(p: Params, x: Any, spec: Spec) -> Any:
    lstm, gru = spec.kind == "lstm", spec.kind == "gru"
    inner = 0 if gru else p["rnn.bias_hh_l0"]  # a GRU's second bias is added to the product with the state
    pre = p["embed.weight"][x] @ p["rnn.weight_ih_l0"].T + p["rnn.bias_ih_l0"] + inner

    def lstm_cell(carry: Any, z: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(z + h @ p["rnn.weight_hh_l0"].T, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru_cell(h: Any, a: Any) -> Any:
        b = h @ p["rnn.weight_hh_l0"].T + p["rnn.bias_hh_l0"]
        (ar, az, an), (br, bz, bn) = jnp.split(a, 3, axis=-1), jnp.split(b, 3, axis=-1)
        z = jax.nn.sigmoid(az + bz)
        h = (1 - z) * jnp.tanh(an + jax.nn.sigmoid(ar + br) * bn) + z * h
        return h, h

    def rnn_cell(h: Any, a: Any) -> Any:
        h = jnp.tanh(a + h @ p["rnn.weight_hh_l0"].T)
        return h, h

    zeros = jnp.zeros((x.shape[0], spec.sizes["hidden"]), jnp.float32)
    cell, start = (lstm_cell, (zeros, zeros)) if lstm else (gru_cell if gru else rnn_cell, zeros)
    _, h = jax.lax.scan(cell, start, pre.transpose(1, 0, 2))
    return linear(p, "head", h.transpose(1, 0, 2))


def gpt(p: Params, x: Any, spec: Spec) -> Any:
    s = spec.sizes
    w, heads, t = s["width"], s["heads"], s["steps"]
    mask = jnp.tril(jnp.ones((t, t), bool))
    y = p["token.weight"][x] + p["position.weight"]
    for i in range(s["layers"]):
        b = f"blocks.{i}."
        qkv = (
            linear(p, b + "qkv", norm(p, b + "norm1", y)).reshape(-1, t, 3, heads, w // heads).transpose(2, 0, 3, 1, 4)
        )
        a = qkv[0] @ qkv[1].swapaxes(-1, -2) / math.sqrt(w // heads)
        a = jax.nn.softmax(jnp.where(mask, a, -jnp.inf), axis=-1) @ qkv[2]
        y = y + linear(p, b + "out", a.transpose(0, 2, 1, 3).reshape(-1, t, w))
        up = jax.nn.gelu(linear(p, b + "up", norm(p, b + "norm2", y)), approximate=False)
        y = y + linear(p, b + "down", up)
    return linear(p, "head", norm(p, "norm", y))


def block(p: Params, x: Any, spec: Spec) -> Any:
    def bn(name: str, z: Any) -> Any:
        mean, var = z.mean((0, 2, 3), keepdims=True), z.var((0, 2, 3), keepdims=True)
        scale, shift = p[f"{name}.weight"][:, None, None], p[f"{name}.bias"][:, None, None]
        return (z - mean) / jnp.sqrt(var + 1e-5) * scale + shift

    pad = ((1, 1), (1, 1))
    y = jax.nn.relu(bn("bn1", conv(x, p["conv1.weight"], None, pad)))
    return jax.nn.relu(x + bn("bn2", conv(y, p["conv2.weight"], None, pad)))


def adam(p: Params, g: Params, m: Params, v: Params, t: Any) -> Any:
    tree = jax.tree_util.tree_map
    m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    c1, c2 = 1 - 0.9**t, 1 - 0.999**t
    return tree(lambda p, m, v: p - 1e-3 * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), p, m, v), m, v


def prime(variant: str) -> None:
    """Compute something, so that the library is all there."""
    jax.grad(lambda x: jax.nn.relu(x @ x).sum())(jnp.ones((64, 64))).block_until_ready()


def build(spec: Spec, variant: str) -> Callable[[], float]:
    if spec.kind == "elementwise":
        x, g = (jnp.asarray(a) for a in data(spec))

        def f(x: Any) -> Any:
            y = jax.nn.softmax(jax.nn.gelu(x, approximate=False), axis=-1)
            mean, var = y.mean(-1, keepdims=True), y.var(-1, keepdims=True)
            return (y - mean) / jnp.sqrt(var + 1e-5)

        chain = jax.jit(lambda x, g: jax.vjp(f, x)[1](g)[0])
        return lambda: float(chain(x, g)[0, 0])
    state: dict[str, Any] = {"t": 0}
    if spec.kind == "adam":
        values, grads = data(spec)
        p = {str(i): jnp.asarray(v) for i, v in enumerate(values)}
        g = {str(i): jnp.asarray(v) for i, v in enumerate(grads)}
        update = jax.jit(lambda p, m, v, t: adam(p, g, m, v, t), donate_argnums=(0, 1, 2))
    else:
        forward = {"cnn": cnn, "mlp": mlp, "gpt": gpt, "block": block}.get(spec.kind, recurrent)
        p = {k: jnp.asarray(v) for k, v in weights(spec.kind).items()}
        inputs = [jnp.asarray(a) for a in data(spec)]
        if not spec.train:
            run = jax.jit(lambda p, x: forward(p, x, spec))
            return lambda: float(run(p, inputs[0])[0, 0])

        def loss(p: Params) -> Any:
            out = forward(p, inputs[0], spec)
            if spec.kind == "block":
                return (out**2).mean()
            logp = jax.nn.log_softmax(out.reshape(-1, out.shape[-1]))
            return -jnp.take_along_axis(logp, inputs[1].reshape(-1, 1), 1).mean()

        def train(p: Params, m: Params, v: Params, t: Any) -> Any:
            value, g = jax.value_and_grad(loss)(p)
            return value, adam(p, g, m, v, t)

        update = jax.jit(train, donate_argnums=(0, 1, 2))
    state["s"] = (p, jax.tree_util.tree_map(jnp.zeros_like, p), jax.tree_util.tree_map(jnp.zeros_like, p))

    def step() -> float:
        state["t"] += 1
        out = update(*state["s"], jnp.float32(state["t"]))
        if spec.kind == "adam":
            state["s"] = out
            return float(out[0]["0"][0, 0])
        state["s"] = out[1]
        return float(out[0])

    return step
