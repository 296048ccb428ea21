"""The commands `unblind pull` and `unblind publish`."""

from typing import Annotated

import typer

from unblind import checkout
from unblind.cli.options import MINI, ConfigFile, Overrides, load_config
from unblind.cli.tables import PAPER_SCALE
from unblind.errors import UnblindError

app = typer.Typer()


@app.command()
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Of results/: base, training, rollouts, answers. Default: all."),
    ] = None,
) -> None:
    """Fetch published results and check every byte; quick when they are there."""
    from unblind.study import store

    checkout.require(store.SETTINGS)
    known = store.pointers()
    if not known:
        raise UnblindError(
            f"nothing can be pulled: {store.RESULTS}/ has no pointers (*.dvc)",
            f"restore them: git checkout -- {store.RESULTS}",
        )
    targets = [store.RESULTS / name for name in names] if names else known
    for target in targets:
        store.read_pointer(target, f"there are: {', '.join(one.name for one in known)}")
    for target, was_pulled in store.pull_each(*targets):
        print(f"{target}: {'pulled' if was_pulled else 'is there already'}")


@app.command()
def publish(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Check the results, store them, copy tables for readers, and commit; at most once a study."""
    settings = load_config(config, override)
    from unblind.custody import publish as publishing

    done = publishing.publish(settings, PAPER_SCALE)
    for target, size in done.sizes.items():
        print(f"{target!s:<28} {size:>12,} bytes")
    for page in done.pages:
        print(page)
    print(f"commit {done.commit}" if done.commit else "all of this is published already")
