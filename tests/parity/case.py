"""What a section of the parity report is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
#: How many samples of one dtype are compared; None: all of them.
LIMIT: int | None = None
#: What a case may have compared, in the order of the report's columns.
CHECKS = ("float32", "integers", "forward", "gradient", "second")


@dataclass(frozen=True)
class Outcome:
    """How one case ended: what was compared and agreed, or why nothing was compared, or what differs.

    At most one of `skipped` and `failed` is set. A failed case keeps in `passed` what agreed before it.
    """

    passed: tuple[str, ...] = ()
    skipped: str = ""
    failed: str = ""


@dataclass(frozen=True)
class Case:
    """One sample: `sample` describes it in a few words, `check` compares. An exception in `check` counts as failed."""

    sample: str
    check: Callable[[], Outcome]


@dataclass(frozen=True)
class Absent:
    """PyTorch has no sample inputs for this name; the report lists it as skipped with this reason."""

    reason: str


@dataclass(frozen=True)
class Entry:
    """How one public name is compared.

    Attributes
    ----------
    against : what of PyTorch it is compared with, for the report's table.
    cases : gives the cases; it is called only where torch is installed, and may import it.
    """

    against: str
    cases: Callable[[], Iterable[Case]]


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes
    ----------
    title, about : its heading, and a paragraph on what is compared and how (Markdown).
    public : finds the names that must have an entry by looking into the package, without torch. A test holds that
        `entries` has exactly these keys, so that a new op, layer or optimiser cannot be forgotten.
    entries : public name -> how it is compared, or why it is not. Made without torch.
    """

    title: str
    about: str
    public: Callable[[], Iterable[str]]
    entries: Mapping[str, Entry | Absent]


def some(samples: Sequence[T]) -> list[T]:
    """At most LIMIT samples, evenly spaced, with the first and the last."""
    if LIMIT is None or len(samples) <= LIMIT:
        return list(samples)
    return [samples[i * (len(samples) - 1) // (LIMIT - 1)] for i in range(LIMIT)]


class NotSupportedError(Exception):
    """Raised inside `check` by an adapter: this sample asks for what pullback does not have; the message says what."""
