"""The command that measures the published sizes on one GPU."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind.bench_gpu import command

app = typer.Typer()
Size = StrEnum("Size", [(name, name) for name in command.SIZES])


@app.command()
def bench_gpu(
    size: Annotated[Size, typer.Option(help="Published sizes, or tiny ones.")] = Size.full,
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    out: Annotated[
        Path, typer.Option(help="Result file; a table (.md) is written beside it.")
    ] = command.OUT,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="The command ends within this time.")
    ] = command.MINUTES,
    seed: Annotated[int, typer.Option(min=0, help="Of random weights and pictures.")] = 0,
) -> None:
    """Measure training and decoding of OpenVLA-7B with random weights on one GPU."""
    command.measure(size.value, device, out, minutes, seed)
