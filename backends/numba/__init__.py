"""The Numba backend: NumPy's arrays and functions, with compiled, threaded kernels for what takes the time.

Making the backend imports nothing of Numba. A kernel's module is imported when a guard first lets a call through, and
the kernel is compiled, or loaded from the cache on disk, at its first call for a dtype.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from .. import threads
from ..base import Kernel
from ..numpy import NumpyBackend
from . import guards, guards_sequence, sizes

__all__ = ["NumbaBackend"]

# op -> (module of this package, guard); the kernel has the op's name
_KERNELS: dict[str, tuple[str, Callable[..., bool]]] = {
    "conv2d": ("conv", guards.conv2d),
    "conv2d_bias": ("conv", guards.conv2d_bias),
    "conv2d_input_grad": ("conv_input", guards.conv2d_input_grad),
    "conv2d_weight_grad": ("conv", guards.conv2d_weight_grad),
    "conv2d_relu": ("conv_block", guards.conv2d_bias),
    "conv2d_relu_grad": ("conv_block", guards.conv2d_relu_grad),
    "conv2d_relu_max_pool2d": ("conv_block", guards.conv2d_relu_max_pool2d),
    "conv2d_relu_max_pool2d_grad": ("conv_block", guards.conv2d_relu_max_pool2d_grad),
    "stack_frames": ("frames", guards.stack_frames),
    "add_frames": ("frames", guards.add_frames),
    "linear": ("products", guards.linear),
    "linear_grad": ("products", guards.linear_grad),
    "linear_relu": ("products", guards.linear),
    "linear_relu_grad": ("products", guards.linear_relu_grad),
    "linear_gelu": ("dense_gelu", guards.linear_gelu),
    "linear_gelu_grad": ("dense_gelu", guards.linear_gelu_grad),
    "matmul": ("products", guards.matmul),
    "max_pool2d": ("pool", guards.max_pool2d),
    "max_pool2d_unpool": ("pool", guards.max_pool2d_unpool),
    "avg_pool2d": ("pool", guards.avg_pool2d),
    "avg_pool2d_grad": ("pool", guards.avg_pool2d_grad),
    "softmax": ("rows", guards.last_axis),
    "softmax_grad": ("rows", guards.last_axis),
    "log_softmax": ("rows", guards.last_axis),
    "log_softmax_grad": ("rows", guards.last_axis),
    "standardize": ("rows", guards.standardize),
    "standardize_grad": ("rows", guards.standardize),
    "layer_norm": ("rows", guards.layer_norm),
    "layer_norm_grad": ("rows", guards.layer_norm_grad),
    "rms_norm": ("rms", guards.layer_norm),
    "rms_norm_grad": ("rms", guards.layer_norm_grad),
    "group_norm": ("group", guards.group_norm),
    "group_norm_grad": ("group", guards.group_norm_grad),
    "dropout": ("philox", guards.dropout),
    "random_uniform": ("philox", guards.random_uniform),
    "cumsum": ("scans", guards.cumsum),
    "logsumexp": ("scans", guards.logsumexp),
    "batch_norm": ("batch", guards.batch_norm),
    "batch_norm_grad": ("batch", guards.batch_norm_grad),
    "batch_norm_relu": ("batch", guards.batch_norm),
    "batch_norm_relu_grad": ("batch", guards.batch_norm_grad),
    "batch_norm_add_relu": ("batch", guards.batch_norm_add_relu),
    "batch_norm_add_relu_grad": ("batch", guards.batch_norm_add_relu_grad),
    "cross_entropy_index": ("entropy", guards.cross_entropy_index),
    "cross_entropy_index_grad": ("entropy", guards.cross_entropy_index_grad),
    "cross_entropy_mean": ("entropy", guards.cross_entropy_index),
    "cross_entropy_mean_grad": ("entropy", guards.cross_entropy_mean_grad),
    **dict.fromkeys(
        (
            "relu",
            "relu_grad",
            "sigmoid",
            "sigmoid_grad",
            "log_sigmoid",
            "silu",
            "silu_grad",
            "mish",
            "mish_grad",
            "erf",
            "tanh_grad",
        ),
        ("pointwise", guards.one_shape),
    ),
    **dict.fromkeys(
        ("leaky_relu", "leaky_relu_grad", "elu", "elu_grad", "softplus", "softplus_grad"),
        ("pointwise", guards.shaped),
    ),
    "hardtanh": ("choices", guards.shaped),
    "hardtanh_grad": ("choices", guards.shaped),
    "hardsigmoid": ("choices", guards.one_shape),
    "hardswish": ("choices", guards.one_shape),
    "hardswish_grad": ("choices", guards.one_shape),
    "larger_share": ("choices", guards.larger_share),
    "divide_grad": ("arithmetic", guards.one_shape),
    "power_grad": ("arithmetic", guards.shaped),
    "gelu": ("pointwise", guards.gelu),
    "gelu_grad": ("pointwise", guards.gelu),
    "attention": ("attention", guards_sequence.attention),
    "attention_grad": ("attention", guards_sequence.attention_grad),
    "place_regions": ("copies", guards.place_regions),
    "take": ("lookup", guards.take),
    "take_transpose": ("lookup", guards.take_transpose),
    "rnn": ("rnn", guards_sequence.rnn),
    "rnn_grad": ("rnn", guards_sequence.rnn_grad),
    "rnn_table_grad": ("rnn", guards_sequence.rnn_grad),
    "gru": ("gru", guards_sequence.gru),
    "gru_grad": ("gru", guards_sequence.gru_grad),
    "gru_table_grad": ("gru", guards_sequence.gru_grad),
    "lstm": ("lstm", guards_sequence.lstm),
    "lstm_grad": ("lstm", guards_sequence.lstm_grad),
    "lstm_table_grad": ("lstm", guards_sequence.lstm_grad),
    "sgd_step": ("updates", guards.update),
    "adam_step": ("updates", guards.update),
    "rmsprop_step": ("updates", guards.update),
    "clip_norm_step": ("clipping", guards.clip_norm_step),
}

# ops that NumPy computes where arrays are small, and how many arrays they take
_SIZED: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(
        (
            "exp",
            "log",
            "tanh",
            "expm1",
            "log1p",
            "sin",
            "cos",
            "sqrt",
            "rsqrt",
            "square",
            "reciprocal",
            "negative",
            "abs",
            "sign",
        ),
        sizes.unary,
    ),
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "power", "maximum", "minimum"), sizes.binary),
}


class _Deferred:
    """A kernel that is imported when it is first called."""

    __slots__ = ("fn", "module", "op")

    def __init__(self, module: str, op: str) -> None:
        self.module, self.op = module, op
        self.fn: Callable[..., Any] | None = None

    def __call__(self, *arrays: Any, **static: Any) -> Any:
        fn = self.fn
        if fn is None:
            _tell_numba()
            fn = self.fn = getattr(importlib.import_module(f".{self.module}", __package__), self.op)
        return fn(*arrays, **static)


def _tell_numba() -> None:
    """Let Numba have more threads than cores, if so many are asked for: it decides once, when it is first imported."""
    if "numba" not in sys.modules and threads.get_num_threads() > threads.available_cores():
        os.environ.setdefault("NUMBA_NUM_THREADS", str(threads.get_num_threads()))


class NumbaBackend(NumpyBackend):
    """NumPy arrays with Numba-compiled kernels."""

    name = "numba"
    large: int | None = sizes.LARGE

    def __init__(self) -> None:
        super().__init__()
        self._inherited = dict(self.kernels)
        for op, (module, guard) in _KERNELS.items():
            self.kernels[op] = Kernel(_Deferred(module, op), guard)
        for op, by_size in _SIZED.items():
            name = "abs_" if op == "abs" else op
            self.kernels[op] = Kernel(by_size(self._inherited[op].fn, _Deferred("arithmetic", name)))
        for op in ("clip", "astype"):
            self.kernels[op] = Kernel(sizes.optional(self._inherited[op].fn, _Deferred("choices", op)))
        self.kernels["where"] = Kernel(sizes.where(self._inherited["where"].fn, _Deferred("choices", "where")))
        for op in ("sum", "mean", "max", "min", "prod"):
            self.kernels[op] = Kernel(sizes.reduction(self._inherited[op].fn, _Deferred("reductions", f"{op}_")))
        self.kernels["reshape"] = Kernel(sizes.reshape(_Deferred("copies", "reshape")))

    def _choose(self, op: str, generic: Callable[..., Any]) -> Callable[..., Any]:
        """What a guard declines goes to NumPy's own kernel where there is one."""
        inherited = self._inherited.get(op)
        if inherited is not None and self.kernels[op] is not inherited:
            fn, guard, forward = inherited.fn, inherited.guard, generic

            def numpys(*arrays: Any, **static: Any) -> Any:
                return (fn if guard is None or guard(*arrays, **static) else forward)(*arrays, **static)

            generic = numpys
        return super()._choose(op, generic)

    def launched(
        self, fn: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any], constant: frozenset[int]
    ) -> tuple[Any, Any]:
        """Run a kernel for a recorded step; see `launches`."""
        from .launches import launched

        return launched(fn, args, params, constant)

    def player(self, launches: list[Any], touched: list[Any]) -> Any:
        """What runs launches; see `launches`."""
        from .launches import Player

        return Player(launches, touched)

    def trim(self) -> None:
        """Give back memory that is kept for later and not used."""
        from .memory import trim

        trim()

    def describe(self) -> str:
        """Versions, threading layer, number of threads, BLAS."""
        from .running import describe

        return f"{describe()}, {super().describe()}"
