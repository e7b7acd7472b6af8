"""Models of sequences: text CNN, LSTM language model, small GPT, seq2seq with attention, transformer encoder."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .model import Batch, Library, Networks, Ported

VOCABULARY = 17


def tokens(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, VOCABULARY, shape)


def next_token_loss(lib: Library, logits: Any, targets: Any) -> Any:
    return lib.F.cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1))


# ---------------------------------------------------------------- text CNN (Kim 2014)


def build_text_cnn(lib: Library) -> Networks:
    nn, F, T = lib.nn, lib.F, lib.T

    class TextCNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 8, padding_idx=0)
            self.convs = nn.ModuleList([nn.Conv1d(8, 6, k) for k in (2, 3, 4)])
            self.fc = nn.Linear(18, 3)

        def forward(self, x: Any) -> Any:
            e = self.embedding(x).permute(0, 2, 1)
            pooled = [F.adaptive_max_pool1d(F.relu(conv(e)), 1).squeeze(-1) for conv in self.convs]
            return self.fc(T.cat(pooled, dim=1))

    return {"net": TextCNN()}


TEXT_CNN = Ported(
    "text CNN", build_text_cnn,
    lambda rng: {"x": tokens(rng, 5, 9), "y": rng.integers(0, 3, 5)},
    lambda lib, n, b: n["net"](b["x"]),
    {"net": lambda lib, n, b: lib.F.cross_entropy(n["net"](b["x"]), b["y"], label_smoothing=0.1)},
    lambda optim, p: optim.Adam(p, lr=1e-2),
)  # fmt: skip


# ---------------------------------------------------------------- LSTM language model


def build_language_model(lib: Library) -> Networks:
    nn = lib.nn

    class LanguageModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 8)
            self.lstm = nn.LSTM(8, 10, num_layers=2, batch_first=True)
            self.head = nn.Linear(10, VOCABULARY)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.embedding(x))[0])

    return {"net": LanguageModel()}


LANGUAGE_MODEL = Ported(
    "LSTM language model", build_language_model,
    lambda rng: {"x": (t := tokens(rng, 4, 8))[:, :-1], "y": t[:, 1:]},
    lambda lib, n, b: n["net"](b["x"]),
    {"net": lambda lib, n, b: next_token_loss(lib, n["net"](b["x"]), b["y"])},
    lambda optim, p: optim.SGD(p, lr=0.5, momentum=0.9),
    clip=0.25,
)  # fmt: skip


# ---------------------------------------------------------------- small GPT


def build_gpt(lib: Library) -> Networks:
    nn, F, T = lib.nn, lib.F, lib.T
    width, heads, length = 12, 3, 7

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.proj = nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            parts = self.qkv(self.ln1(x)).split(width, dim=2)
            q, k, v = (p.reshape(n, t, heads, width // heads).transpose(1, 2) for p in parts)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).reshape(n, t, width))
            return x + self.mlp(self.ln2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(VOCABULARY, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(2)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, VOCABULARY, bias=False)
            self.head.weight = self.tokens.weight  # tied

        def forward(self, x: Any) -> Any:
            h = self.tokens(x) + self.places(T.arange(x.shape[1]))
            return self.head(self.norm(self.blocks(h)))

    return {"net": GPT()}


GPT = Ported(
    "small GPT", build_gpt,
    lambda rng: {"x": (t := tokens(rng, 4, 8))[:, :-1], "y": t[:, 1:]},
    lambda lib, n, b: n["net"](b["x"]),
    {"net": lambda lib, n, b: next_token_loss(lib, n["net"](b["x"]), b["y"])},
    lambda optim, p: optim.AdamW(p, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1),
    schedule=lambda optim, o: optim.lr_scheduler.CosineAnnealingLR(o, T_max=20, eta_min=1e-4),
    clip=1.0,
)  # fmt: skip


# ---------------------------------------------------------------- GRU seq2seq with attention (Luong 2015)


def build_seq2seq(lib: Library) -> Networks:
    nn, F, T = lib.nn, lib.F, lib.T
    width = 8

    class Seq2Seq(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, width)
            self.encoder = nn.GRU(width, width, batch_first=True, bidirectional=True)
            self.bridge = nn.Linear(2 * width, width)
            self.decoder = nn.GRUCell(width, width)
            self.memory = nn.Linear(2 * width, width, bias=False)
            self.out = nn.Linear(2 * width, VOCABULARY)

        def forward(self, source: Any, target: Any) -> Any:
            states, last = self.encoder(self.embedding(source))
            h = T.tanh(self.bridge(T.cat([last[0], last[1]], dim=1)))
            keys = self.memory(states)
            logits = []
            for t in range(target.shape[1]):
                h = self.decoder(self.embedding(target[:, t]), h)
                weights = F.softmax(T.einsum("nd,ntd->nt", h, keys) / math.sqrt(width), dim=1)
                context = T.einsum("nt,ntd->nd", weights, keys)
                logits.append(self.out(T.cat([h, context], dim=1)))
            return T.stack(logits, dim=1)

    return {"net": Seq2Seq()}


SEQ2SEQ = Ported(
    "GRU seq2seq with attention", build_seq2seq,
    lambda rng: {"s": tokens(rng, 4, 6), "x": (t := tokens(rng, 4, 6))[:, :-1], "y": t[:, 1:]},
    lambda lib, n, b: n["net"](b["s"], b["x"]),
    {"net": lambda lib, n, b: next_token_loss(lib, n["net"](b["s"], b["x"]), b["y"])},
    lambda optim, p: optim.Adagrad(p, lr=0.05),
)  # fmt: skip


# ---------------------------------------------------------------- transformer encoder


def build_encoder(lib: Library) -> Networks:
    nn, T = lib.nn, lib.T

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 12)
            layer = nn.TransformerEncoderLayer(12, 3, 24, dropout=0.0, activation="gelu", batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(12, 4)

        def forward(self, x: Any, padding: Any) -> Any:
            h = self.encoder(self.embedding(x), src_key_padding_mask=padding)
            kept = T.where(padding.unsqueeze(-1), T.zeros_like(h), h)
            return self.head(kept.sum(1) / (~padding).sum(1, keepdim=True))

    return {"net": Classifier()}


def encoder_batch(rng: np.random.Generator) -> Batch:
    lengths = np.array([7, 5, 3, 7])
    return {"x": tokens(rng, 4, 7), "padding": np.arange(7) >= lengths[:, None], "y": rng.integers(0, 4, 4)}


ENCODER = Ported(
    "transformer encoder", build_encoder, encoder_batch,
    lambda lib, n, b: n["net"](b["x"], b["padding"]),
    {"net": lambda lib, n, b: lib.F.cross_entropy(n["net"](b["x"], b["padding"]), b["y"])},
    lambda optim, p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=lambda optim, o: optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=25),
)  # fmt: skip
