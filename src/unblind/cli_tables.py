"""The commands of settings and costs: Tables 9 and 14, and what every stage takes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli_options import MINI, ConfigFile, Overrides, load_config

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
    """Render the configuration's hyper-parameters beside the published ones."""
    settings = load_config(config, override)
    from unblind.report.hyperparameters import hyperparameters as render

    for path in render(settings, table.value, out or Path(settings.results, f"table{table.value}")):
        print(path)


@app.command()
def costs(
    config: ConfigFile = MINI,
    override: Overrides = None,
    results: Annotated[Path | None, typer.Option(help="Folder of build outputs.")] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Write a page instead, with costs at paper scale.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The page without suffix.")] = None,
    paper: Annotated[
        Path, typer.Option(help="Configuration of the published sizes.")
    ] = PAPER_SCALE,
) -> None:
    """Print CPU-seconds for each stage: estimated, and measured where a result exists."""
    settings = load_config(config, override)
    folder = results or Path(settings.results)
    if not page:
        from unblind.report.costs import report

        print(report(settings, folder))
        return
    from unblind.report.cost_page import cost_page

    for path in cost_page(settings, load_config(paper, None), folder, out or folder / "costs"):
        print(path)
