"""The command `unblind crate`: the study as a Workflow Run RO-Crate."""

from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, load_config
from unblind.cli.tables import PAPER_SCALE

app = typer.Typer()


@app.command()
def crate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that does not exist yet.")],
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Export the study with the origin of every file as a Workflow Run RO-Crate."""
    settings = load_config(config, override)
    from unblind.custody.crate.export import export

    summary = export(settings, PAPER_SCALE, out)
    print(f"{out}: {summary.files} files, {summary.size:,} bytes, {summary.calls} recorded calls")
