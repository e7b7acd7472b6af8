"""Makes the parity report: everything public beside PyTorch, on PyTorch's own sample inputs.

    python tests/parity_report.py                      prints the totals, and what failed
    python tests/parity_report.py --only softmax -v    names that contain this, each with its counts
    python tests/parity_report.py --out docs/parity.md writes the page of the documentation

Needs PyTorch, which pullback itself does not: pip install torch==2.13.0 expecttest
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import warnings
from pathlib import Path

import pullback as pb
from parity import missing
from parity.case import Section
from parity.markdown import Row, details, run, summary

#: Modules of `parity`, in the report's order.
SECTIONS = ("ops", "methods", "functional", "modules", "optimizers", "schedules", "inits")
PAGE = """# Parity with PyTorch

Everything public beside PyTorch {torch}, on the sample inputs that PyTorch's own tests use: values in float32 and
float64, gradients for random cotangents, and the gradients of those with respect to inputs and cotangents. Made by

```
{command}
```

on the backend `{backend}` in {seconds:.0f} seconds, after `pip install torch==2.13.0 expecttest`. A sample counts as
passed when everything compared on it agrees: to 1e-10 in float64 and 2e-5 in float32, relative to the largest magnitude
in the result. The columns say how many samples had each thing compared; – where there is nothing to compare (no samples
of that dtype, results that are not numbers, or no derivative in PyTorch).

"""


def sections() -> list[Section]:
    """All sections. Needs no torch."""
    return [importlib.import_module(f"parity.{name}").SECTION for name in SECTIONS]


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only names that contain this (a whole name if it ends in '$')")
    parser.add_argument("--section", default="", help="only sections whose title contains this")
    parser.add_argument("--backend", default="numpy", help="pullback's backend (default: numpy)")
    parser.add_argument("--out", type=Path, help="write the report here, as Markdown")
    parser.add_argument("-v", "--verbose", action="store_true", help="print a line for every name")
    options = parser.parse_args(arguments)
    if reason := missing():
        print(f"SKIPPED: {reason}")
        return 0
    import torch

    def only(name: str) -> bool:
        return name == options.only[:-1] if options.only.endswith("$") else options.only in name

    warnings.simplefilter("ignore")  # PyTorch's own, about the samples
    torch.set_num_threads(1)
    pb.set_backend(options.backend)
    start = time.perf_counter()
    results: dict[str, list[Row]] = {}
    pages = []
    for section in sections():
        if options.section.lower() in section.title.lower():
            rows = results[section.title] = []
            for row in run(section, only):
                rows.append(row)
                if options.verbose or row.failed:
                    print(f"{row.name:36} {dict(row.passed)} skipped {dict(row.skipped)} failed {len(row.failed)}")
                    for failure in row.failed[: None if options.verbose else 3]:
                        print("   ", failure)
            pages.append(details(section, rows))
    seconds = time.perf_counter() - start
    print(summary(results), f"\n{seconds:.0f} s")
    if options.out:
        command = "python tests/parity_report.py " + " ".join(arguments if arguments is not None else sys.argv[1:])
        head = PAGE.format(
            torch=torch.__version__.partition("+")[0],
            command=command,
            backend=options.backend,
            seconds=seconds,
        )
        options.out.write_text(head + summary(results) + "\n\n" + "\n\n".join(pages) + "\n", encoding="utf-8")
    return int(any(row.failed for rows in results.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
