"""What `kernels.py` times: one op a row, written once for pullback and PyTorch, whose names agree.

A row's function gets the library, its `nn.functional` and the inputs. Those that start with `*` in a row's shapes are
differentiated: forward and backward are timed together, with a given cotangent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One op at one shape.

    shapes : of the inputs, and `need`, which of them want a gradient (none: the forward alone is timed).
    run : run(library, functional, *inputs) -> the result.
    jax : the same for JAX, run(jax, jnp, *inputs), where it is compared too.
    last : images lie channels-last in memory, inputs and cotangent, as pullback's own layers hand them on.
    positive : inputs are above 0. random : results differ by library, only their means are compared.
    """

    name: str
    shapes: tuple[Shape, ...]
    run: Callable[..., Any]
    need: tuple[int, ...] | None = None
    jax: Callable[..., Any] | None = None
    last: bool = False
    positive: bool = False
    random: bool = False
    dtype: str = "float32"

    @property
    def wanted(self) -> tuple[int, ...]:
        return tuple(range(len(self.shapes))) if self.need is None else self.need


ROWS: dict[str, Row] = {}


def add(name: str, shapes: list[Shape], run: Callable[..., Any], **options: Any) -> None:
    ROWS[name] = Row(name, tuple(shapes), run, **options)


# ------------------------------------------------------------ convolutions


def _convolutions() -> None:
    def conv(name: str, x: Shape, w: Shape, need: tuple[int, ...] = (0, 1, 2), kind: str = "conv2d", **kw: Any) -> None:
        out = w[1] * kw.get("groups", 1) if "transpose" in kind else w[0]
        add(f"conv/{name}", [x, w, (out,)], lambda t, F, x, w, b: getattr(F, kind)(x, w, b, **kw), need=need, last=True)

    conv("3x3", (32, 64, 28, 28), (64, 64, 3, 3), padding=1)
    conv("depthwise 3x3", (32, 128, 28, 28), (128, 1, 3, 3), padding=1, groups=128)
    conv("depthwise 3x3 stride 2", (32, 128, 28, 28), (128, 1, 3, 3), padding=1, groups=128, stride=2)
    conv("depthwise 7x7", (32, 96, 28, 28), (96, 1, 7, 7), padding=3, groups=96)
    conv("1x1", (32, 128, 28, 28), (128, 128, 1, 1))
    conv("1x1 widening", (32, 64, 28, 28), (256, 64, 1, 1))
    conv("1x1 stride 2", (32, 128, 28, 28), (256, 128, 1, 1), stride=2)
    conv("5x5", (32, 32, 28, 28), (64, 32, 5, 5), padding=2)
    conv("7x7 stride 2, 3 channels", (32, 3, 112, 112), (64, 3, 7, 7), need=(1, 2), padding=3, stride=2)
    conv("3x3 stride 1, 3 channels", (32, 3, 32, 32), (64, 3, 3, 3), need=(1, 2), padding=1)
    conv("3x3 stride 2", (32, 64, 28, 28), (128, 64, 3, 3), padding=1, stride=2)
    conv("3x3 dilation 2", (32, 64, 28, 28), (64, 64, 3, 3), padding=2, dilation=2)
    conv("3x3 groups 4", (32, 128, 28, 28), (128, 32, 3, 3), padding=1, groups=4)
    conv("3x3 groups 32", (32, 128, 28, 28), (128, 4, 3, 3), padding=1, groups=32)
    conv("1d 3", (32, 64, 512), (128, 64, 3), kind="conv1d", padding=1)
    conv("1d 9 dilation 2", (32, 64, 512), (64, 64, 9), kind="conv1d", padding=8, dilation=2)
    conv("3d 3x3x3", (8, 16, 16, 28, 28), (32, 16, 3, 3, 3), kind="conv3d", padding=1)
    conv("transposed 4x4 stride 2", (32, 64, 14, 14), (64, 32, 4, 4), kind="conv_transpose2d", padding=1, stride=2)
    conv("transposed 2x2 stride 2", (32, 128, 14, 14), (128, 64, 2, 2), kind="conv_transpose2d", stride=2)


