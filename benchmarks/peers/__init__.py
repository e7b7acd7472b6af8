"""Libraries under comparison: module name and variant by peer name."""

from __future__ import annotations

import importlib.util

from specs import Spec

PEERS = {
    "pullback-numba": ("pullback_", "numba"),
    "pullback-numba-compiled": ("pullback_", "numba,compile"),
    "pullback-numpy": ("pullback_", "numpy"),
    "pullback-cupy": ("pullback_", "cupy"),
    "torch": ("torch_", "eager"),
    "torch-fused": ("torch_", "eager,fused"),
    "torch-channels-last": ("torch_", "channels_last"),
    "torch-channels-last-fused": ("torch_", "channels_last,fused"),
    "torch-compile": ("torch_", "compile"),
    "torch-compile-fused": ("torch_", "compile,fused"),
    "jax": ("jax_", "jit"),
    "keras": ("keras_", "fit"),
}
_LIBRARY = {"pullback_": "pullback", "torch_": "torch", "jax_": "jax", "keras_": "keras"}


def installed(peer: str) -> bool:
    """Whether the library is there; CuPy is left out where there is no GPU."""
    module, variant = PEERS[peer]
    if variant == "cupy":
        from pullback.backends import availability

        return not availability()["cupy"]
    return importlib.util.find_spec("numba" if "numba" in variant else _LIBRARY[module]) is not None


def applies(peer: str, spec: Spec) -> bool:
    """Whether a variant differs from others of its library on a workload."""
    options = set(PEERS[peer][1].split(","))
    steps = spec.train and spec.kind not in ("elementwise", "chain")
    if spec.kind == "chain":  # per-op overhead: of libraries that compute op by op
        return peer in ("pullback-numba", "pullback-numpy", "pullback-cupy", "torch")
    if "channels_last" in options and spec.kind not in ("cnn", "block"):
        return False
    if "compile" in options and spec.kind == "adam" and peer.startswith("torch"):
        return False
    return steps or "fused" not in options
