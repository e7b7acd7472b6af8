"""Attention with several heads. Vaswani et al., "Attention is all you need", 2017."""

from __future__ import annotations

import math
from typing import Any

from ...autograd import ops
from ...autograd.tensor import Tensor
from .. import functional as F
from .. import init
from ..arguments import probability, whole
from ..module import Module
from ..parameters import parameter
from .linear import Linear


class MultiheadAttention(Module):
    """Attention by several heads on parts of the features, joined by a linear layer.

    Parameters
    ----------
    embed_dim : features of the queries and the output. num_heads : divides embed_dim.
    dropout : probability of dropping a weight, in training.
    bias : whether the linear maps have biases.
    add_bias_kv : whether there is one more key and value that is trained, bias_k and bias_v, for all queries to see.
    add_zero_attn : whether there is one more key and value of zeros.
    kdim, vdim : features of keys and values; embed_dim for None.
    batch_first : sequences are (n, t, features) and not (t, n, features).

    Attributes
    ----------
    in_proj_weight : (3·embed_dim, embed_dim), the maps of queries, keys and values, one below the other. With
        another kdim or vdim there are q_proj_weight, k_proj_weight and v_proj_weight instead.
    in_proj_bias : (3·embed_dim,) or None. bias_k, bias_v : (1, 1, embed_dim) or None. out_proj : the last linear layer.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False, *,
        dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        self.embed_dim = whole("MultiheadAttention", "embed_dim", embed_dim)
        self.num_heads = whole("MultiheadAttention", "num_heads", num_heads)
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim={embed_dim}")
        self.dropout = probability("MultiheadAttention", "dropout", dropout)
        self.kdim = embed_dim if kdim is None else whole("MultiheadAttention", "kdim", kdim)
        self.vdim = embed_dim if vdim is None else whole("MultiheadAttention", "vdim", vdim)
        self.batch_first = bool(batch_first)
        made = {"dtype": dtype, "backend": backend}
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = parameter(3 * embed_dim, embed_dim, **made)
        else:
            self.q_proj_weight = parameter(embed_dim, embed_dim, **made)
            self.k_proj_weight = parameter(embed_dim, self.kdim, **made)
            self.v_proj_weight = parameter(embed_dim, self.vdim, **made)
        self.in_proj_bias = parameter(3 * embed_dim, **made) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, **made)
        self.bias_k = parameter(1, 1, embed_dim, **made) if add_bias_kv else None
        self.bias_v = parameter(1, 1, embed_dim, **made) if add_bias_kv else None
        self.add_zero_attn = bool(add_zero_attn)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the input maps anew, and set the biases to 0."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if hasattr(self, name):
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def _projections(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (…, embed_dim)."""
        bias = self.in_proj_bias
        if query is key and key is value and hasattr(self, "in_proj_weight"):
            return ops.split(F.linear(query, self.in_proj_weight, bias), 3, axis=-1)
        if hasattr(self, "in_proj_weight"):
            weights = ops.split(self.in_proj_weight, 3, axis=0)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if bias is None else ops.split(bias, 3, axis=0)
        return tuple(F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))

    def _heads(self, x: Tensor) -> Tensor:
        """(t, n, e), or (n, t, e) with batch_first -> (n, heads, t, e/heads)."""
        x = ops.reshape(x, (*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads))
        return ops.permute(x, (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _extended(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Keys or values with the trained one and the one of zeros behind them, where there are such."""
        axis = 1 if self.batch_first else 0
        shape = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
        more = [] if bias is None else [ops.broadcast_to(bias, shape)]
        if self.add_zero_attn:
            more.append(ops.zeros(shape, dtype=x.dtype, backend=x.backend))
        return ops.concatenate([x, *more], axis=axis) if more else x

    def _open(self, mask: Any, like: Tensor) -> Any:
        """A mask that leaves what stands behind the keys visible."""
        count = (self.bias_k is not None) + self.add_zero_attn
        if mask is None or not count:
            return mask
        mask = ops.asarray(mask, backend=like.backend)
        return ops.pad(mask, (*((0, 0),) * (mask.ndim - 1), (0, count)), value=False if mask.dtype.kind == "b" else 0.0)

    def _mask(self, attn_mask: Any, key_padding_mask: Any, like: Tensor) -> Any:
        """One mask for the scores (n, heads, t, s): bools that say what takes part, or floats to add; None without."""
        masks = []
        if attn_mask is not None:
            mask = ops.asarray(attn_mask, backend=like.backend)
            masks.append(ops.reshape(mask, (-1, self.num_heads, *mask.shape[1:])) if mask.ndim == 3 else mask)
        if key_padding_mask is not None:
            mask = ops.asarray(key_padding_mask, backend=like.backend)
            masks.append(ops.reshape(mask, (-1, 1, 1, mask.shape[-1])))
        if all(mask.dtype.kind == "b" for mask in masks):
            hidden = None
            for mask in masks:
                hidden = mask if hidden is None else hidden | mask
            return None if hidden is None else ~hidden
        zero = ops.zeros((), dtype=like.dtype, backend=like.backend)
        added = zero
        for mask in masks:
            added = added + (ops.where(mask, -math.inf, zero) if mask.dtype.kind == "b" else mask.astype(like.dtype))
        return added

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Any = None, need_weights: bool = True,
        attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """Attention of the queries to the keys, and its weights if asked for.

        Parameters
        ----------
        query : (t, n, embed_dim), key : (s, n, kdim), value : (s, n, vdim); n first with batch_first; or all without n.
        key_padding_mask : (n, s). Bools that are true for keys to ignore, or floats that are added to the scores.
        need_weights : whether to return the weights; it is faster without.
        attn_mask : (t, s) or (n·heads, t, s). Bools that are true for what to ignore, or floats to add.
        average_attn_weights : return the mean over the heads, (n, t, s), and not all of them, (n, heads, t, s).
        is_causal : query i sees the keys 0 … i. An attn_mask given beside it says the same, and is not looked at where
            that is faster.

        Returns
        -------
        output : as the query. weights : or None.
        """
        batched = query.ndim == 3
        if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
            raise ValueError(
                f"MultiheadAttention takes sequences with a batch axis, or all without, not {query.shape}, {key.shape} "
                f"and {value.shape}"
            )
        if query.shape[-1] != self.embed_dim or key.shape[-1] != self.kdim or value.shape[-1] != self.vdim:
            raise ValueError(
                f"MultiheadAttention takes {self.embed_dim}, {self.kdim} and {self.vdim} features, not {query.shape}, "
                f"{key.shape} and {value.shape}"
            )
        if not batched:
            axis = 0 if self.batch_first else 1
            same = query is key and key is value
            query = ops.unsqueeze(query, axis)
            key, value = (query, query) if same else (ops.unsqueeze(key, axis), ops.unsqueeze(value, axis))
        axis = 1 if self.batch_first else 0
        steps, keys = query.shape[axis], key.shape[axis]
        q, k, v = self._projections(query, key, value)
        q, k, v = (self._heads(x) for x in (q, self._extended(k, self.bias_k), self._extended(v, self.bias_v)))
        dropout = self.dropout if self.training else 0.0
        plain = is_causal and key_padding_mask is None and k.shape[2] == keys
        if is_causal and attn_mask is None and not plain:
            attn_mask = ~ops.tril(ops.ones((steps, keys), dtype="bool", backend=q.backend))
        attn_mask, key_padding_mask = self._open(attn_mask, q), self._open(key_padding_mask, q)
        mask = None if plain else self._mask(attn_mask, key_padding_mask, q)
        weights = None
        if need_weights:
            weights = ops.attention_weights(q, k, mask, dropout=dropout, is_causal=plain)
            out = ops.matmul(weights, v)
        else:
            out = F.scaled_dot_product_attention(q, k, v, mask, dropout, plain)
        out = ops.permute(out, (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3))
        out = self.out_proj(ops.reshape(out, (*out.shape[:2], self.embed_dim)))
        if weights is not None and average_attn_weights:
            weights = ops.mean(weights, axis=1)
        if not batched:
            out = ops.squeeze(out, 0 if self.batch_first else 1)
            weights = None if weights is None else ops.squeeze(weights, 0)
        return out, weights

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first}"
