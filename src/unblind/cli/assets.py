"""The command that lays out the authors' asset files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The authors' asset files.")


@app.command()
def assemble(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Clone of the authors' repository, its zip or tar, further folders."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for `catalog` of the configuration.")],
) -> None:
    """Lay out the authors' files as the released catalog reads them, each checked."""
    from unblind.assets.assemble import ORIGINS
    from unblind.assets.assemble import assemble as lay_out
    from unblind.sim import released_files

    done = lay_out(sources, out)
    for problem in done.problems:
        print(f"error: {problem}", file=sys.stderr)
    for path in done.missing:
        print(f"missing: {path} ({released_files.known()[path].checksum})")
    for path, place in done.differing.items():
        print(f"differs: {path} at {place}")
    lacking = len(done.missing) + len(done.differing)
    print(f"{out}: {len(done.copied)} copied, {len(done.kept)} kept, {lacking} lacking")
    if lacking:
        print("to be had at:", *ORIGINS, sep="\n  ")
    if not done.complete:
        raise typer.Exit(1)
