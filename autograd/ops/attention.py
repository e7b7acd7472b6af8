"""Scaled dot-product attention: every query takes a mean of the values, weighted by the softmax of its scores.

    S = scale·Q·Kᵀ,    P = softmax(S) over the keys,    out = P·V

(Vaswani et al., "Attention is all you need", 2017). The op `attention` gives lse, the logarithms of the softmaxes'
denominators, beside its result. With them the backward pass `attention_grad` finds P again from Q and K alone (Dao et
al., "FlashAttention", 2022), so that nothing of the size of S is kept, and a backend's kernels need not hold S in one
piece at all. The rule of `attention_grad` is a closed form in public ops, so that every order follows. Masks other than
the causal one, and dropout, are put together from simple ops.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .arrange import tril_
from .creation import asarray, ones
from .elementwise import where
from .linalg import matmul, mT
from .random import dropout as dropout_
from .random import next_key
from .reduce import all as all_
from .reduce import sum_
from .shape import reshape_
from .softmax import softmax_
from .unary import exp

__all__ = ["attention_weights", "scaled_dot_product_attention"]

Array = Any
Grads = tuple[Array | None, ...]


def _check(q: Array, k: Array, v: Array) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError("queries (…, L, d), keys (…, S, d) and values (…, S, e) are wanted")


def _transposed(x: Array, xp: Any) -> Array:
    return xp.permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _lower(queries: int, keys: int, xp: Any) -> Array:
    """Which keys each query sees under the causal mask: (L, S) bools."""
    return xp.tril(xp.ones((queries, keys), dtype=xp.bool))


@primitive(promote=True, outputs=2)
def attention(q: Array, k: Array, v: Array, /, *, causal: bool, scale: float, xp: Any) -> tuple[Array, Array]:
    """Attention without a mask or, if causal, with query i seeing the keys 0 … i.

    q: (…, L, d), k: (…, S, d), v: (…, S, e) -> out: (…, L, e), lse: (…, L), the logarithms of Σⱼ exp(scale·qᵢ·kⱼ).
    Leading axes broadcast. Without keys the result is zeros.
    """
    _check(q, k, v)
    scores = xp.matmul(q * scale, _transposed(k, xp))
    if causal:
        scores = xp.where(_lower(q.shape[-2], k.shape[-2], xp), scores, -math.inf)
    if not k.shape[-2]:
        return xp.matmul(scores, v), xp.sum(scores, axis=-1) - math.inf
    top = xp.max(scores, axis=-1, keepdims=True)
    weights = xp.exp(scores - top)
    total = xp.sum(weights, axis=-1, keepdims=True)
    return xp.matmul(weights, v) / total, xp.squeeze(top + xp.log(total), axis=-1)


@primitive(promote=True, outputs=3)
def attention_grad(
    gy: Array,
    glse: Array,
    q: Array,
    k: Array,
    v: Array,
    y: Array,
    lse: Array,
    /,
    *,
    causal: bool,
    scale: float,
    xp: Any,
) -> tuple[Array, Array, Array]:
    """The cotangents of q, k and v from those of `attention`'s results y and lse.

    With P = exp(S − lse), which is 0 under the mask, and E = P·(gy·Vᵀ − Σ gy·y + glse):
    ∂q = scale·E·K, ∂k = scale·Eᵀ·Q, ∂v = Pᵀ·gy.
    """
    p = xp.matmul(q * scale, _transposed(k, xp)) - lse[..., None]
    if causal:
        seen = _lower(q.shape[-2], k.shape[-2], xp)
        p = xp.masked(seen, xp.exp(xp.masked(seen, p)))
    else:
        p = xp.exp(p)
    e = p * (xp.matmul(gy, _transposed(v, xp)) + (glse - xp.sum(gy * y, axis=-1))[..., None]) * scale
    return xp.matmul(e, k), xp.matmul(_transposed(e, xp), q), xp.matmul(_transposed(p, xp), gy)


def _attention_rule(g: Any, q: Array, k: Array, v: Array, out: Any, causal: bool, scale: float) -> Grads:
    gy, glse = g
    dq, dk, dv = attention_grad(gy, glse, q, k, v, out[0], out[1], causal=causal, scale=scale)
    return dq, dk, dv


attention.vjp(_attention_rule)


def _column(x: Array) -> Array:
    return reshape_(x, shape=(*x.shape, 1))


def _row_sums(x: Array) -> Array:
    return sum_(x, axis=(x.ndim - 1,), keepdims=True)


def _attention_grad_rule(
    g: Any, gy: Array, glse: Array, q: Array, k: Array, v: Array, y: Array, lse: Array, causal: bool, scale: float
) -> Grads:
    """Each input's cotangent from those of ∂q, ∂k and ∂v, g = (a, b, c); y and lse are inputs like others.

    With B = gy·Vᵀ − Σ gy·y + glse, E = P·B and Ē = scale·(a·Kᵀ + Q·bᵀ), the cotangent of E:
    B̄ = Ē·P, and that of S − lse is S̄ = P·(Ē·B + gy·cᵀ).
    """
    a, b, c = g
    scores = matmul(q * scale, mT(k)) - _column(lse)
    # what the mask hides is set to 0 before exp as well: there it could overflow
    p = tril_(exp(tril_(scores, k=0)), k=0) if causal else exp(scores)
    inner = matmul(gy, mT(v)) - _row_sums(gy * y) + _column(glse)
    e = p * inner
    e_bar = (matmul(a, mT(k)) + matmul(q, mT(b))) * scale
    inner_bar = e_bar * p
    s_bar = p * (e_bar * inner + matmul(gy, mT(c)))
    sums = _row_sums(inner_bar)
    return (
        matmul(p, c) + matmul(inner_bar, v) - sums * y,
        reshape_(sums, shape=sums.shape[:-1]),
        scale * (matmul(e, b) + matmul(s_bar, k)),
        scale * (matmul(mT(e), a) + matmul(mT(s_bar), q)),
        matmul(mT(inner_bar), gy),
        -sums * gy,
        reshape_(-_row_sums(s_bar), shape=sums.shape[:-1]),
    )


attention_grad.vjp(_attention_grad_rule)


def _scale(q: Any, scale: float | None) -> float:
    return 1.0 / math.sqrt(max(q.shape[-1], 1)) if scale is None else float(scale)


def attention_weights(
    q: Any, k: Any, mask: Any = None, *, dropout: float = 0.0, is_causal: bool = False, scale: float | None = None,
    generator: Any = None,
) -> Any:  # fmt: skip
    """How much each query weighs each value: (…, L, S). The arguments are those of `scaled_dot_product_attention`."""
    if not 0.0 <= dropout <= 1.0:
        raise ValueError(f"dropout must be a probability, not {dropout}")
    if mask is not None and is_causal:
        raise ValueError("give either a mask or is_causal=True, not both")
    scores = matmul(q * _scale(q, scale), mT(k))
    hidden = None
    if is_causal:
        mask = tril_(ones((q.shape[-2], k.shape[-2]), dtype="bool", backend=q.backend), k=0)
    if mask is not None:
        mask = asarray(mask, backend=q.backend)
        boolean = mask.dtype.kind == "b"
        if not boolean and mask.dtype.kind != "f":
            raise TypeError(f"the mask holds bools or floats, not {mask.dtype}")
        # rows without any key have no softmax: they are computed without the mask, and then set to 0
        hidden = all_(~mask if boolean else mask == -math.inf, axis=-1, keepdims=True)
        if boolean:
            scores = where(mask | hidden, scores, -math.inf)
        else:
            scores = scores + where(hidden, 0.0, mask).astype(scores.dtype)
    weights = softmax_(scores, axis=-1)
    if hidden is not None:
        weights = where(hidden, 0.0, weights)
    if dropout:
        weights = dropout_(weights, next_key(generator, weights.backend), p=float(dropout))
    return weights


def scaled_dot_product_attention(
    q: Any, k: Any, v: Any, mask: Any = None, *, dropout: float = 0.0, is_causal: bool = False,
    scale: float | None = None, generator: Any = None,
) -> Any:  # fmt: skip
    """softmax(scale·q·kᵀ + mask)·v, each query's mean of the values.

    Parameters
    ----------
    q : (…, L, d), k : (…, S, d), v : (…, S, e). Leading axes broadcast, and are batches and heads by custom.
    mask : (…, L, S). Bools say which keys take part; floats are added to the scores.
    dropout : each weight is 0 with this probability, and divided by 1 − dropout otherwise.
    is_causal : query i sees the keys 0 … i, also where L and S differ; without another mask.
    scale : 1/√d for None.
    generator : where the noise of dropout is drawn; the default generator for None.

    Returns
    -------
    (…, L, e). A query that no key takes part in gets zeros.

    Raises
    ------
    ValueError : shapes do not fit, or both a mask and is_causal are given.
    TypeError : the mask has neither bools nor floats.

    `torch.nn.functional.scaled_dot_product_attention`.
    """
    q, k, v = asarray(q), asarray(k), asarray(v)
    _check(q, k, v)
    if mask is None and not dropout:
        out: Any = attention(q, k, v, causal=bool(is_causal), scale=_scale(q, scale))[0]
        return out
    weights = attention_weights(q, k, mask, dropout=dropout, is_causal=is_causal, scale=scale, generator=generator)
    return matmul(weights, v)
