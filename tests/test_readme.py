"""The Python in README.md and in the pages of docs/ runs as it stands there."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special

import pullback as pb
from pullback.conformance.run import verify

ROOT = Path(pb.__file__).parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

#: What a page's code stands on without importing it, because the page says so in words.
GIVEN: dict[str, dict[str, Any]] = {
    "docs/design.md": {"primitive": pb.primitive},
    "docs/adding-an-op.md": {"__package__": "pullback.autograd.ops"},  # the block of a file in that folder
}
#: page -> a library that its code shows the use of
NEEDS = {"README.md": "sklearn", "docs/adding-an-op.md": "numba"}


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def run(page: str, source: str, namespace: dict[str, Any]) -> None:
    exec(compile(source, f"<{page}>", "exec"), namespace)


def array_library() -> types.ModuleType:
    """What docs/adding-a-backend.md calls `mylib`: an array library with NumPy under it."""
    library = types.ModuleType("mylib")
    vars(library).update({name: value for name, value in vars(np).items() if not name.startswith("_")})
    library.special = scipy.special
    library.to_host = np.asarray

    def fast_conv(x: Any, weight: Any, stride: Any, padding: Any, dilation: Any) -> Any:
        static = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 1}
        return pb.conv2d.forward(x, weight, **static, xp=pb.get_backend("numpy").xp)

    library.fast_conv = fast_conv
    return library


@pytest.mark.parametrize("i", range(len(blocks("README.md"))))
def test_block_of_the_readme(i: int, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(NEEDS["README.md"])
    with pb.backend("numpy"):
        run("README.md", blocks("README.md")[i], {"__name__": "readme"})
    found = re.search(r"test accuracy (0\.\d+)", capsys.readouterr().out)
    if found:
        assert float(found[1]) > 0.93


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md" and blocks(page)])
def test_blocks_of_a_page_in_order(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    monkeypatch.setitem(sys.modules, "mylib", array_library())
    namespace: dict[str, Any] = {"__name__": "page", **GIVEN.get(page, {})}
    with pb.backend("numpy"):
        for source in blocks(page):
            run(page, source, namespace)
    if page == "docs/adding-an-op.md":
        assert verify(pb.get_backend("numpy"), [namespace["CASE"]]).ok
    if page == "docs/adding-a-backend.md":
        made = namespace["backend"]
        pb.register_backend("mylib", lambda: made)
        x = pb.Tensor(np.ones((1, 2, 4, 4), np.float32), backend="mylib", requires_grad=True)
        w = pb.Tensor(np.ones((3, 2, 3, 3), np.float32), backend="mylib")
        y = pb.conv2d(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
        assert y.numpy()[0, 0, 0, 0] == 18
        y.sum().backward()
        assert x.grad.backend is made


def test_every_python_block_is_marked_as_such() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) % 2 == 0, page
        assert not {"py", "Python", "python3"} & set(fences), page


def test_the_readme_names_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:docs|autograd|benchmarks|conformance)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (ROOT / link).exists(), link


CONVENTIONS = re.compile(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|", re.MULTILINE)


@pytest.mark.parametrize(
    "row", CONVENTIONS.findall((ROOT / "docs/conventions.md").read_text("utf-8")), ids=lambda r: r[0]
)
def test_row_of_the_table_of_conventions(row: tuple[str, str, str, str]) -> None:
    known = {"pb": pb, "inf": np.inf, "nan": np.nan, "float64": "float64"}
    expression, *values = row
    at, value, gradient = (np.asarray(eval(text, known), dtype=np.float64) for text in values)
    with pb.backend("numpy"), np.errstate(all="ignore"):
        x = pb.tensor(at, requires_grad=True)
        y = eval(expression, {**known, "x": x})
        np.testing.assert_allclose(y.detach().numpy(), value, rtol=1e-6, atol=1e-12)
        y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-6, atol=1e-12)
