"""A third-party backend package is installed, found by its entry point, selected by name, and used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin"

SCRIPT = """
import sys
import numpy as np
import pullback as pb
from pullback.backends import backend_names

assert "counting" in backend_names(), backend_names()
assert "pullback_counting" not in sys.modules  # found by its entry point, loaded on first use
x = pb.Tensor(np.ones((2, 3)), requires_grad=True)
assert x.backend.name == "counting", x.backend
assert "pullback_counting" in sys.modules
y = np.exp(1.0) * np.ones((3, 2))
loss = (pb.exp(x) @ pb.Tensor(y)).sum()
loss.backward()
np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(2.0) * np.ones((2, 3)))
# forward: one exp, one matmul; backward: one matmul for x, and exp's rule uses its saved output
assert dict(x.backend.calls) == {"exp": 1, "matmul": 2}, x.backend.calls
assert not x.backend.fallbacks
batched = pb.Tensor(np.ones((4, 2, 3))) @ pb.Tensor(y)
assert batched.shape == (4, 2, 2)
assert dict(x.backend.fallbacks) == {"matmul": 1}  # the guard declined three axes
print("ok", x.backend.describe())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin installed in it by pip, offline."""
    source = tmp_path_factory.mktemp("source") / "plugin"  # setuptools writes its build folders beside the sources
    shutil.copytree(PLUGIN, source)
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(target), str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


def run(installed: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=installed, capture_output=True, text=True, timeout=120
    )


def test_third_party_backend_is_listed_selected_and_used_in_forward_and_backward(installed: Path) -> None:
    done = run(installed, SCRIPT, PULLBACK_BACKEND="counting", PULLBACK_FALLBACK="allow")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok NumPy")


def test_third_party_backend_is_named_among_the_known_ones(installed: Path) -> None:
    done = run(installed, "import pullback as pb; pb.Tensor(0.0)", PULLBACK_BACKEND="countign")
    assert done.returncode != 0
    assert "unknown backend 'countign'" in done.stderr
    assert "counting" in done.stderr
