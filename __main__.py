"""The command line: `python -m pullback demo | info | verify | warmup`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .backends import BackendError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0 if all went well, 1 if not, 2 for wrong arguments, 130 for Ctrl-C."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        return status
    except KeyboardInterrupt:
        return 130
    except (BackendError, ImportError, OSError) as error:
        print(f"pullback: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pullback", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="train the classic CNN on real images",
        description="Train a small convolutional network, test it, and save its weights, history and some predictions.",
    )
    demo.add_argument(
        "--data",
        choices=["digits", "mnist", "fashion-mnist"],
        default="digits",
        help="digits (scikit-learn's, no download; the default); mnist and fashion-mnist come from the folder "
        "PULLBACK_DATA, the cache, or the network, and without all three the digits are used",
    )
    demo.add_argument("--backend", help="numpy, numba, cupy or another; the current one by default (see info)")
    demo.add_argument("--epochs", type=_positive, help="passes over the data; by default 25 for digits, else 5")
    demo.add_argument("--seed", type=_natural, default=0, help="of weights and shuffling (default 0)")
    demo.add_argument("--out", default="pullback-demo", metavar="DIR", help="where to save (default %(default)s)")
    demo.set_defaults(run=_demo)

    info = commands.add_parser("info", help="versions, backends, threads, folders")
    info.set_defaults(run=_info)

    verify = commands.add_parser("verify", help="run the conformance table on a backend")
    verify.add_argument("name", metavar="BACKEND", help="a built-in backend or one that a package registers")
    verify.add_argument("--family", help="only this family of ops, such as elementwise")
    verify.set_defaults(run=_verify, usage=verify)

    warmup = commands.add_parser(
        "warmup",
        help="compile the kernels now, not when they are first used",
        description="Fill the cache of compiled kernels of the numba backend, on all cores.",
    )
    warmup.add_argument(
        "--dtype", nargs="+", choices=["float32", "float64"], default=["float32"], help="default float32"
    )
    warmup.add_argument("--jobs", type=_positive, help="processes; by default one a core")
    warmup.add_argument("--list", action="store_true", help="print the kernels' names and compile nothing")
    warmup.set_defaults(run=_warmup)
    return parser


def _natural(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return value


def _positive(text: str) -> int:
    value = _natural(text)
    if not value:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _demo(arguments: argparse.Namespace) -> int:
    from .train.demo import run

    run(arguments.data, arguments.backend, arguments.epochs, arguments.seed, arguments.out)
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from .info import report

    print(report())
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from .conformance.run import main as verify

    try:
        return verify(arguments.name, arguments.family)
    except ValueError as error:  # an unknown family
        arguments.usage.error(str(error))


def _warmup(arguments: argparse.Namespace) -> int:
    from .backends import get_backend

    get_backend("numba")  # or the error that says how to install it
    from .backends.numba import warmup
    from .backends.numba.caching import cache_directory

    work = warmup.jobs(arguments.dtype)
    if arguments.list:
        print(*work, sep="\n")
        return 0
    folder = cache_directory()
    if folder is None:
        print(
            "pullback: no cache directory can be written, so every process compiles the kernels it uses; set "
            "NUMBA_CACHE_DIR to a directory that can",
            file=sys.stderr,
        )
        return 1
    from tqdm import tqdm

    with tqdm(total=len(work), unit="kernel") as bar:

        def done(job: warmup.Job, seconds: float, found: bool) -> None:
            bar.set_postfix_str(str(job), refresh=False)
            bar.update()

        result = warmup.warm_up(arguments.dtype, arguments.jobs, done)
    for job, seconds in sorted(result.compiled.items(), key=lambda item: -item[1]):
        print(f"{seconds:6.2f} s  {job}")
    print(
        f"compiled {len(result.compiled)} kernels in {result.seconds:.1f} s; {len(result.found)} were there already; "
        f"they are in {folder}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
