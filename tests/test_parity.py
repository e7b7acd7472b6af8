"""The parity report forgets no public name, and its comparisons can fail."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import pullback as pb
from parity import case, missing
from parity.case import Absent, Section
from parity.markdown import run
from parity_report import main, sections


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.title)
def test_every_public_name_is_in_the_report(section: Section) -> None:
    public, entries = set(section.public()), set(section.entries)
    assert not public - entries, f"not in the report: {sorted(public - entries)}"
    assert not entries - public, f"in the report, but not public: {sorted(entries - public)}"
    assert all(entry.reason for entry in section.entries.values() if isinstance(entry, Absent))


def test_without_torch_the_report_says_what_to_install(monkeypatch, capsys) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main([]) == 0
    assert "SKIPPED" in (said := capsys.readouterr().out) and "pip install torch==2.13.0 expecttest" in said


needs_torch = pytest.mark.skipif(bool(missing()), reason=missing())


@needs_torch
@pytest.mark.parametrize("section", sections(), ids=lambda section: section.title)
@pytest.mark.filterwarnings("ignore")
def test_the_first_and_the_last_sample_of_each(section: Section, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report itself takes all."""
    import torch

    monkeypatch.setattr(case, "LIMIT", 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them only wait for each other on arrays this small
    try:
        with pb.backend("numpy"):
            rows = list(run(section, lambda name: True))
    finally:
        torch.set_num_threads(threads)
    assert not [failure for row in rows for failure in row.failed]
    assert not [row.name for row in rows if not row.absent and not row.compared + row.skipped.total()]


@pytest.fixture
def compare():
    from parity.compare import compare

    return compare


X = np.linspace(0.1, 0.9, 4)


@needs_torch
def test_compare_counts_what_agrees(compare) -> None:
    import torch

    assert compare(pb.sin, torch.sin, [X]).passed == ("forward", "gradient", "second")
    assert compare(pb.sin, torch.sin, [X.astype(np.float32)], order=0).passed == ("float32",)
    assert compare(lambda x: x > 0, lambda x: x > 0, [X]).passed == ("forward",)


@needs_torch
def test_compare_finds_wrong_values_and_wrong_gradients(compare) -> None:
    import torch

    @pb.primitive(floating=True)
    def slope(x, /, *, xp):
        return xp.sin(x)

    slope.vjp(x=lambda g, x: g * pb.cos(x) * 1.000001)

    @pb.primitive(floating=True, tensor_rules=True)
    def curvature(x, /, *, xp):
        return xp.sin(x)

    curvature.vjp(x=lambda g, x: g * pb.cos(x.detach()))

    value = compare(lambda x: pb.sin(x) + 1e-9, torch.sin, [X])
    assert not value.passed and "result 0" in value.failed
    assert compare(slope, torch.sin, [X]).failed.startswith("gradient 0")
    second = compare(curvature, torch.sin, [X])
    assert second.passed == ("forward", "gradient") and second.failed.startswith("second 0")
    shape = compare(lambda x: pb.sin(x)[None], torch.sin, [X])
    assert "shape (1, 4)" in shape.failed
    assert compare(lambda x: pb.sin(x.detach()), torch.sin, [X]).failed.startswith("gradient 0")
    assert compare(lambda x: x.detach() * 0, lambda x: x * 0, [X]).passed == ("forward", "gradient", "second")
    assert "KeyError" in compare(lambda x: {}["x"], torch.sin, [X]).failed
