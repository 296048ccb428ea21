"""The command that measures the published sizes on one GPU."""

import faulthandler
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
#: Share of the time in which measuring must stop; the rest is for a round that lasts longer.
_SOFT = 0.9


class Size(StrEnum):
    """What is measured."""

    full = "full"
    twin = "twin"


@app.command("bench-gpu")
def bench_gpu(
    size: Annotated[Size, typer.Option(help="Published sizes, or tiny ones.")] = Size.full,
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    out: Annotated[Path, typer.Option(help="Result file; a table (.md) is written beside it.")] = (
        Path("results/bench-gpu.json")
    ),
    minutes: Annotated[
        float, typer.Option(min=0.1, max=600, help="The command ends within this time.")
    ] = 7.5,
    seed: Annotated[int, typer.Option(min=0, help="Of random weights and pictures.")] = 0,
) -> None:
    """Measure training and decoding of OpenVLA-7B with random weights on one GPU."""
    from unblind.bench_gpu import needs
    from unblind.bench_gpu.budget import Budget

    needs.check()
    budget = Budget(_SOFT * 60 * minutes)
    # What hangs inside a library cannot be asked to stop; results are on disk by then.
    faulthandler.dump_traceback_later(60 * minutes, exit=True)
    try:
        from unblind.bench_gpu import run
        from unblind.openvla.checkpoint import check_device

        place = check_device(device)
        run.bench(size.value, place, out, seed, budget)
    finally:
        faulthandler.cancel_dump_traceback_later()
    print(out.with_suffix(".md").read_text(encoding="utf-8"), end="")
    print(out)
