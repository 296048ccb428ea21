"""The command `unblind site`: results as a static site."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, load_config

app = typer.Typer()


@app.command()
def site(
    out: Annotated[Path, typer.Option(help="Folder; a site that is there is replaced.")] = Path(
        "site"
    ),
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Write a static site of the results that are there; it computes none."""
    settings = load_config(config, override)
    from unblind.audit.commands import Commands
    from unblind.site.build import build

    made = build(settings, Commands(settings, config, MINI), out)
    for problem in made.problems:
        print(f"warning: {problem}", file=sys.stderr)
    print(f"{out / 'index.html'}: {made.files} files, {made.bytes:,} bytes")
