"""The command itself, and its options where the package's own command line cannot be had."""

import argparse
import faulthandler
from collections.abc import Sequence
from pathlib import Path

from unblind.bench_gpu import needs
from unblind.bench_gpu.budget import Budget

SIZES = ("full", "twin")
OUT, MINUTES = Path("results/bench-gpu.json"), 7.5
#: Share of the time in which measuring must stop; the rest is for a round that lasts longer.
_SOFT = 0.9


def measure(size: str, device: str, out: Path, minutes: float, seed: int) -> None:
    """Measure, write ``out`` and a table beside it (.md), print the table.

    Args:
        size: one of `SIZES`.
        device: ``cuda`` or ``cpu``.
        out: JSON file.
        minutes: the process ends within this time, whatever hangs.
        seed: of random weights and pictures.

    Raises:
        UnblindError: packages are missing, there is no such device, results cannot be written, or
            not all parts could be measured (those that were stand in ``out``).
    """
    budget = Budget(_SOFT * 60 * minutes)
    # What hangs inside a library cannot be asked to stop; results are on disk by then.
    faulthandler.dump_traceback_later(60 * minutes, exit=True)
    try:
        needs.check()
        from unblind.bench_gpu import run
        from unblind.vla.loading import check_device

        run.bench(size, check_device(device), out, seed, budget)
    finally:
        faulthandler.cancel_dump_traceback_later()
    print(out.with_suffix(".md").read_text(encoding="utf-8"), end="")
    print(out)


def main(words: Sequence[str] | None = None) -> None:
    """Parse options as `unblind.cli.bench_gpu` has them, and measure.

    Raises:
        UnblindError: see :func:`measure`.
    """
    parser = argparse.ArgumentParser("bench-gpu", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default=SIZES[0])
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--seed", type=int, default=0)
    measure(**vars(parser.parse_args(words)))
