"""The commands of provenance: is everything as it was made, and what made this file?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unblind.cli_options import MINI, AsJson, ConfigFile, Overrides, load_config
from unblind.cli_tables import PAPER_SCALE
from unblind.errors import UnblindError

if TYPE_CHECKING:
    from unblind.lineage.verify import Finding

app = typer.Typer()

#: Exit code when everything that is here is whole, but not what the study asks for; 2 is for
#: wrong usage, 1 for errors.
NOT_CURRENT = 3


@app.command()
def verify(
    config: ConfigFile = MINI,
    override: Overrides = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 also if something needed is missing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every artifact: intact, stale, missing or corrupt; pulled or recomputed.

    Exit code: 0 if all that is here is intact, 1 if something is corrupt, 3 if something is stale.
    """
    settings = load_config(config, override)
    from unblind.lineage import report
    from unblind.lineage.verify import verify as check

    findings = check(settings, PAPER_SCALE)
    print(json.dumps(report.to_json(findings), indent=2) if as_json else report.text(findings))
    _stop(findings, strict)


@app.command()
def trace(
    file: Annotated[Path, typer.Argument(help="An artifact, e.g. results/table1.md.")],
    as_json: AsJson = False,
    every_file: Annotated[
        bool, typer.Option("--every-file", help="A line for each file, alike or not.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Also compare the settings with these.")
    ] = None,
    override: Overrides = None,
) -> None:
    """Print the tree of what made a file, and mark what has changed since."""
    from unblind.lineage import artifacts, tree
    from unblind.lineage import trace as tracing
    from unblind.lineage.sidecars import relative

    wanted = config or (MINI if override else None)
    study = artifacts.study(load_config(wanted, override), PAPER_SCALE) if wanted else []
    nodes = tracing.trace(file, study)
    if as_json:
        print(json.dumps({"schema": 1, "files": tracing.to_json(nodes)}, indent=2))
        return
    if relative(file) not in nodes:
        print(f"{file} belongs to")
    print(tree.render(nodes, every_file))


def _stop(findings: "list[Finding]", strict: bool) -> None:
    """End with an error if something is corrupt, with code 3 if something is not current.

    Raises:
        UnblindError: something is corrupt.
    """
    corrupt = [one for one in findings if one.state == "corrupt"]
    if corrupt:
        more = f" (and {len(corrupt) - 1} more)" if len(corrupt) > 1 else ""
        raise UnblindError(
            f"corrupt: {corrupt[0].path}: {'; '.join(corrupt[0].why)}{more}",
            "delete it and pull or make it again; contents of the store: git checkout -- dvcstore",
        )
    missing = any(one.state == "missing" and one.needed for one in findings)
    if any(one.state == "stale" for one in findings) or (strict and missing):
        raise typer.Exit(NOT_CURRENT)
