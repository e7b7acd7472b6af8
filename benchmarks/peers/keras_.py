"""Workloads in Keras 3 on TensorFlow, through `fit`: the classic CNN and the MLP."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from keras import layers

from specs import Spec, data, weights

STEPS = 16  # steps of one `fit` call, so that its fixed cost is spread as in an epoch


def build(spec: Spec, variant: str) -> Callable[[], float]:
    if spec.kind not in ("cnn", "mlp"):
        raise NotImplementedError(f"{spec.kind} is not written for keras")
    w = weights(spec.kind)
    x, y = data(spec)
    if spec.kind == "cnn":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        model = keras.Sequential([
            layers.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10),
        ])  # fmt: skip
        hwc = w["9.weight"].reshape(64, 64, 3, 3).transpose(2, 3, 1, 0).reshape(576, 64)
        values = []
        for i in ("0", "3", "6"):
            values += [w[f"{i}.weight"].transpose(2, 3, 1, 0), w[f"{i}.bias"]]
        values += [hwc, w["9.bias"], w["11.weight"].T, w["11.bias"]]
    else:
        model = keras.Sequential([
            layers.Input((784,)), layers.Dense(128, activation="relu"), layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ])  # fmt: skip
        values = [a for i in ("0", "2", "4") for a in (w[f"{i}.weight"].T, w[f"{i}.bias"])]
    model.set_weights(values)
    if not spec.train:
        return lambda: float(np.asarray(model(x, training=False))[0, 0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), loss)
    many = np.concatenate([x] * STEPS), np.concatenate([y] * STEPS)
    state = {"checked": 0}

    def step() -> float:
        if state["checked"] < 3:  # the driver compares the first losses one step at a time
            state["checked"] += 1
            return float(np.asarray(model.train_on_batch(x, y)))
        return float(model.fit(*many, batch_size=spec.batch, shuffle=False, verbose=0).history["loss"][0])

    step.steps = lambda: 1 if state["checked"] < 3 else STEPS
    return step
