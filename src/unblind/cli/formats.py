"""The command that brings demonstrations from one format into another."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, load_config

app = typer.Typer()


class Format(StrEnum):
    """Formats of demonstrations that are written."""

    unblind = "unblind"
    rlds = "rlds"
    lerobot = "lerobot"


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="Folder of demonstrations: our own, or RLDS as TFDS writes it.")
    ],
    out: Annotated[Path, typer.Argument(help="New folder; RLDS is called like it.")],
    to: Annotated[Format, typer.Option(help="unblind: our own; RLDS; LeRobot 3.0.")],
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Write demonstrations in another format; episode ids travel with them."""
    settings = load_config(config, override)
    from unblind.formats.convert import convert as write

    episodes, steps = write(settings, source, out, to.value)
    print(f"{out}: {episodes} episodes, {steps} steps")