# ------------------------------------------------------------ normalisation


def _normalisations() -> None:
    def jax_norm(axes: tuple[int, ...], shape: Shape, groups: int | None = None) -> Callable[..., Any]:
        def run(jax: Any, np: Any, x: Any, w: Any, b: Any) -> Any:
            y = x if groups is None else x.reshape(x.shape[0], groups, -1)
            d = y - y.mean(axes, keepdims=True)
            y = d / np.sqrt((d * d).mean(axes, keepdims=True) + 1e-5)
            return y.reshape(x.shape) * w.reshape(shape) + b.reshape(shape)

        return run

    def jax_rms(jax: Any, np: Any, x: Any, w: Any) -> Any:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w

    for n, k in ((768, 128), (4096, 1024), (8192, 100)):
        add(f"norm/rms {n}x{k}", [(n, k), (k,)], lambda t, F, x, w: F.rms_norm(x, (w.shape[0],), w, 1e-6), jax=jax_rms)
        add(
            f"norm/layer {n}x{k}", [(n, k), (k,), (k,)], lambda t, F, x, w, b: F.layer_norm(x, (w.shape[0],), w, b),
            jax=jax_norm((-1,), (1, k)),
        )  # fmt: skip
    for last in (False, True):
        where = " channels-last" if last else ""
        for shape, groups in (((32, 64, 32, 32), 8), ((32, 256, 14, 14), 32)):
            c = shape[1]
            add(
                f"norm/group {groups} {'x'.join(map(str, shape))}{where}", [shape, (c,), (c,)],
                lambda t, F, x, w, b, groups=groups: F.group_norm(x, groups, w, b),
                jax=None if last else jax_norm((2,), (1, c, 1, 1), groups), last=last,
            )  # fmt: skip
        shape = (32, 64, 32, 32)
        add(
            f"norm/instance {'x'.join(map(str, shape))}{where}", [shape, (64,), (64,)],
            lambda t, F, x, w, b: F.instance_norm(x, weight=w, bias=b),
            jax=None if last else jax_norm((2, 3), (1, 64, 1, 1)), last=last,
        )  # fmt: skip
        add(
            f"norm/batch {'x'.join(map(str, shape))}{where}", [shape, (64,), (64,)],
            lambda t, F, x, w, b: F.batch_norm(x, None, None, w, b, True), last=last,
        )  # fmt: skip


# ------------------------------------------------------------ elementwise

SQUARE = (1000, 1000)

UNARY = (
    "exp", "log", "sqrt", "tanh", "sigmoid", "erf", "sin", "cos", "abs", "square", "exp2", "expm1", "log1p", "log2",
    "rsqrt", "reciprocal", "sign", "tan", "asin", "atan", "sinh", "cosh",
)  # fmt: skip
ACTIVATIONS = (
    "relu", "gelu", "silu", "softplus", "elu", "leaky_relu", "logsigmoid", "mish", "selu", "hardswish", "hardsigmoid",
    "hardtanh", "relu6", "softsign",
)  # fmt: skip


