"""The Numba backend in processes of their own: what it imports, its cache on disk, fork."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba")

from pullback.backends import threads


def in_a_process(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SMALL_STEP = """
import numpy as np
from pullback.backends import get_backend
backend = get_backend("numba")
relu = backend.kernel("relu_grad", lambda u, y, xp: None)
x = np.linspace(-1, 1, 5000, dtype=np.float32)
"""


def test_making_the_backend_does_not_import_numba():
    code = "import sys\nfrom pullback.backends import get_backend\nget_backend('numba')\nprint('numba' in sys.modules)"
    assert in_a_process(code) == "False"


def test_no_writable_cache_directory(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    code = (
        SMALL_STEP
        + """
import numba.core.caching as caching
for kind in caching.CacheImpl._locator_classes:
    kind.ensure_cache_path = lambda self: (_ for _ in ()).throw(PermissionError("read-only"))
print(np.array_equal(relu(x, x), np.maximum(x, 0)))
"""
    )
    assert in_a_process(code, NUMBA_CACHE_DIR=str(blocked / "cache")) == "True"


def test_a_damaged_or_full_cache_is_no_obstacle(tmp_path):
    code = SMALL_STEP + "print(np.array_equal(relu(x, x), np.maximum(x, 0)))"
    assert in_a_process(code, NUMBA_CACHE_DIR=str(tmp_path)) == "True"
    compiled = list(tmp_path.rglob("*.nbc"))
    assert compiled
    for path in [*compiled, *tmp_path.rglob("*.nbi")]:
        path.write_bytes(path.read_bytes()[:20])
    assert in_a_process(code, NUMBA_CACHE_DIR=str(tmp_path)) == "True"
    full = (
        "from pullback.backends.numba import caching\n"
        + """
def fail(*args): raise OSError("no space left on device")
caching.IndexDataCacheFile.save = fail
"""
        + code
    )
    assert in_a_process(full, NUMBA_CACHE_DIR=str(tmp_path / "other")) == "True"


def test_cache_is_keyed_by_all_sources(tmp_path):
    code = SMALL_STEP + "from pullback.backends.numba.caching import STAMP\nrelu(x, x)\nprint(STAMP[:16])"
    stamp = in_a_process(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert all(stamp in path.name for path in tmp_path.rglob("*.nb?"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_computes_without_kernels():
    code = (
        SMALL_STEP.replace("lambda u, y, xp: None", "lambda u, y, xp: xp.where(y > 0, u, 0)")
        + """
import os
relu(x, x)
child = os.fork()
if not child:
    os._exit(0 if np.array_equal(relu(x, x), np.maximum(x, 0)) and backend.fallbacks["relu_grad"] == 1 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert in_a_process(code) == "0"


def test_number_of_threads():
    code = "from pullback.backends import threads\nprint(threads.get_num_threads())"
    assert in_a_process(code, PULLBACK_NUM_THREADS="1") == "1"
    before = threads.get_num_threads()
    for wrong in (0, -1, 1.5, "two"):
        with pytest.raises(ValueError, match="positive integer"):
            threads.set_num_threads(wrong)
    assert threads.get_num_threads() == before
