"""Models of images: a ResNet, a contrastive learner, a DCGAN, a WGAN with gradient penalty, a variational autoencoder.

No layer has a bias whose gradient is 0 whatever the data (before a normalisation, or last in a critic): such a gradient
is rounding noise, of which adaptive optimisers make steps of full size, different ones in every library.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .model import Batch, Library, Networks, Ported


def images(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1.0, 1.0, shape)


# ---------------------------------------------------------------- ResNet (He et al. 2015)


def residual_network(lib: Library, classes: int) -> Any:
    nn, F = lib.nn, lib.F

    class Block(nn.Module):
        def __init__(self, c: int, out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(c, out, 3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            self.downsample = (
                nn.Sequential(nn.Conv2d(c, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))
                if stride != 1 or c != out
                else nn.Identity()
            )

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(y + self.downsample(x))

    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        Block(4, 4, 1), Block(4, 8, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(8, classes),
    )  # fmt: skip


RESNET = Ported(
    "ResNet", lambda lib: {"net": residual_network(lib, 5)},
    lambda rng: {"x": images(rng, 6, 3, 8, 8), "y": rng.integers(0, 5, 6)},
    lambda lib, n, b: n["net"](b["x"]),
    {"net": lambda lib, n, b: lib.F.cross_entropy(n["net"](b["x"]), b["y"])},
    lambda optim, p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=lambda optim, o: optim.lr_scheduler.MultiStepLR(o, milestones=[8, 15], gamma=0.1),
)  # fmt: skip


# ---------------------------------------------------------------- SimCLR (Chen et al. 2020)


def build_simclr(lib: Library) -> Networks:
    nn = lib.nn
    head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 6))
    return {"net": nn.Sequential(residual_network(lib, 8), head)}


def nt_xent(lib: Library, n: Networks, b: Batch) -> Any:
    T, F = lib.T, lib.F
    z = F.normalize(T.cat([n["net"](b["first"]), n["net"](b["second"])], dim=0), dim=1)
    scores = (z @ z.transpose(0, 1)) / 0.5
    scores = scores.masked_fill(b["self"], float("-inf"))
    return F.cross_entropy(scores, b["partner"])


def two_views(rng: np.random.Generator) -> dict[str, np.ndarray]:
    x = images(rng, 6, 3, 8, 8)
    return {
        "first": x + 0.1 * rng.standard_normal(x.shape), "second": x[..., ::-1] + 0.1 * rng.standard_normal(x.shape),
        "self": np.eye(12, dtype=bool), "partner": (np.arange(12) + 6) % 12,
    }  # fmt: skip


SIMCLR = Ported(
    "SimCLR with NT-Xent", build_simclr, two_views,
    lambda lib, n, b: lib.F.normalize(n["net"](b["first"]), dim=1),
    {"net": nt_xent},
    lambda optim, p: optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-4),
)  # fmt: skip


# ---------------------------------------------------------------- DCGAN (Radford et al. 2015)


def build_dcgan(lib: Library) -> Networks:
    nn = lib.nn
    generator = nn.Sequential(
        nn.ConvTranspose2d(5, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(True),
        nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(True),
        nn.ConvTranspose2d(4, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(4, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(8, 1, 4, 1, 0, bias=False), nn.Flatten(0),
    )  # fmt: skip
    return {"d": discriminator, "g": generator}


def dcgan_discriminator(lib: Library, n: Networks, b: Batch) -> Any:
    T, bce = lib.T, lib.F.binary_cross_entropy_with_logits
    real, fake = n["d"](b["x"]), n["d"](n["g"](b["z"]).detach())
    return bce(real, T.ones_like(real)) + bce(fake, T.zeros_like(fake))


def dcgan_generator(lib: Library, n: Networks, b: Batch) -> Any:
    fake = n["d"](n["g"](b["z"]))
    return lib.F.binary_cross_entropy_with_logits(fake, lib.T.ones_like(fake))


DCGAN = Ported(
    "DCGAN", build_dcgan,
    lambda rng: {"x": images(rng, 4, 1, 16, 16), "z": rng.standard_normal((4, 5, 1, 1))},
    lambda lib, n, b: n["g"](b["z"]),
    {"d": dcgan_discriminator, "g": dcgan_generator},
    lambda optim, p: optim.Adam(p, lr=2e-3, betas=(0.5, 0.999)),
)  # fmt: skip


# ---------------------------------------------------------------- WGAN-GP (Gulrajani et al. 2017)


def build_wgan(lib: Library) -> Networks:
    nn = lib.nn
    critic = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False), nn.InstanceNorm2d(4, affine=True), nn.SiLU(),
        nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 1, bias=False),
    )  # fmt: skip
    generator = nn.Sequential(
        nn.Linear(5, 16), nn.SiLU(), nn.Unflatten(1, (1, 4, 4)), nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(1, 1, 3, padding=1), nn.Tanh(),
    )  # fmt: skip
    return {"critic": critic, "g": generator}


def critic_loss(lib: Library, n: Networks, b: Batch) -> Any:
    fake = n["g"](b["z"]).detach()
    mixed = (b["x"] * b["t"] + fake * (1 - b["t"])).detach().requires_grad_()
    slope = lib.gradients(n["critic"](mixed).sum(), mixed)
    penalty = ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
    return n["critic"](fake).mean() - n["critic"](b["x"]).mean() + 10 * penalty


WGAN = Ported(
    "WGAN-GP", build_wgan,
    lambda rng: {"x": images(rng, 4, 1, 8, 8), "z": rng.standard_normal((4, 5)), "t": rng.uniform(0, 1, (4, 1, 1, 1))},
    lambda lib, n, b: n["critic"](n["g"](b["z"])),
    {"critic": critic_loss, "g": lambda lib, n, b: -n["critic"](n["g"](b["z"])).mean()},
    lambda optim, p: optim.RMSprop(p, lr=1e-3, momentum=0.5),
)  # fmt: skip


# ---------------------------------------------------------------- variational autoencoder (Kingma & Welling 2013)


def build_vae(lib: Library) -> Networks:
    nn, T = lib.nn, lib.T

    class VAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(36, 16), nn.GroupNorm(4, 16), nn.Softplus(), nn.Linear(16, 6))
            self.decoder = nn.Sequential(nn.Linear(3, 16), nn.ELU(), nn.Linear(16, 36))

        def forward(self, x: Any, noise: Any) -> Any:
            mean, log_var = self.encoder(x).chunk(2, dim=1)
            return self.decoder(mean + T.exp(0.5 * log_var) * noise), mean, log_var

    return {"net": VAE()}


def vae_loss(lib: Library, n: Networks, b: Batch) -> Any:
    logits, mean, log_var = n["net"](b["x"], b["noise"])
    likelihood = lib.F.binary_cross_entropy_with_logits(logits, b["x"], reduction="sum")
    return (likelihood - 0.5 * (1 + log_var - mean**2 - log_var.exp()).sum()) / b["x"].shape[0]


VAE = Ported(
    "variational autoencoder", build_vae,
    lambda rng: {"x": rng.uniform(0, 1, (6, 36)), "noise": rng.standard_normal((6, 3))},
    lambda lib, n, b: n["net"](b["x"], b["noise"])[0],
    {"net": vae_loss},
    lambda optim, p: optim.NAdam(p, lr=3e-3),
    schedule=lambda optim, o: optim.lr_scheduler.ExponentialLR(o, 0.95),
)  # fmt: skip
