"""The parity report: everything public beside PyTorch, on PyTorch's own sample inputs.

`python tests/parity_report.py` makes it. A section (ops, layers, optimisers, ...) is one module here that offers a
`SECTION`; `case.py` says what that is, and `compare.py` compares a function of arrays, and its first and second
gradients, between the two libraries. Nothing in this package imports torch when it is itself imported.
"""

from __future__ import annotations

import importlib.util

#: What PyTorch's tables of samples need; PyTorch does not install the second one itself.
REQUIREMENTS = {"torch": "torch==2.13.0", "expecttest": "expecttest"}


def missing() -> str:
    """What the report needs and is not installed here, in a sentence; empty if there is nothing."""
    absent = [name for name in REQUIREMENTS if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    wanted = " ".join(REQUIREMENTS.values())
    return (
        f"the parity report reads PyTorch's own samples, and {', '.join(absent)} is not installed: pip install {wanted}"
    )
