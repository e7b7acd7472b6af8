"""A run of the suite as Markdown and as a plot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

RATIO = "times_faster_than_best_peer"


def markdown(report: dict[str, Any]) -> str:
    """All that was measured, as tables."""
    lines = [
        f"{report['when']}, `{report['command']}`: {report['threads']} threads of {report['machine']}.",
        f"sgemm at 2048³, the best of all tries in this run: {report['sgemm_gflops']:.0f} GFLOP/s.",
        "",
    ]
    if report["workloads"]:
        lines += _workloads(report)
    if "startup" in report:
        lines += ["", *_startup(report["startup"])]
    return "\n".join(lines) + "\n"


def _workloads(report: dict[str, Any]) -> Iterator[str]:
    yield "| workload | library | median ms | × fastest peer | examples/s | % of sgemm | peak MiB | first step s |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for workload, result in report["workloads"].items():
        rows = sorted(result["rows"].items(), key=lambda item: item[1]["median_ms"])
        for peer, row in rows:
            ratio, ms = row.get(RATIO), row["median_ms"]
            share = 100 * result["flops"] / ms / 1e6 / report["sgemm_gflops"]
            yield (
                f"| {workload} | {peer} | {ms:.3f} | {'' if ratio is None else f'{ratio:.2f}'} "
                f"| {result['batch'] / ms * 1e3:,.0f} "
                f"| {f'{share:.0f}' if share else ''} | {row['peak_mib']:.0f} "
                f"| {row['first_step_s']:.2f} |"
            )
        for peer, reason in result["failed"].items():
            yield f"| {workload} | {peer} | – | {reason} | | | | |"


def _startup(startup: dict[str, Any]) -> Iterator[str]:
    yield "| library | import s | own MiB | with requirements MiB |"
    yield "|---|---:|---:|---:|"
    for library, row in startup["libraries"].items():
        yield (f"| {library} | {row['import_s']:.2f} | {row['own_mib']:.1f} | {row['with_requirements_mib']:.0f} |")
    yield ""
    yield f"| {startup['workload']}, fresh process | import s | first step s, cold cache | warm cache |"
    yield "|---|---:|---:|---:|"
    for peer, row in startup["compile"].items():
        if "failed" in row:
            yield f"| {peer} | {row['failed']} | | |"
            continue
        cold, warm = row["cold"], row["warm"]
        yield f"| {peer} | {warm['import_s']:.2f} | {cold['first_step_s']:.2f} | {warm['first_step_s']:.2f} |"


def _has(report: dict[str, Any], peer: str) -> bool:
    return any(peer in result["rows"] for result in report["workloads"].values())


def plot(report: dict[str, Any], path: Path) -> None:
    """Ratios to the fastest peer, a bar a workload."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [n for n, r in report["workloads"].items() if any(RATIO in x for x in r["rows"].values())]
    if not names:
        return
    fig, ax = plt.subplots(figsize=(7, 0.5 * len(names) + 1))
    ours = [p for p in ("pullback-numba-compiled", "pullback-numba", "pullback-numpy") if _has(report, p)]
    height = 0.8 / max(len(ours), 1)
    for k, peer in enumerate(ours):
        values = [report["workloads"][n]["rows"].get(peer, {}).get(RATIO, 0) for n in names]
        ax.barh([i + height * k for i in range(len(names))], values, height=0.95 * height, label=peer)
    ax.axvline(1, color="black", linewidth=1)
    ax.set_yticks([i + height * (len(ours) - 1) / 2 for i in range(len(names))], names)
    ax.invert_yaxis()
    ax.set_xlabel("times faster than the fastest peer")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    fig.tight_layout()
    fig.savefig(path, dpi=120)
    plt.close(fig)


def plot_scaling(times: dict[str, dict[int, float]], path: Path) -> None:
    """Microseconds an image against the batch, a line a library."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 4.5))
    for peer, by_batch in times.items():
        ax.plot(list(by_batch), [1e3 * ms / n for n, ms in by_batch.items()], marker="o", label=peer)
    ax.set_xscale("log", base=2)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("images a step")
    ax.set_ylabel("µs an image")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    fig.tight_layout()
    fig.savefig(path, dpi=120)
    plt.close(fig)
