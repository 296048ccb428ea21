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
def ablation(
    number: Annotated[str, typer.Argument(help="The paper's number: 4 to 8 or 10 to 13.")],
    config: ConfigFile = Path("workflow/config/ablations.yaml"),
    override: Overrides = None,
) -> None:
    """Render one of the tables of ablations from the records alone."""
    settings = load_config(config, override)
    from unblind.errors import UnblindError
    from unblind.report.ablations import ablation_table

    if number not in settings.ablations:
        there = ", ".join(settings.ablations) or "none"
        raise UnblindError(f"no ablations for Table {number} in {config}", f"there are: {there}")
    for path in ablation_table(settings, number, Path(settings.results)):
        print(path)


@app.command()
def defects(
    config: ConfigFile = Path("workflow/config/defects.yaml"),
    override: Overrides = None,
) -> None:
    """Render what single defects of the release cost, from the records alone."""
    settings = load_config(config, override)
    from unblind.report.defects import defects as render

    for path in render(settings, Path(settings.results)):
        print(path)


@app.command()
def table2(
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Render Table 2 (VL-Think) from the records alone: who acts right, and who answers right."""
    settings = load_config(config, override)
    from unblind.report.thinking import table2 as render

    results = Path(settings.results)
    folders = (results / "think", results / "think-answers", results / "table2")
    for path in render(settings, *folders):
        print(path)


@app.command()
def forgetting(
    config: ConfigFile = MINI,
    override: Overrides = None,
    records: Annotated[Path | None, typer.Option(help="Folder of records of drift.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output without suffix.")] = None,
) -> None:
    """Render the drift of visual tokens and the curve of forgetting, from the records alone."""
    settings = load_config(config, override)
    from unblind.report.drift import forgetting as render

    results = Path(settings.results)
    for path in render(settings, records or results / "drift", out or results / "drift"):
        print(path)


@app.command()
def figure2c(
    config: ConfigFile = MINI,
    override: Overrides = None,
    records: Annotated[Path | None, typer.Option(help="Folder of the landscape's records.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page and the figure.")] = None,
) -> None:
    """Render the loss landscape between the base and two runs, from the records alone."""
    settings = load_config(config, override)
    from unblind.report.landscape import figure2c as render

    results = Path(settings.results)
    for path in render(settings, records or results / "landscape", out or results):
        print(path)


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
    from unblind.report.table1 import table1 as render

    results = Path(settings.results)
    manifest, ceiling = carried.sources(settings)
    inputs = (records or results / "rollouts", demos or manifest)
    inputs += (replay or ceiling, out or results / "table1", answers or results / "answers")
    for path in render(settings, *inputs):
        print(path)


@app.command()
def figure4(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Render Figure 4, attention to the picture, and the page of its numbers."""
    settings = load_config(config, override)
    from unblind.report.attention import page

    for path in page(settings):
        print(path)


@app.command()
def figure5(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Render Figure 5, separation of objects' classes, and the page of its numbers."""
    settings = load_config(config, override)
    from unblind.report.collapse import page

    for path in page(settings):
        print(path)


@app.command()
def table3(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Render Table 3, the linear probes, from the records alone: Markdown, LaTeX and a figure."""
    settings = load_config(config, override)
    from unblind.report.table3 import table3 as render

    for path in render(settings, Path(settings.results)):
        print(path)
