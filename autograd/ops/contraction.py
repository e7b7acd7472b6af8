"""Einstein summation over any number of operands: read the equation, then contract pair by pair."""

from __future__ import annotations

import itertools
import math
from typing import Any

from .arrange import diagonal
from .linalg import einsum_pair, label
from .reduce import sum_
from .shape import permute_, reshape_

__all__ = ["einsum"]

Array = Any


def einsum(equation: str, *operands: Array) -> Array:
    """Sums of products written with index labels, e.g. `einsum("bik,bkj->bij", x, y)`.

    Each comma-separated term names the axes of one operand. A label that is not in the result is summed over; one that
    a term repeats selects its diagonal. `...` stands for axes that broadcast. Without `->` the result has the labels
    that occur once, in alphabetical order, after the axes of `...`. More than two operands are contracted greedily,
    the pair with the smallest result first.

    Raises
    ------
    ValueError : the equation does not match the operands' axes or lengths, or names an unknown label in the result.
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    terms, out = read_equation(equation, [tuple(x.shape) for x in operands])
    parts = [_simplified(x, term, equation) for x, term in zip(operands, terms, strict=True)]
    lengths = _lengths(parts, equation)
    unknown = set(out) - set(lengths)
    if unknown:
        raise ValueError(f"einsum: {equation!r} has {''.join(sorted(unknown))!r} in the result alone")
    parts = [_without_ones(x, term, lengths) for x, term in parts]
    while len(parts) > 1:
        i, j = _cheapest(parts, lengths, out)
        (x, a), (y, b) = parts[i], parts[j]
        parts = [part for k, part in enumerate(parts) if k not in (i, j)]
        kept = set(out).union(*(term for _, term in parts))
        x, a = _summed(x, a, kept | set(b))
        y, b = _summed(y, b, kept | set(a))
        both = "".join(dict.fromkeys(a + b))
        result = "".join(c for c in (out if not parts else both) if c in kept and c in both)
        parts.append((einsum_pair(x, y, spec=(a, b, result)), result))
    x, term = _summed(*parts[0], set(out))
    order = tuple(term.index(c) for c in out)
    return x if order == tuple(range(len(order))) else permute_(x, axes=order)


def read_equation(equation: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """The operands' labels and the result's, with `...` spelled out and the result made explicit."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"einsum: {equation!r} has {len(terms)} terms for {len(shapes)} operands")
    for text in (*terms, right):
        bare = text.replace("...", "", 1)
        if bare and not bare.isalpha():
            raise ValueError(f"einsum: {text!r} in {equation!r} is not made of letters and at most one ...")
    hidden = [len(shape) - len(term) + 3 if "..." in term else 0 for term, shape in zip(terms, shapes, strict=True)]
    used = set(equation)
    fresh = (c for c in map(label, itertools.count()) if c not in used)
    dots = "".join(itertools.islice(fresh, max([*hidden, 0])))
    full = []
    for term, shape, n in zip(terms, shapes, hidden, strict=True):
        spelled = term.replace("...", dots[len(dots) - n :]) if n >= 0 else term
        if n < 0 or len(spelled) != len(shape):
            raise ValueError(f"einsum: the term {term!r} of {equation!r} does not fit an operand of shape {shape}")
        full.append(spelled)
    if arrow:
        out = right.replace("...", dots)
        if len(set(out)) != len(out):
            raise ValueError(f"einsum: the result of {equation!r} repeats a label")
        return full, out
    letters = [c for c in left if c.isalpha()]
    return full, dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))


def _simplified(x: Array, term: str, equation: str) -> tuple[Array, str]:
    """An operand with the diagonals of its repeated labels taken, and one label per axis."""
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            i = term.index(c)
            j = term.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ValueError(
                    f"einsum: {c!r} of {equation!r} repeats over axes of length {x.shape[i]} and {x.shape[j]}"
                )
            x = diagonal(x, 0, i, j)
            term = "".join(d for k, d in enumerate(term) if k not in (i, j)) + c
    return x, term


def _lengths(parts: list[tuple[Array, str]], equation: str) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for x, term in parts:
        for c, n in zip(term, x.shape, strict=True):
            known = lengths.setdefault(c, n)
            if known != n and 1 not in (known, n):
                raise ValueError(f"einsum: {c!r} of {equation!r} stands for axes of length {known} and {n}")
            lengths[c] = n if known == 1 else known
    return lengths


def _without_ones(x: Array, term: str, lengths: dict[str, int]) -> tuple[Array, str]:
    """An operand without the axes of length 1 that broadcast against longer ones."""
    keep = [k for k, c in enumerate(term) if x.shape[k] == lengths[c]]
    if len(keep) == len(term):
        return x, term
    return reshape_(x, shape=tuple(x.shape[k] for k in keep)), "".join(term[k] for k in keep)


def _summed(x: Array, term: str, kept: set[str]) -> tuple[Array, str]:
    """An operand summed over labels that nobody else needs."""
    axes = tuple(k for k, c in enumerate(term) if c not in kept)
    if not axes:
        return x, term
    return sum_(x, axis=axes, keepdims=False), "".join(c for c in term if c in kept)


def _cheapest(parts: list[tuple[Array, str]], lengths: dict[str, int], out: str) -> tuple[int, int]:
    """The pair whose contraction leaves the least behind, then the one with the fewest products."""
    if len(parts) == 2:
        return 0, 1

    def size(labels: set[str]) -> int:
        return math.prod(lengths[c] for c in labels)

    def cost(pair: tuple[int, int]) -> tuple[int, int]:
        a, b = (set(parts[k][1]) for k in pair)
        others = set(out).union(*(term for k, (_, term) in enumerate(parts) if k not in pair))
        return size((a | b) & others) - size(a) - size(b), size(a | b)

    return min(itertools.combinations(range(len(parts)), 2), key=cost)
