"""The commands of vision-language models that only answer: fetching, asking, looking inside."""

from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, RunSeed, load_config

app = typer.Typer(
    no_args_is_help=True, help="Vision-language models of others, which answer and do not act."
)

Run = Annotated[str, typer.Option(help="A run of the configuration with the policy 'answerer'.")]


@app.command()
def fetch(
    run: Run, seed: RunSeed = 0, config: ConfigFile = MINI, override: Overrides = None
) -> None:
    """Fetch a model at its commit, without any code, and write its record."""
    settings = load_config(config, override)
    from unblind.steps import answerers

    answerers.fetch(settings, run, seed)


@app.command()
def ask(run: Run, seed: RunSeed = 0, config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Ask a model about the first frames of VL-Think (`unblind think-answers --frames`)."""
    settings = load_config(config, override)
    from unblind.steps import answerers

    answerers.ask(settings, run, seed)


@app.command()
def attention(
    run: Run, seed: RunSeed = 0, config: ConfigFile = MINI, override: Overrides = None
) -> None:
    """Record where a model looks (`unblind frames`)."""
    settings = load_config(config, override)
    from unblind.steps import answerers

    answerers.attend(settings, run, seed)


@app.command()
def collapse(
    run: Run, seed: RunSeed = 0, config: ConfigFile = MINI, override: Overrides = None
) -> None:
    """Record how far apart a model keeps objects of different classes (`unblind frames`)."""
    settings = load_config(config, override)
    from unblind.steps import answerers

    answerers.collapse(settings, run, seed)
