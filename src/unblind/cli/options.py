"""Options that many commands share, and the configuration behind them."""

from pathlib import Path
from typing import Annotated

import typer

from unblind.config import Config, load

MINI = Path("workflow/config/mini.yaml")

ConfigFile = Annotated[Path, typer.Option("--config", help="Configuration file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace one value, e.g. rollout.episodes=8."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; the result does not depend on it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print plain JSON and nothing else.")]
RunSeed = Annotated[int, typer.Option(help="Seed of training and evaluation.", min=0)]


def load_config(path: Path, overrides: list[str] | None) -> Config:
    """Load the configuration with the values given by ``--set``.

    Raises:
        UnblindError: see `unblind.config.load`.
    """
    import yaml

    changes = {}
    for text in overrides or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"'{text}' is not KEY=VALUE", param_hint="--set")
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise typer.BadParameter(
                f"'{text}': the value is not YAML", param_hint="--set"
            ) from None
    from unblind.study import unread

    config = load(path, changes)
    unread.check(path, config)
    return config
