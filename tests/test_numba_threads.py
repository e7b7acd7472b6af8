"""Threads and processes: the same bits for any number of threads, and what holds after a fork or spawn."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

import pullback as pb
import step_digest

HERE = Path(__file__).parent


def script(code: str, **environment: str) -> str:
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PRINT = "import step_digest\nprint(step_digest.digest())"


@pytest.fixture(scope="module")
def digest():
    return step_digest.digest()


def test_steps_agree_with_numpys():
    for a, b in zip(step_digest.arrays("numba"), step_digest.arrays("numpy"), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-3)  # three steps of Adam divide rounding by small numbers


@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_training_has_the_same_bits_for_any_number_of_threads(threads, digest):
    assert script(PRINT, PULLBACK_NUM_THREADS=threads) == digest


def test_number_of_threads_may_change_under_way(digest):
    before = pb.get_num_threads()
    try:
        for count in (1, 2):
            pb.set_num_threads(count)
            assert pb.get_num_threads() == count
            assert step_digest.digest() == digest
    finally:
        pb.set_num_threads(before)


def test_a_wrong_environment_variable_is_named():
    code = "import pullback as pb\ntry: pb.get_num_threads()\nexcept ValueError as e: print(e)"
    assert script(code, PULLBACK_NUM_THREADS="many") == "PULLBACK_NUM_THREADS must be a positive integer, not 'many'"


CONCURRENT = """
import threading, step_digest
found = []
workers = [threading.Thread(target=lambda: found.append(step_digest.digest())) for _ in range(3)]
for w in workers: w.start()
for w in workers: w.join()
print(*found)
"""


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_python_threads_train_side_by_side(layer, digest):
    assert script(CONCURRENT, NUMBA_THREADING_LAYER=layer).split() == [digest] * 3


def test_a_thread_begun_later_knows_the_number_of_threads():
    seen = []
    worker = threading.Thread(target=lambda: seen.append(pb.get_num_threads()))
    worker.start()
    worker.join()
    assert seen == [pb.get_num_threads()]


def test_a_spawned_process_has_kernels(digest):
    code = """
import multiprocessing, step_digest
if __name__ == "__main__":
    step_digest.digest()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(step_digest.digest))
"""
    assert script(code) == digest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_trains_without_kernels():
    code = """
import os, sys
import numpy as np
import pullback as pb, step_digest
want = step_digest.arrays("numba")
child = os.fork()
if not child:
    found = step_digest.arrays("numba")
    close = all(np.allclose(a, b, rtol=2e-2, atol=2e-3) for a, b in zip(want, found))
    os._exit(0 if close and pb.get_backend("numba").fallbacks["lstm"] == 3 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert script(code) == "0"


def test_blas_keeps_to_one_thread_whatever_backend_comes_after_the_kernels() -> None:
    code = (
        "import ctypes, numpy as np, pullback as pb\n"
        "from pullback.backends import threads\n"
        "pb.relu(pb.tensor(np.ones(9999, np.float32), backend='numba'))\n"
        "pb.get_backend('numpy')\n"
        "names = 'scipy_openblas_get_num_threads64_', 'scipy_openblas_get_num_threads', 'openblas_get_num_threads'\n"
        "for path in threads.openblas_paths():\n"
        "    library = ctypes.CDLL(path)\n"
        "    print(next(getattr(library, n)() for n in names if hasattr(library, n)))\n"
    )
    env = {**os.environ, "PULLBACK_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"1"}, done.stdout
