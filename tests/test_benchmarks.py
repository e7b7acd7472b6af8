"""The benchmark suite: what it counts and how it times. It is run by hand; here are its parts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import kernel_rows
import kernels
import peers
import report
import specs
import startup
import workers


def test_operations_follow_from_the_shapes():
    forward = 2 * (26 * 26 * 9 * 32 + 11 * 11 * 9 * 32 * 64 + 3 * 3 * 9 * 64 * 64 + 576 * 64 + 64 * 10)
    assert specs.flops(specs.find("cnn-infer-1")) == forward
    for n in (32, 77):
        assert specs.flops(specs.find(f"cnn-{n}")) == n * (3 * forward - 2 * 26 * 26 * 9 * 32)
    steps = 32 * 64
    assert specs.flops(specs.find("lstm-32")) == 3 * 2 * steps * (64 * 512 + 128 * 512 + 128 * 65)
    for kind, gates in (("gru", 3), ("rnn", 1)):
        assert specs.flops(specs.find(f"{kind}-32")) == 3 * 2 * steps * ((64 + 128) * gates * 128 + 128 * 65)
    assert not specs.flops(specs.find("adam-1m"))


def test_unknown_workloads_are_named():
    with pytest.raises(KeyError, match="unknown workload 'rnn-3'"):
        specs.find("rnn-3")
    with pytest.raises(argparse.ArgumentTypeError, match="unknown workload 'cnn-0'; there are cnn-32"):
        specs.named("cnn-0")


def test_rows_of_no_name_are_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kernels.py", "nothing", "nil"])
    with pytest.raises(SystemExit):
        kernels.main()
    assert "no row's name contains 'nothing' or 'nil'; --list prints the names" in capsys.readouterr().err


def test_peers_apply_where_they_differ():
    def of(name):
        return {p for p in peers.PEERS if peers.applies(p, specs.find(name))}

    assert {"torch", "torch-fused", "torch-channels-last", "torch-channels-last-fused", "keras"} <= of("cnn-32")
    assert "torch-fused" not in of("cnn-infer-1")
    assert "torch-channels-last" not in of("mlp-32")
    assert of("chain-add") == {"pullback-numba", "pullback-numpy", "pullback-cupy", "torch"}


def test_a_worker_times_as_long_as_it_is_told():
    worker = workers.Worker("pullback-numpy", "mlp-32", 1)
    try:
        assert len(worker.run(keep=False, steps=2)) == 2
        times = worker.run(seconds=0.2)
        assert 0.15 < sum(times) < 2
        assert worker.losses[1] < worker.losses[0]
        assert 0 < worker.peak < worker.resident
        assert worker.row()["steps"] == len(times)
    finally:
        worker.close()


def test_a_library_that_disagrees_is_not_timed():
    class Fake:
        def __init__(self, peer, losses):
            self.peer, self.losses, self.closed = peer, losses, False

        def run(self, **command):
            pass

        def close(self):
            self.closed = True

    ours, torch = Fake("pullback-numba", [2.3, 2.2, 2.0]), Fake("torch", [2.3, 2.2, 2.1])
    failed = {}
    assert workers.agreeing([ours, torch], failed) == [torch]
    assert ours.closed
    assert "differ from torch's by 4.8e-02" in failed["pullback-numba"]


def test_report_has_ratios_and_percentages():
    row = {"median_ms": 2.0, "peak_mib": 5.0, "first_step_s": 0.5, report.RATIO: 1.5}
    found = report.markdown({
        "when": "today", "command": "run", "threads": 2, "machine": "m", "sgemm_gflops": 100.0,
        "workloads": {"cnn-32": {"flops": 10**8, "batch": 32, "rows": {"us": row}, "failed": {"them": "no"}}},
    })  # fmt: skip
    assert "| cnn-32 | us | 2.000 | 1.50 | 16,000 | 50 | 5 | 0.50 |" in found
    assert "| cnn-32 | them | – | no |" in found


def test_sizes_count_what_is_required():
    pytest.importorskip("packaging")
    size = startup.installed_size("scipy", [])
    assert 10 < size["own_mib"] < size["with_requirements_mib"], "scipy requires numpy"


def test_a_row_of_kernels_agrees_with_pytorch():
    pytest.importorskip("torch")
    for name in ("conv/transposed 2x2 stride 2", "norm/rms 768x128", "double/elu"):
        row = kernel_rows.ROWS[name]
        arrays = []
        for peer, build in (("pullback", kernels.build_pullback), ("torch", kernels.build_torch)):
            arrays.append([kernels.host(a) for a in build(row, peer)()])
        assert len(arrays[0]) == 1 + len(row.wanted)
        assert not kernels.differs(row, *arrays)
        arrays[0][-1] = arrays[0][-1] * 1.01
        assert f"result {len(row.wanted)} differs" in kernels.differs(row, *arrays)


def test_rows_of_kernels_apply_where_peers_have_them():
    assert kernels.applies("torch-channels-last", kernel_rows.ROWS["conv/3x3"])
    assert not kernels.applies("torch-channels-last", kernel_rows.ROWS["conv/1d 3"])
    assert kernels.applies("jax", kernel_rows.ROWS["norm/rms 768x128"])
    assert not kernels.applies("jax", kernel_rows.ROWS["point/relu"])
