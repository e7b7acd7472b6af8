"""Transformer layers and stacks of them. Vaswani et al., "Attention is all you need", 2017."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from ...autograd import ops
from ...autograd.tensor import Tensor
from .. import functional as F
from .. import init
from ..arguments import choice
from ..containers import ModuleList
from ..fusion import activated
from ..module import Module
from .attention import MultiheadAttention
from .dropout import Dropout
from .linear import Linear
from .normalization import LayerNorm

Activation = str | Callable[[Tensor], Tensor]


def _activation(owner: str, activation: Activation) -> Callable[[Tensor], Tensor]:
    if callable(activation):
        return activation
    return {"relu": F.relu, "gelu": F.gelu}[choice(owner, "activation", activation, ("relu", "gelu"))]


class _Layer(Module):
    """The feed-forward part, and how the parts are joined."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int, dropout: float, activation: Activation, norms: int,
        layer_norm_eps: float, batch_first: bool, norm_first: bool, bias: bool, made: dict[str, Any],
    ) -> None:  # fmt: skip
        self.linear1 = Linear(d_model, dim_feedforward, bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **made)
        self.norm_first = norm_first
        for i in range(1, norms + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **made))
        for i in range(1, norms + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _activation(type(self).__name__, activation)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(activated(self.linear1, self.activation, x)))

    def _residual(self, x: Tensor, part: Callable[[Tensor], Tensor], i: int) -> Tensor:
        """x + part(norm(x)) with norm_first, else norm(x + part(x)), with the i-th norm and dropout."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        return x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network, each with dropout, a residual connection and layer normalisation.

    Parameters
    ----------
    d_model : features. nhead : attention heads. dim_feedforward : width of the feed-forward network.
    dropout : probability, in training. activation : "relu", "gelu" or a function.
    batch_first : sequences are (n, t, features) and not (t, n, features).
    norm_first : normalise what goes into the parts and not the sums.
    bias : whether linear maps and norms have biases.
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, *, dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        made = {"dtype": dtype, "backend": backend}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **made)
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, 2, layer_norm_eps, batch_first, norm_first, bias, made
        )

    def forward(
        self, src: Tensor, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        """(t, n, d_model) -> the same; masks as in `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x,
                x,
                x,
                key_padding_mask=src_key_padding_mask,
                need_weights=False,
                attn_mask=src_mask,
                is_causal=is_causal,
            )[0]

        return self._residual(self._residual(src, attend, 1), self._feed_forward, 2)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output, and a feed-forward network.

    The parameters are those of `TransformerEncoderLayer`.
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, *, dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        made = {"dtype": dtype, "backend": backend}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **made)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **made)
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, 3, layer_norm_eps, batch_first, norm_first, bias, made
        )

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Any = None, memory_mask: Any = None,
        tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None, tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """tgt: (t, n, d_model), memory: (s, n, d_model) -> (t, n, d_model); masks as in `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, key_padding_mask=tgt_key_padding_mask, need_weights=False, attn_mask=tgt_mask,
                is_causal=tgt_is_causal,
            )[0]  # fmt: skip

        def look_up(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x, memory, memory, key_padding_mask=memory_key_padding_mask, need_weights=False, attn_mask=memory_mask,
                is_causal=memory_is_causal,
            )[0]  # fmt: skip

        x = self._residual(self._residual(tgt, attend, 1), look_up, 2)
        return self._residual(x, self._feed_forward, 3)


class TransformerEncoder(Module):
    """`num_layers` copies of an encoder layer one after the other, and a last `norm` if there is one.

    `enable_nested_tensor` and `mask_check` are accepted and change nothing: padding is masked, not left out.
    """

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None, enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:  # fmt: skip
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, src: Tensor, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Tensor:
        """(t, n, d_model) -> the same; masks as in `MultiheadAttention`. `is_causal` None: as the mask says."""
        is_causal = bool(is_causal)
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """`num_layers` copies of a decoder layer one after the other, and a last `norm` if there is one."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = ModuleList(copy.deepcopy(decoder_layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Any = None, memory_mask: Any = None,
        tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None, tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """tgt: (t, n, d_model), memory: (s, n, d_model) -> (t, n, d_model); masks as in `TransformerDecoderLayer`."""
        for layer in self.layers:
            tgt = layer(
                tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )  # fmt: skip
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder and a decoder, each with a last layer normalisation.

    The parameters are those of `TransformerEncoderLayer`, how many layers each has, and modules to use in place of the
    encoder or the decoder. Matrices are drawn by `init.xavier_uniform_`.
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = "relu",
        custom_encoder: Module | None = None, custom_decoder: Module | None = None, layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, *, dtype: Any = None,
        backend: Any = None,
    ) -> None:  # fmt: skip
        made = {"dtype": dtype, "backend": backend}
        args = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*args, **made),
            num_encoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias, **made),
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*args, **made),
            num_decoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias, **made),
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for weight in self.parameters():
            if weight.ndim > 1:
                init.xavier_uniform_(weight)

    def forward(
        self, src: Tensor, tgt: Tensor, src_mask: Any = None, tgt_mask: Any = None, memory_mask: Any = None,
        src_key_padding_mask: Any = None, tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None, tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """src: (s, n, d_model), tgt: (t, n, d_model) -> (t, n, d_model); masks as in `MultiheadAttention`."""
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(src_is_causal)
        )
        return self.decoder(
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=bool(tgt_is_causal),
            memory_is_causal=memory_is_causal,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = None, backend: Any = None) -> Tensor:
        """The causal mask as floats to add: (sz, sz), 0 on and below the diagonal, −∞ above."""
        seen = ops.tril(ops.ones((sz, sz), dtype=dtype or "float32", backend=backend))
        return ops.where(seen == 0.0, -math.inf, seen * 0.0)
