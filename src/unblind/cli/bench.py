"""The commands that measure speed."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, load_config

app = typer.Typer()


class Size(StrEnum):
    """What is measured on a GPU."""

    full = "full"
    twin = "twin"


@app.command()
def bench(
    config: ConfigFile = MINI,
    override: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Result file.")] = None,
) -> None:
    """Measure simulator, fine-tuning and policy: CPU time, and ratios of one and the same run."""
    settings = load_config(config, override)
    from unblind.bench.simulator import bench as measure

    measure(settings, out or Path(settings.results, "bench.json"))


@app.command()
def bench_gpu(
    size: Annotated[Size, typer.Option(help="Published sizes, or tiny ones.")] = Size.full,
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    out: Annotated[
        Path, typer.Option(help="Result file; a table (.md) is written beside it.")
    ] = Path("results/bench-gpu.json"),
    minutes: Annotated[
        float, typer.Option(min=0.1, help="The command ends within this time.")
    ] = 7.5,
    seed: Annotated[int, typer.Option(min=0, help="Of random weights and pictures.")] = 0,
) -> None:
    """Measure training and decoding of OpenVLA-7B with random weights on one GPU."""
    from unblind.bench.gpu import bench as measure

    measure(size.value, device, out, minutes, seed)
