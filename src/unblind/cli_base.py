"""The commands `unblind base ...`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The base model: fetch it, or publish another one.")


@app.command()
def pull() -> None:
    """Fetch the published base from the store and check every byte; quick when it is there."""
    from unblind.base import pull_base
    from unblind.store import PULLED_BASE

    print(f"{PULLED_BASE}: {'pulled' if pull_base() else 'is there already'}")


@app.command()
def promote(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A complete base.")],
) -> None:
    """Publish a base: it becomes the one that is pulled. At most once per piece of work."""
    from unblind.base import promote as publish

    sizes = publish(folder)
    for name, size in sizes.items():
        print(f"{name:<28} {size:>12,} bytes")
    print(f"{'together':<28} {sum(sizes.values()):>12,} bytes")
