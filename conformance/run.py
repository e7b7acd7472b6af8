"""`python -m pullback verify NAME`: run the table on one backend and print what holds."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from ..backends import Backend, backend, get_backend
from .case import OpCase
from .cases import families
from .checks import CHECKS, NotApplicableError


@dataclass
class Result:
    """What came of a run: counts per op and check, and the reasons of failures."""

    passed: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    rows: int = 0

    @property
    def ok(self) -> bool:
        """True if rows were run and no check failed."""
        return self.rows > 0 and not self.failed


def run_check(name: str, case: OpCase, chosen: Backend) -> bool:
    """Run one check; True if it passed, False if it says nothing about this row; raises if it failed."""
    try:
        with backend(chosen):
            CHECKS[name](case, chosen)
    except NotApplicableError:
        return False
    return True


def verify(chosen: Backend, cases: Sequence[OpCase]) -> Result:
    """Run every check on every row."""
    result = Result()
    for case in cases:
        result.rows += 1
        for name in CHECKS:
            try:
                if run_check(name, case, chosen):
                    result.passed[case.op.name, name] += 1
            except Exception as error:  # a report lists every failure, whatever its kind
                result.failed[case.op.name, name] += 1
                result.reasons.append(f"{case.id}, {name}: {type(error).__name__}: {error}")
    return result


def table(result: Result) -> str:
    """One line per op, one column per check: passes, or failures as ✗n."""
    ops = sorted({op for op, _ in (*result.passed, *result.failed)})
    width = max([len(op) for op in ops], default=2)
    lines = ["  ".join(["op".ljust(width), *CHECKS])]
    for op in ops:
        cells = []
        for name in CHECKS:
            good, bad = result.passed[op, name], result.failed[op, name]
            text = f"✗{bad}" if bad else str(good) if good else "·"
            cells.append(text.rjust(len(name)))
        lines.append("  ".join([op.ljust(width), *cells]))
    return "\n".join(lines)


def main(name: str, family: str | None = None, out: TextIO | None = None) -> int:
    """Verify the backend of that name, print the table, and return the exit status: 0 if all holds.

    Raises
    ------
    BackendError : the backend is unknown or cannot be loaded.
    ValueError : no such family of rows.
    """
    out = out or sys.stdout
    chosen = get_backend(name)
    known = families()
    if family is not None and family not in known:
        raise ValueError(f"no family {family!r}; there are {', '.join(known)}")
    cases = [case for key, rows in known.items() if family in (None, key) for case in rows]
    result = verify(chosen, cases)
    print(table(result), file=out)
    passed, failed = sum(result.passed.values()), sum(result.failed.values())
    print(f"\n{name}: {result.rows} rows, {len(CHECKS)} kinds of checks: {passed} passed, {failed} failed", file=out)
    for reason in result.reasons:
        print(f"  {reason}", file=out)
    return 0 if result.ok else 1
