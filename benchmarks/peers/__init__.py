"""Libraries under comparison: module name and variant by peer name."""

PEERS = {
    "pullback-numba": ("pullback_", "numba"),
    "pullback-numpy": ("pullback_", "numpy"),
    "torch": ("torch_", "eager"),
    "torch-fused": ("torch_", "eager,fused"),
    "torch-channels-last": ("torch_", "channels_last,fused"),
    "torch-compile": ("torch_", "compile,fused"),
    "jax": ("jax_", "jit"),
    "keras": ("keras_", "fit"),
}
