"""The commands that render tables, and tell what every stage takes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, load_config
from unblind.custody import carried

app = typer.Typer()

PAPER_SCALE = Path("workflow/config/paper.yaml")


class SettingsTable(StrEnum):
    """The paper's tables of hyper-parameters."""

    fine_tuning = "9"
    probe = "14"


@app.command()
def hyperparameters(
    table: Annotated[SettingsTable, typer.Argument(help="9: fine-tuning, 14: linear probe.")],
    config: ConfigFile = MINI,
    override: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Output without suffix.")] = None,
) -> None:
    """Render the configuration's hyper-parameters next to the published ones."""
    settings = load_config(config, override)
    from unblind.report.hyperparameters import hyperparameters as render

    for path in render(settings, table.value, out or Path(settings.results, f"table{table.value}")):
        print(path)


class Scale(StrEnum):
    """Sizes of the study, each a file in workflow/config."""

    mini = "mini"
    paper = "paper"
    smoke = "smoke"


@app.command()
def costs(
    target: Annotated[
        str | None, typer.Argument(help="A result or a rule; default: the whole study.")
    ] = None,
    scale: Annotated[
        Scale | None, typer.Option(help="Size of the study, instead of --config.")
    ] = None,
    config: ConfigFile = MINI,
    override: Overrides = None,
    page: Annotated[
        bool, typer.Option("--page", help="Write a page instead, with costs at paper scale.")
    ] = False,
) -> None:
    """Print what the study or one target costs: CPU-seconds; GPU-hours and disk at paper scale."""
    settings = load_config(MINI.with_name(f"{scale}.yaml") if scale else config, override)
    if page:
        from unblind.costs.page import cost_page

        for path in cost_page(settings, load_config(PAPER_SCALE, None)):
            print(path)
    else:
        from unblind.costs.table import report

        print(report(settings, target))


@app.command()
def table1(
    config: ConfigFile = MINI,
    override: Overrides = None,
    records: Annotated[Path | None, typer.Option(help="Folder of records.")] = None,
    demos: Annotated[Path | None, typer.Option(help="Folder of demonstrations.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Replay record.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output without suffix.")] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Folder of answers to held-out questions.")
    ] = None,
) -> None:
    """Render Table 1 from the records alone, as Markdown, CSV and LaTeX."""
    settings = load_config(config, override)
    from unblind.report.tables import table1 as render

    results = Path(settings.results)
    manifest, ceiling = carried.sources(settings)
    inputs = (records or results / "rollouts", demos or manifest)
    inputs += (replay or ceiling, out or results / "table1", answers or results / "answers")
    for path in render(settings, *inputs):
        print(path)


@app.command()
def table3(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Render Table 3, the linear probes, from the records alone: Markdown, LaTeX and a figure."""
    settings = load_config(config, override)
    from unblind.report.table3 import table3 as render

    for path in render(settings, Path(settings.results)):
        print(path)
