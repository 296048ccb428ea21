"""The command line: what every workflow rule calls and what a person can call by hand.

Commands only parse arguments and call one function; everything heavy is imported inside them, so
that ``unblind --help`` stays quick. A problem the user can act on is printed as one line and ends
with exit code 1; wrong usage ends with 2.
"""

import typer

from unblind.cli import (
    answerers,
    assets,
    audit,
    base,
    bench,
    cluster,
    crate,
    custody,
    formats,
    here,
    learning,
    look,
    openvla,
    paper,
    serving,
    simulate,
    site,
    store,
    tables,
    terminal,
)
from unblind.machine import processor

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help='Reproduce "Don\'t Blind Your VLA": simulation, demonstrations, evaluation, tables.',
)
app.add_typer(here.app)
app.add_typer(look.app)
app.add_typer(base.app, name="base")
app.add_typer(answerers.app, name="answerer")
app.add_typer(assets.app, name="assets")
for group in (
    *(simulate, serving, formats, learning, tables),
    *(audit, paper, site, custody, store, crate, cluster, openvla, bench),
):
    app.add_typer(group.app)


def main() -> None:
    """Run the command line; numeric libraries choose their kernels alike on all processors."""
    processor.pin()
    terminal.run(app)
