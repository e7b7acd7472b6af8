"""The main job: a classic convolutional network learns to read digits. Copy this file and change what you like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, current_backend, manual_seed, nn, optim
from ..data import FASHION_CLASSES, DataUnavailableError, load_digits, load_fashion_mnist, load_mnist
from .trainer import Trainer

LOADERS = {"digits": lambda: load_digits(28), "mnist": load_mnist, "fashion-mnist": load_fashion_mnist}
EPOCHS = {"digits": 25, "mnist": 5, "fashion-mnist": 5}


def classic_cnn() -> nn.Sequential:
    """Three convolutions and two dense layers for images of 28×28: (n, 1, 28, 28) -> scores (n, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(64 * 3 * 3, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip


def run(data: str = "digits", backend_name: str | None = None, epochs: int | None = None, seed: int = 0,
        out: str | Path = "pullback-demo") -> dict[str, float]:  # fmt: skip
    """Train, evaluate and save; returns the test loss and accuracy."""
    try:
        import matplotlib.figure  # noqa: F401  (before the work, not after it)
    except ImportError as error:
        raise ImportError("the demo draws what it learnt with matplotlib: pip install 'pullback[demo]'") from error
    data, ((x_train, y_train), (x_test, y_test)) = load(data)
    with backend(backend_name or current_backend()) as chosen:
        print(f"{data}: {len(x_train)} images to train with, {len(x_test)} to test; backend {chosen.name}")
        manual_seed(seed)
        model = classic_cnn()
        epochs = epochs or EPOCHS[data]
        optimizer = optim.Adam(model.parameters(), lr=3e-3)
        schedule = optim.CosineAnnealingLR(optimizer, T_max=epochs)  # large steps at first, small ones to settle
        trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), ["accuracy"], scheduler=schedule, jit_compile=True)
        history = trainer.fit(x_train, y_train, epochs=epochs, batch_size=32, seed=seed)
        test = trainer.evaluate(x_test, y_test, batch_size=128)
        print(f"trained in {sum(history.seconds):.1f} s")
        print(f"test loss {test['loss']:.4f}, test accuracy {test['accuracy']:.4f}")
        shown = x_test[:40]
        guesses = trainer.predict(shown).argmax(axis=1)

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    nn.save_safetensors(model, folder / "weights.safetensors")
    history.save(folder / "history.json")
    history.save(folder / "history.csv")
    history.plot(folder / "history.png")
    draw(folder / "predictions.png", shown, y_test, guesses, FASHION_CLASSES if data == "fashion-mnist" else range(10))
    for path in sorted(folder.iterdir()):
        print(f"saved {path}")
    return test


def load(name: str) -> tuple[str, Any]:
    """The data set, or the digits, which need no network, where it cannot be had; and its name."""
    try:
        return name, LOADERS[name]()
    except (DataUnavailableError, ImportError) as error:
        if name == "digits":
            raise
        print(f"{error}\n{name} is not at hand: using the digits instead")
        return "digits", LOADERS["digits"]()


def draw(path: Path, images: np.ndarray, labels: np.ndarray, guesses: np.ndarray, names: Any) -> None:
    """Draw images with what the model takes them for; in red, with the truth, where it is wrong."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), layout="constrained")
    for axes, image, label, guess in zip(figure.subplots(5, 8).flat, images, labels, guesses, strict=False):
        axes.imshow(image[0], cmap="gray_r")
        axes.axis("off")
        right = guess == label
        axes.set_title(f"{names[guess]}" if right else f"{names[guess]}, not {names[label]}", fontsize=8,
                       color="black" if right else "crimson")  # fmt: skip
    figure.savefig(path)
