"""Initial weights: PyTorch's initialisers and Keras's, drawn on the host.

Every function fills the parameter it is given and returns it. The numbers come from a seeded counter-based generator
(`pb.manual_seed`, or the argument `generator`) on the NumPy backend, so they are the same wherever the parameter lives.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from ..autograd.ops.random import default_generator, normal, uniform
from ..autograd.tensor import Parameter, Tensor
from ..backends import backend
from .arguments import choice

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "fans", "glorot_normal_", "glorot_uniform_", "he_normal_",
    "he_uniform_", "kaiming_normal_", "kaiming_uniform_", "lecun_normal_", "lecun_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "variance_scaling_", "xavier_normal_", "xavier_uniform_",
    "zeros_",
]  # fmt: skip


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan in, fan out) of a weight (out, in, …): the number of inputs of an output, and of outputs of an input."""
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need at least 2 axes (out, in, …), not shape {tensor.shape}")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity shrinks standard deviations, to be made up for; PyTorch's values."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    gains = {"tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}
    convolutions = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
    ones = ("linear", "sigmoid", *convolutions)
    choice("calculate_gain", "nonlinearity", nonlinearity, ("leaky_relu", *gains, *ones))
    return gains.get(nonlinearity, 1.0)


# ---------------------------------------------------------------- draws on the host


def _draw(op: Any, tensor: Parameter, generator: Any, shape: tuple[int, ...] | None = None) -> Tensor:
    """Standard uniform or normal numbers of the tensor's shape, on the NumPy backend; float64 for a float64 tensor."""
    key = (default_generator if generator is None else generator).next_key()
    dtype = "float64" if tensor.dtype == np.float64 else "float32"
    with backend("numpy"):
        return op(key, shape=tensor.shape if shape is None else shape, dtype=dtype)


def _uniform(tensor: Parameter, bound: float, generator: Any) -> Parameter:
    return uniform_(tensor, -bound, bound, generator)


def uniform_(tensor: Parameter, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Parameter:
    """Uniform in [a, b)."""
    if not a <= b:
        raise ValueError(f"uniform_ needs a ≤ b, not {a=}, {b=}")
    tensor.assign((_draw(uniform, tensor, generator) * (b - a) + a).numpy())
    return tensor


def normal_(tensor: Parameter, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Parameter:
    """Normal with that mean and standard deviation."""
    if not std >= 0.0:
        raise ValueError(f"normal_ needs std ≥ 0, not {std}")
    tensor.assign((_draw(normal, tensor, generator) * std + mean).numpy())
    return tensor


def trunc_normal_(
    tensor: Parameter, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Parameter:
    """Normal, given that it lies in [a, b].

    Where that is likely, normal numbers are drawn until they do; else uniform ones of the interval, each of which is
    kept with the probability that its density is of the largest there (von Neumann 1951).
    """
    if not (std > 0.0 and a < b):
        raise ValueError(f"trunc_normal_ needs std > 0 and a < b, not {std=}, {a=}, {b=}")
    distribution = NormalDist(mean, std)
    if distribution.cdf(b) - distribution.cdf(a) > 0.3:
        low, high = a, b

        def draw(n: int) -> tuple[Any, Any]:
            x = np.array(_draw(normal, tensor, generator, (n,)).numpy()) * std + mean
            return x, (x >= a) & (x <= b)

    else:
        nearest = (min(max(mean, a), b) - mean) / std
        reach = math.sqrt(nearest**2 + 80.0) * std  # beyond, the density is e⁻⁴⁰ of the largest
        low, high = max(a, mean - reach), min(b, mean + reach)

        def draw(n: int) -> tuple[Any, Any]:
            x = np.array(_draw(uniform, tensor, generator, (n,)).numpy()) * (high - low) + low
            share = np.exp((nearest**2 - ((x - mean) / std) ** 2) / 2.0)
            return x, _draw(uniform, tensor, generator, (n,)).numpy() < share

    values, kept = draw(tensor.size)
    missing = np.flatnonzero(~kept)
    while missing.size:
        values[missing], kept = draw(missing.size)
        missing = missing[~kept]
    tensor.assign(np.clip(values, low, high).reshape(tensor.shape))
    return tensor


def sparse_(tensor: Parameter, sparsity: float, std: float = 0.01, generator: Any = None) -> Parameter:
    """Normal with that standard deviation, but ⌈sparsity·rows⌉ entries of each column are 0. Martens 2010."""
    if tensor.ndim != 2:
        raise ValueError(f"sparse_ needs a matrix, not shape {tensor.shape}")
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparse_: sparsity is the share of zeros in each column, between 0 and 1, not {sparsity}")
    values = np.array((_draw(normal, tensor, generator) * std).numpy())
    order = np.argsort(_draw(uniform, tensor, generator).numpy(), axis=0)
    np.put_along_axis(values, order[: math.ceil(sparsity * tensor.shape[0])], 0.0, axis=0)
    tensor.assign(values)
    return tensor


def constant_(tensor: Parameter, val: float) -> Parameter:
    """One value everywhere."""
    tensor.assign(np.full(tensor.shape, val, tensor.dtype))
    return tensor


def zeros_(tensor: Parameter) -> Parameter:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Parameter) -> Parameter:
    """Ones."""
    return constant_(tensor, 1.0)


def eye_(tensor: Parameter) -> Parameter:
    """The identity matrix; further rows or columns are zeros."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_ needs a matrix, not shape {tensor.shape}")
    tensor.assign(np.eye(*tensor.shape, dtype=tensor.dtype))
    return tensor


def dirac_(tensor: Parameter, groups: int = 1) -> Parameter:
    """A convolution weight that keeps as many input channels as it can."""
    if tensor.ndim not in (3, 4, 5) or tensor.shape[0] % groups:
        raise ValueError(f"dirac_ needs (out, in, …) with out divisible by groups={groups}, not {tensor.shape}")
    values = np.zeros(tensor.shape, tensor.dtype)
    out = tensor.shape[0] // groups
    centre = tuple(k // 2 for k in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(out, tensor.shape[1])):
            values[(group * out + channel, channel, *centre)] = 1.0
    tensor.assign(values)
    return tensor


def orthogonal_(tensor: Parameter, gain: float = 1.0, generator: Any = None) -> Parameter:
    """Rows (or columns, if fewer) orthonormal, times gain; axes after the first count as one. Saxe et al. 2013."""
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_ needs at least 2 axes, not shape {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    draws = _draw(normal, tensor, generator, (rows, columns)).numpy().astype(np.float64)
    q, r = np.linalg.qr(draws.T if rows < columns else draws)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # makes the distribution uniform
    tensor.assign((gain * (q.T if rows < columns else q)).reshape(tensor.shape).astype(tensor.dtype))
    return tensor


# ---------------------------------------------------------------- PyTorch's scaled ones


def xavier_uniform_(tensor: Parameter, gain: float = 1.0, generator: Any = None) -> Parameter:
    """U(−b, b) with b = gain·√(6/(fan in + fan out)). Glorot & Bengio 2010."""
    return _uniform(tensor, gain * math.sqrt(6.0 / sum(fans(tensor))), generator)


def xavier_normal_(tensor: Parameter, gain: float = 1.0, generator: Any = None) -> Parameter:
    """Normal with standard deviation gain·√(2/(fan in + fan out)). Glorot & Bengio 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _kaiming_std(tensor: Parameter, a: float, mode: str, nonlinearity: str) -> float:
    choice("kaiming", "mode", mode, ("fan_in", "fan_out"))
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if tensor.size else 0.0


def kaiming_uniform_(
    tensor: Parameter, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Parameter:
    """U(−b, b) with b = gain·√(3/fan); `a` is the negative slope of a leaky ReLU. He et al. 2015."""
    return _uniform(tensor, math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity), generator)


def kaiming_normal_(
    tensor: Parameter, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Parameter:
    """Normal with standard deviation gain/√fan; `a` is the negative slope of a leaky ReLU. He et al. 2015."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


# ---------------------------------------------------------------- Keras's


def variance_scaling_(
    tensor: Parameter, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal",
    generator: Any = None,
) -> Parameter:  # fmt: skip
    """Variance scale/fan, whatever the distribution: Keras's `VarianceScaling`, of which its others are cases.

    Parameters
    ----------
    mode : the fan, "fan_in", "fan_out" or "fan_avg", their mean.
    distribution : "truncated_normal", cut off at two deviations and widened to make up for it; "untruncated_normal";
        or "uniform" in [−√(3·scale/fan), √(3·scale/fan)).
    """
    choice("variance_scaling_", "mode", mode, ("fan_in", "fan_out", "fan_avg"))
    choice("variance_scaling_", "distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform"))
    if not scale > 0.0:
        raise ValueError(f"variance_scaling_ needs scale > 0, not {scale}")
    fan_in, fan_out = fans(tensor)
    variance = scale / max(1.0, {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[mode])
    if distribution == "uniform":
        return _uniform(tensor, math.sqrt(3.0 * variance), generator)
    if distribution == "untruncated_normal":
        return normal_(tensor, 0.0, math.sqrt(variance), generator)
    std = math.sqrt(variance) / 0.87962566103423978
    return trunc_normal_(tensor, 0.0, std, -2.0 * std, 2.0 * std, generator)


def glorot_uniform_(tensor: Parameter, generator: Any = None) -> Parameter:
    """U(−b, b) with b = √(6/(fan in + fan out)): Keras's default for kernels."""
    return variance_scaling_(tensor, 1.0, "fan_avg", "uniform", generator)


def glorot_normal_(tensor: Parameter, generator: Any = None) -> Parameter:
    """Truncated normal with variance 2/(fan in + fan out)."""
    return variance_scaling_(tensor, 1.0, "fan_avg", generator=generator)


def he_uniform_(tensor: Parameter, generator: Any = None) -> Parameter:
    """U(−b, b) with b = √(6/fan in). He et al. 2015."""
    return variance_scaling_(tensor, 2.0, "fan_in", "uniform", generator)


def he_normal_(tensor: Parameter, generator: Any = None) -> Parameter:
    """Truncated normal with variance 2/fan in. He et al. 2015."""
    return variance_scaling_(tensor, 2.0, generator=generator)


def lecun_uniform_(tensor: Parameter, generator: Any = None) -> Parameter:
    """U(−b, b) with b = √(3/fan in). LeCun et al. 1998."""
    return variance_scaling_(tensor, 1.0, "fan_in", "uniform", generator)


def lecun_normal_(tensor: Parameter, generator: Any = None) -> Parameter:
    """Truncated normal with variance 1/fan in. LeCun et al. 1998."""
    return variance_scaling_(tensor, 1.0, generator=generator)
