"""Runs the sections and writes the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .case import CHECKS, Absent, Entry, Outcome, Section


@dataclass
class Row:
    """What came of one public name."""

    name: str
    against: str = ""
    passed: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    absent: str = ""


def run(section: Section, only: Callable[[str], bool]) -> Iterator[Row]:
    """A row for each of a section's names that `only` picks."""
    for name, entry in section.entries.items():
        if only(name):
            yield Row(name, absent=entry.reason) if isinstance(entry, Absent) else _row(name, entry)


def _row(name: str, entry: Entry) -> Row:
    row = Row(name, entry.against)
    for case in entry.cases():
        try:
            outcome = case.check()
        except Exception as error:  # a case must not end the report: it is one failure in it
            outcome = Outcome(failed=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        row.passed.update(outcome.passed)
        if outcome.failed:
            row.failed.append(f"{case.sample}: {outcome.failed}")
        elif outcome.skipped:
            row.skipped[outcome.skipped] += 1
        else:
            row.compared += 1
    return row


def summary(results: dict[str, list[Row]]) -> str:
    """The table of totals."""
    lines = [
        "| | names | without a counterpart | samples passed | skipped | failed | " + " | ".join(CHECKS) + " |",
        "|---|" + "---|" * (5 + len(CHECKS)),
    ]
    for title, rows in results.items():
        checks = sum((row.passed for row in rows), Counter[str]())
        counts = [
            len(rows), sum(bool(row.absent) for row in rows), sum(row.compared for row in rows),
            sum(row.skipped.total() for row in rows), sum(len(row.failed) for row in rows),
            *(checks[check] for check in CHECKS),
        ]  # fmt: skip
        lines.append(f"| {title} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def details(section: Section, rows: list[Row]) -> str:
    """A section's table, then why samples were skipped, names that PyTorch does not have, and failures."""
    parts = [f"## {section.title}", section.about.strip()]
    lines = [
        "| name | against | " + " | ".join(CHECKS) + " | skipped | failed |", "|---|---|" + "---|" * (len(CHECKS) + 2)
    ]  # fmt: skip
    for row in rows:
        if not row.absent:
            counts = [*(row.passed[check] or "–" for check in CHECKS), row.skipped.total(), len(row.failed)]
            lines.append(f"| `{row.name}` | `{row.against}` | " + " | ".join(map(str, counts)) + " |")
    parts.append("\n".join(lines))
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for reason, count in row.skipped.items():
            reasons.setdefault(reason, []).append(f"`{row.name}` ({count})")
    if reasons:
        parts.append(
            "Samples skipped:\n\n" + "\n".join(f"- {reason}: {', '.join(names)}" for reason, names in reasons.items())
        )
    without: dict[str, list[str]] = {}
    for row in rows:
        if row.absent:
            without.setdefault(row.absent, []).append(f"`{row.name}`")
    if without:
        parts.append(
            "Names without a counterpart:\n\n"
            + "\n".join(f"- {', '.join(names)}: {reason}" for reason, names in without.items())
        )
    if failed := [f"- `{row.name}`, {failure}" for row in rows for failure in row.failed]:
        parts.append("Failed:\n\n" + "\n".join(failed))
    return "\n\n".join(parts)
