"""The commands `unblind base ...`."""

from pathlib import Path
from typing import Annotated

import typer

from unblind import checkout, locks
from unblind.cli.options import MINI, ConfigFile, Overrides, Workers, load_config

app = typer.Typer(
    no_args_is_help=True,
    help="The base model: fetch it, make it (questions, tower, vlm, robot, warm-up), publish it.",
)


@app.command()
def pull() -> None:
    """Fetch the published base from the store and check every byte; quick when it is there."""
    from unblind.study.pulled_base import pointer_file, pull_base
    from unblind.study.store import PULLED_BASE, SETTINGS

    checkout.require(SETTINGS)
    pointer_file()  # nothing is made, not even a lock, where there is nothing to pull
    with locks.alone(PULLED_BASE):
        print(f"{PULLED_BASE}: {'pulled' if pull_base() else 'is there already'}")


@app.command()
def fetch(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Fetch the published checkpoint that base.source names and check all its tensors."""
    settings = load_config(config, override)
    from unblind.steps import base

    base.fetch(settings)


@app.command()
def questions(
    config: ConfigFile = MINI, override: Overrides = None, workers: Workers = None
) -> None:
    """Draw pictures with questions and answers; an interrupted call is continued."""
    settings = load_config(config, override)
    from unblind.steps import base

    base.questions(settings, workers or settings.rollout.workers)


@app.command("held-out")
def held_out(
    config: ConfigFile = MINI, override: Overrides = None, workers: Workers = None
) -> None:
    """Draw the pictures whose answers are published: other ones than those a base is chosen by."""
    settings = load_config(config, override)
    from unblind.steps import base

    base.held_out(settings, workers or settings.rollout.workers)


@app.command()
def tower(config: ConfigFile = MINI, override: Overrides = None, workers: Workers = None) -> None:
    """Pretrain a new model's tower on regions and words; an interrupted call is continued."""
    settings = load_config(config, override)
    from unblind.steps import base

    base.tower(settings, workers or settings.rollout.workers)


@app.command()
def vlm(config: ConfigFile = MINI, override: Overrides = None, workers: Workers = None) -> None:
    """Go on with questions about pictures; an interrupted call is continued."""
    settings = load_config(config, override)
    from unblind.steps import base

    base.vlm(settings, workers or settings.rollout.workers)


@app.command()
def robot(config: ConfigFile = MINI, override: Overrides = None, workers: Workers = None) -> None:
    """Go on with broad demonstrations (`unblind demos --set-of pretraining`)."""
    settings = load_config(config, override)
    from unblind.steps import base

    base.robot(settings, workers or settings.rollout.workers)


@app.command("warm-up")
def warm_up(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Warm up on few demonstrations (`--set-of warm-up`), and merge."""
    settings = load_config(config, override)
    from unblind.steps import base

    base.warm_up(settings)


@app.command()
def promote(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A complete base.")],
) -> None:
    """Publish a base: it becomes the one that is pulled. At most once per piece of work."""
    from unblind.study.pulled_base import promote as publish
    from unblind.study.store import SETTINGS

    checkout.require(SETTINGS)
    sizes = publish(folder)
    for name, size in sizes.items():
        print(f"{name:<28} {size:>12,} bytes")
    print(f"{'together':<28} {sum(sizes.values()):>12,} bytes")
