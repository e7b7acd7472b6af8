"""Workloads in Keras 3 on TensorFlow: training through `fit`, inference and what is no model as compiled functions."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from specs import Spec, data, weights

STEPS = 16  # steps of one `fit` call, so that its fixed cost is spread as in an epoch


def prime(variant: str) -> None:
    """Compute something, so that the library is all there."""
    threads = int(os.environ["OMP_NUM_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    x = tf.Variable(tf.ones((64, 64)))
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.nn.relu(x @ x))
    tape.gradient(y, x)


def cnn(w: dict[str, Any], s: dict[str, int]) -> keras.Model:
    model = keras.Sequential([
        layers.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10),
    ])  # fmt: skip
    values = []
    for i in ("0", "3", "6"):
        values += [w[f"{i}.weight"].transpose(2, 3, 1, 0), w[f"{i}.bias"]]
    hwc = w["9.weight"].reshape(64, 64, 3, 3).transpose(2, 3, 1, 0).reshape(576, 64)
    model.set_weights([*values, hwc, w["9.bias"], w["11.weight"].T, w["11.bias"]])
    return model


def mlp(w: dict[str, Any], s: dict[str, int]) -> keras.Model:
    model = keras.Sequential([
        layers.Input((784,)), layers.Dense(128, activation="relu"), layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ])  # fmt: skip
    model.set_weights([a for i in ("0", "2", "4") for a in (w[f"{i}.weight"].T, w[f"{i}.bias"])])
    return model


def recurrent(w: dict[str, Any], s: dict[str, int], kind: str) -> keras.Model:
    layer = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}[kind]
    model = keras.Sequential([
        layers.Input((s["steps"],), dtype="int64"), layers.Embedding(s["vocab"], s["embed"]),
        layer(s["hidden"], return_sequences=True), layers.Dense(s["vocab"]),
    ])  # fmt: skip
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    w_ih, w_hh, b_ih, b_hh = (w[f"rnn.{name}"] for name in names)
    bias = b_ih + b_hh
    if kind == "gru":  # its gates are r, z, n there, and z, r, n here, and it keeps both biases
        w_ih, w_hh, b_ih, b_hh = (
            np.concatenate([np.split(a, 3)[i] for i in (1, 0, 2)]) for a in (w_ih, w_hh, b_ih, b_hh)
        )
        bias = np.stack([b_ih, b_hh])
    model.set_weights([w["embed.weight"], w_ih.T, w_hh.T, bias, w["head.weight"].T, w["head.bias"]])
    return model


class Position(layers.Layer):
    """Adds a learnt vector to each position."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=shape[1:], name="table")

    def call(self, x: Any) -> Any:
        return x + self.table


def gpt(w: dict[str, Any], s: dict[str, int]) -> keras.Model:
    width, heads = s["width"], s["heads"]
    size = width // heads
    tokens = keras.Input((s["steps"],), dtype="int64")
    y = Position()(layers.Embedding(s["vocab"], width)(tokens))
    values = [w["token.weight"], w["position.weight"]]
    for i in range(s["layers"]):
        b = f"blocks.{i}."
        normed = layers.LayerNormalization(epsilon=1e-5)(y)
        y = y + layers.MultiHeadAttention(heads, size)(normed, normed, use_causal_mask=True)
        up = layers.Dense(4 * width)(layers.LayerNormalization(epsilon=1e-5)(y))
        y = y + layers.Dense(width)(keras.activations.gelu(up, approximate=False))
        values += [w[b + "norm1.weight"], w[b + "norm1.bias"]]
        for kernel, bias in zip(np.split(w[b + "qkv.weight"], 3), np.split(w[b + "qkv.bias"], 3), strict=True):
            values += [kernel.T.reshape(width, heads, size), bias.reshape(heads, size)]
        values += [w[b + "out.weight"].T.reshape(heads, size, width), w[b + "out.bias"]]
        values += [w[b + "norm2.weight"], w[b + "norm2.bias"], w[b + "up.weight"].T, w[b + "up.bias"]]
        values += [w[b + "down.weight"].T, w[b + "down.bias"]]
    model = keras.Model(tokens, layers.Dense(s["vocab"])(layers.LayerNormalization(epsilon=1e-5)(y)))
    model.set_weights([*values, w["norm.weight"], w["norm.bias"], w["head.weight"].T, w["head.bias"]])
    return model


def block(w: dict[str, Any], s: dict[str, int]) -> keras.Model:
    c, side = s["channels"], s["side"]
    x = keras.Input((side, side, c))
    y = x
    values = []
    for i in (1, 2):
        y = layers.Conv2D(c, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(epsilon=1e-5)(y)
        y = layers.ReLU()(y) if i == 1 else y
        values += [w[f"conv{i}.weight"].transpose(2, 3, 1, 0), w[f"bn{i}.weight"], w[f"bn{i}.bias"]]
        values += [np.zeros(c, np.float32), np.ones(c, np.float32)]
    model = keras.Model(x, layers.ReLU()(x + y))
    trained = iter(values)  # set_weights wants them layer by layer, running statistics last of each
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([next(trained) for _ in layer.weights])
    return model


def elementwise(x: np.ndarray, g: np.ndarray) -> Callable[[], float]:
    x, g = tf.Variable(x), tf.constant(g)

    @tf.function(jit_compile=True)
    def run() -> Any:
        with tf.GradientTape() as tape:
            y = tf.nn.softmax(tf.nn.gelu(x, approximate=False), axis=-1)
            mean, var = tf.nn.moments(y, [-1], keepdims=True)
            y = (y - mean) / tf.sqrt(var + 1e-5)
        return tape.gradient(y, x, g)

    return lambda: float(run()[0, 0])


def adam(values: list[np.ndarray], grads: list[np.ndarray]) -> Callable[[], float]:
    variables, grads = [keras.Variable(v) for v in values], [tf.constant(g) for g in grads]
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    optimizer.build(variables)
    update = tf.function(lambda: optimizer.apply(grads, variables))

    def step() -> float:
        update()
        return float(variables[0].numpy()[0, 0])

    return step


def build(spec: Spec, variant: str) -> Callable[[], float]:
    if spec.kind == "elementwise":
        return elementwise(*data(spec))
    if spec.kind == "adam":
        return adam(*data(spec))
    arrays = data(spec)
    made = {"cnn": cnn, "mlp": mlp, "gpt": gpt, "block": block}.get(spec.kind) or partial(recurrent, kind=spec.kind)
    model = made(weights(spec.kind), spec.sizes)
    x = arrays[0]
    if spec.kind in ("cnn", "block"):
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    if not spec.train:
        run, images = tf.function(lambda x: model(x, training=False)), tf.constant(x)
        return lambda: float(run(images)[0, 0])
    if spec.kind == "block":
        y, loss = np.zeros_like(x), lambda true, found: keras.ops.mean(keras.ops.square(found))
    else:
        y, loss = arrays[1], keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), loss)
    many = np.concatenate([x] * STEPS), np.concatenate([y] * STEPS)
    state = {"checked": 0}

    def step() -> float:
        if state["checked"] < 3:  # the driver compares the first losses one step at a time
            state["checked"] += 1
            model.reset_metrics()
            return float(np.asarray(model.train_on_batch(x, y)))
        return float(model.fit(*many, batch_size=spec.batch, shuffle=False, verbose=0).history["loss"][0])

    step.steps = lambda: 1 if state["checked"] < 3 else STEPS
    return step
