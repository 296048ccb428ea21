"""The command `unblind paper`: our own report on the reproduction as a PDF."""

from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, load_config
from unblind.errors import UnblindError, note

app = typer.Typer()
PAPER_SCALE = Path("workflow/config/paper.yaml")


@app.command()
def paper(
    config: ConfigFile = MINI,
    override: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The PDF; default: paper.pdf.")] = None,
) -> None:
    """Write our report on the reproduction as a PDF, from the records and pages that are there."""
    settings = load_config(config, override)
    from unblind.audit import build
    from unblind.audit.commands import Commands
    from unblind.paper import latex
    from unblind.paper.build import paper as write

    if not latex.is_there():  # before an audit's seconds
        raise UnblindError("no TeX: the report cannot be made", "run, as root: sh scripts/tex.sh")
    evidence = build.evidence(settings)
    result = build.audit(
        settings, evidence, Commands(settings, config, MINI), Path(settings.results, "audit")
    )
    large = (PAPER_SCALE, load_config(PAPER_SCALE, None))
    print(write(settings, evidence, result, large, out or Path(settings.results, "paper.pdf")))
    if findings := len(result["integrity"]):
        note(f"{findings} findings on the integrity of the results stand in the report")
