"""The commands of provenance: is everything as it was made, and what made this file?"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unblind import checkout, locks
from unblind.cli.options import MINI, AsJson, ConfigFile, Overrides, load_config
from unblind.cli.tables import PAPER_SCALE
from unblind.errors import UnblindError, note

if TYPE_CHECKING:
    from unblind.config import Config
    from unblind.custody.artifacts import Artifact
    from unblind.custody.verify import Finding

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
    from unblind.custody import report
    from unblind.custody.verify import verify as check

    findings = check(settings, PAPER_SCALE)
    print(json.dumps(report.to_json(findings), indent=2) if as_json else report.text(findings))
    _stop(findings, strict)


@app.command()
def trace(
    file: Annotated[Path, typer.Argument(help="An artifact, e.g. results/table1.md.")],
    as_json: AsJson = False,
    every_file: Annotated[
        bool, typer.Option("--every-file", help="A line for each file, similar or not.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Also compare the settings with these.")
    ] = None,
    override: Overrides = None,
) -> None:
    """Print the tree of what made a file, and mark what has changed since.

    Its study may lie in any folder; paths are relative to it.
    """
    from unblind.custody import trace as tracing
    from unblind.custody import tree
    from unblind.custody.sidecars import relative

    settings = load_config(config, override) if config else None
    root, inside = _root(file)
    with contextlib.chdir(root):
        nodes = tracing.trace(inside, _wanted(settings, override))
        inside = relative(inside)
    if as_json:
        print(json.dumps({"schema": 1, "files": tracing.to_json(nodes)}, indent=2))
        return
    if inside not in nodes:
        print(f"{inside} belongs to")
    print(tree.render(nodes, every_file, tree.lines_for(sys.stdout.encoding)))


@app.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(help="Results folders of other machines.")],
    into: Annotated[Path, typer.Option(help="The results folder that gets their records.")],
) -> None:
    """Bring records of rollouts together that were made on several machines."""
    from unblind.custody.merge import merge as bring_together

    with locks.alone(into):
        merged = bring_together(sources, into)
    for path in merged:
        print(path)
    note(f"{len(merged)} records merged")


@app.command()
def prove(
    commit: Annotated[str, typer.Argument(help="The older commit.")],
    base: Annotated[
        bool, typer.Option("--base", help="Make the base, too, instead of pulling it.")
    ] = False,
) -> None:
    """Prove that HEAD makes the same results as an older commit; enter it into the ledger.

    Both run mini's own study with counts cut (20 CPU-minutes; with --base an hour), and every
    changed line must have run. Exit code 1 if changed code is not proved.
    """
    from unblind.study import code, probe
    from unblind.study.prove import prove as compare

    checkout.require(MINI)
    steps = (*probe.BASE_STEPS, *probe.RUN_STEPS) if base else probe.RUN_STEPS
    verdicts = list(compare(commit, Path.cwd(), code.LEDGER, steps, base))
    for verdict in verdicts:
        print(f"{verdict.results}: {verdict.reason}")
    if any(verdict.refused for verdict in verdicts):
        raise typer.Exit(1)


def _root(file: Path) -> tuple[Path, Path]:
    """Return the root of a file's study and the file's path from there; say which root it is.

    Raises:
        UnblindError: the file is missing or foreign.
    """
    from unblind.custody import roots

    here = checkout.working_folder()
    if not file.is_absolute():
        checkout.require(file)
    root, absolute = roots.root(file), Path(os.path.abspath(file))
    if root is None:
        note(f"no study lies around {file}: its inputs are looked for in {here}")
    elif not root.samefile(here):
        note(f"paths are relative to {root}")
    root = root or here
    return root, absolute.relative_to(root) if absolute.is_relative_to(root) else absolute


def _wanted(settings: "Config | None", override: list[str] | None) -> "list[Artifact]":
    """Return what the study in the working folder consists of; nothing if none was asked for."""
    from unblind.custody import artifacts

    if settings is None and override:
        settings = load_config(MINI, override)
    return artifacts.study(settings, PAPER_SCALE) if settings else []


def _stop(findings: "list[Finding]", strict: bool) -> None:
    """End with an error if something is corrupt, with code 3 if something is not current.

    Raises:
        UnblindError: something is corrupt.
    """
    corrupt = [finding for finding in findings if finding.state == "corrupt"]
    if corrupt:
        more = f" (and {len(corrupt) - 1} more)" if len(corrupt) > 1 else ""
        raise UnblindError(
            f"corrupt: {corrupt[0].path}: {'; '.join(corrupt[0].why)}{more}",
            "delete it and pull or make it again; contents of the store: git checkout -- dvcstore",
        )
    missing = any(finding.state == "missing" and finding.needed for finding in findings)
    if any(finding.state == "stale" for finding in findings) or (strict and missing):
        raise typer.Exit(NOT_CURRENT)