def _elementwise() -> None:
    def one(name: str, run: Callable[..., Any], **options: Any) -> None:
        add(f"point/{name}", [SQUARE], run, **options)

    def two(name: str, run: Callable[..., Any], **options: Any) -> None:
        add(f"point/{name}", [SQUARE, SQUARE], run, **options)

    two("where", lambda t, F, x, y: t.where(x > y, x, y))
    one("where with 0", lambda t, F, x: t.where(x > 0.5, x, 0.0))
    one("clamp", lambda t, F, x: t.clamp(x, -0.5, 0.5))
    two("maximum", lambda t, F, x, y: t.maximum(x, y))
    two("minimum", lambda t, F, x, y: t.minimum(x, y))
    one("masked_fill", lambda t, F, x: x.masked_fill(x > 0, 1.0))
    one("dropout", lambda t, F, x: F.dropout(x, 0.5, True), random=True)
    two("add", lambda t, F, x, y: x + y)
    two("multiply", lambda t, F, x, y: x * y)
    two("divide", lambda t, F, x, y: x / y, positive=True)
    one("power 3", lambda t, F, x: x**3)
    one("power 1.7", lambda t, F, x: x**1.7, positive=True)
    add("point/add row", [SQUARE, (1000,)], lambda t, F, x, y: x + y)
    add("point/multiply column", [SQUARE, (1000, 1)], lambda t, F, x, y: x * y)
    two("greater", lambda t, F, x, y: x > y, need=())
    one("greater than a number", lambda t, F, x: x > 0.1, need=())
    two("equal", lambda t, F, x, y: x == y, need=())
    one("to float64", lambda t, F, x: x.to(t.float64))
    one("to int32", lambda t, F, x: (x * 100).to(t.int32), need=())
    one("bool to float32", lambda t, F, x: (x > 0).to(t.float32), need=())
    one("logical_and", lambda t, F, x: t.logical_and(x > 0, x < 1), need=())
    one("isnan", lambda t, F, x: t.isnan(x), need=())
    for name in UNARY:
        one(name, lambda t, F, x, name=name: getattr(t, name)(x * 0.9 if name == "asin" else x), positive=True)
    for name in ACTIVATIONS:
        one(name, lambda t, F, x, name=name: getattr(F, name)(x))
    one("gelu tanh", lambda t, F, x: F.gelu(x, approximate="tanh"))
    for name in ("exp", "log", "tanh", "sigmoid", "erf", "sin", "cos", "sqrt", "log1p", "expm1"):
        add(
            f"double/{name}", [SQUARE], lambda t, F, x, name=name: getattr(t, name)(x), positive=True, dtype="float64"
        )  # fmt: skip
    for name in ("gelu", "silu", "softplus", "elu"):
        add(f"double/{name}", [SQUARE], lambda t, F, x, name=name: getattr(F, name)(x), dtype="float64")
    add("double/gelu tanh", [SQUARE], lambda t, F, x: F.gelu(x, approximate="tanh"), dtype="float64")
    add("double/softmax", [SQUARE], lambda t, F, x: F.softmax(x, -1), dtype="float64")


# ------------------------------------------------------------ reductions


def _reductions() -> None:
    cases = {"1M": ((1000000,), (None,)), "square": (SQUARE, (0, 1)), "images": ((32, 64, 28, 28), (0, 1, 2, 3))}
    for label, (shape, axes) in cases.items():
        for axis in axes:
            place = label if axis is None else f"{label} axis {axis}"

            def over(
                name: str, run: Any, place: str = place, shape: Shape = shape, axis: Any = axis, **kw: Any
            ) -> None:
                args = () if axis is None else (axis,)
                add(f"reduce/{name} {place}", [shape], lambda t, F, x: run(t, x, *args), need=(), **kw)

            for name in ("sum", "mean", "var", "argmax"):
                over(name, lambda t, x, *a, name=name: getattr(t, name)(x, *a))
            over("max", lambda t, x, *a: t.amax(x, *a))
            over("min", lambda t, x, *a: t.amin(x, *a))
            over("prod", lambda t, x, *a: t.prod(x * 0.001 + 1, *a))
            over("any", lambda t, x, *a: t.any(x > 9, *a))
            over("all", lambda t, x, *a: t.all(x < 9, *a))
            first = 0 if axis is None else axis
            over("logsumexp", lambda t, x, *a, first=first: t.logsumexp(x, first))
            over("cumsum", lambda t, x, *a, first=first: t.cumsum(x, first), positive=True)
    add("reduce/sum, backward", [SQUARE], lambda t, F, x: t.sum(x, 1))
    add("reduce/var, backward", [SQUARE], lambda t, F, x: t.var(x, 1))
    add("reduce/max, backward", [SQUARE], lambda t, F, x: t.amax(x, 1))
    add("reduce/logsumexp, backward", [SQUARE], lambda t, F, x: t.logsumexp(x, 1))
    add("reduce/prod, backward", [SQUARE], lambda t, F, x: t.prod(x * 0.001 + 1, 1))
    add("reduce/cumsum, backward", [SQUARE], lambda t, F, x: t.cumsum(x, 1))


_convolutions()
_normalisations()
_elementwise()
_reductions()
