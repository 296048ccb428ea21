"""The commands of settings and costs: Tables 9 and 14, and what every stage takes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, load_config

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
    results: Annotated[Path | None, typer.Option(help="Folder of build outputs.")] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Write a page instead, with costs at paper scale.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The page without suffix.")] = None,
    paper: Annotated[
        Path, typer.Option(help="Configuration of the published sizes, for the page.")
    ] = PAPER_SCALE,
) -> None:
    """Print what the study or one target costs: CPU-seconds; GPU-hours and disk at paper scale."""
    settings = load_config(MINI.with_name(f"{scale}.yaml") if scale else config, override)
    folder = results or Path(settings.results)
    if page:
        from unblind.report.cost_page import cost_page

        published = load_config(paper, None)
        for path in cost_page(settings, published, folder, out or folder / "costs"):
            print(path)
    elif settings.scale == "paper":
        from unblind.report import scale_report

        study = load_config(MINI, [f"results={folder}"])
        print(scale_report.report(settings, study, target))
    else:
        from unblind.report.costs import report

        print(report(settings, folder, target))


app.command("cost", hidden=True)(costs)
