"""The commands about this machine and this package."""

import json
from pathlib import Path
from typing import Annotated

import typer

from unblind import checkout
from unblind.files import write_json

app = typer.Typer()

SCHEMA = Path("workflow/config/schema.json")


@app.command()
def doctor() -> None:
    """Check renderer, planner, versions, memory and disk; exit 1 if something is wrong."""
    from unblind.machine import doctor as checks

    results = checks.run()
    print(checks.format(results))
    if not all(check.ok for check in results):
        raise typer.Exit(1)


@app.command()
def schema(
    write: Annotated[bool, typer.Option("--write", help="Write the file.")] = False,
    out: Annotated[Path, typer.Option(help="Schema file.")] = SCHEMA,
) -> None:
    """Print the configuration's JSON schema, or write it where the workflow reads it."""
    from unblind.config import schema as generate

    if write:
        if out == SCHEMA:
            checkout.require(out)
        write_json(out, generate())
        print(out)
    else:
        print(json.dumps(generate(), indent=2, sort_keys=True))
