"""The commands that show conditions, episodes, assets and films."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, AsJson, ConfigFile, Overrides, RunSeed, load_config

app = typer.Typer()
# Lets a negative number pass as an argument instead of being taken for an option.
_NUMBERS = {"ignore_unknown_options": True}


class Split(StrEnum):
    """Whether factors seen in training or held out are drawn."""

    train = "train"
    test = "test"


class Fidelity(StrEnum):
    """Whether the known defects of the authors' environments are reproduced."""

    corrected = "corrected"
    released = "released"


class Quality(StrEnum):
    """What a film's pictures are made of."""

    normal = "normal"
    high = "high"


class Policy(StrEnum):
    """Policies that need no trained weights."""

    oracle = "oracle"
    random = "random"
    noop = "noop"


ConditionName = Annotated[str, typer.Argument(help="A condition's name or released env id.")]
EpisodeId = Annotated[int, typer.Argument(metavar="ID", help="The episode's 64-bit id.")]
OneSplit = Annotated[Split | None, typer.Option(help="Default: the condition's evaluation split.")]


@app.command()
def conditions(
    as_json: AsJson = False,
    picture: Annotated[Path | None, typer.Option(help="Write a PNG with all 14.")] = None,
) -> None:
    """List the in-distribution condition and the 13 columns of Table 1, or draw them."""
    if picture is not None:
        from unblind.sim.contact import write_conditions

        write_conditions(picture)
        return
    from unblind.sim.conditions import CONDITIONS, to_json

    listed = [to_json(condition) for condition in CONDITIONS]
    if as_json:
        print(json.dumps(listed, indent=2))
        return
    for entry in listed:
        factors = ", ".join(entry["factors"]) or "none"
        print(
            f"{entry['name']:<20} {entry['suite']:<16} {entry['column']:<12} "
            f"{entry['episodes']:>18,}  {factors}"
        )


@app.command(context_settings=_NUMBERS)
def decode(
    condition: ConditionName,
    episode_id: EpisodeId,
    split: OneSplit = None,
    fidelity: Annotated[Fidelity, typer.Option(help="Rules of decoding.")] = Fidelity.corrected,
    as_json: AsJson = False,
) -> None:
    """Show the initial state that an episode id encodes."""
    from unblind.sim import episodes

    options = {"split": split.value} if split else {}
    episode = episodes.decode(condition, episode_id, fidelity=fidelity.value, **options).to_json()
    if as_json:
        print(json.dumps(episode, indent=2))
        return
    for key, value in episode.items():
        print(f"{key:<18} {value}")


@app.command()
def catalog(
    sheets: Annotated[Path | None, typer.Option(help="Write contact sheets here.")] = None,
    released: Annotated[Path | None, typer.Option(help="Folder of the authors' files.")] = None,
) -> None:
    """List objects, plates and tables, draw them, or check a folder of the authors' files."""
    from unblind.sim.catalogs import load_catalog

    if released is not None:
        _check_released(released)
    if sheets is not None:
        from unblind.sim.contact import write_sheets

        for path in write_sheets(sheets, load_catalog(str(released or "builtin"))):
            print(path)
    if released is None and sheets is None:
        builtin = load_catalog("builtin")
        for kind in ("objects", "plates", "tables"):
            for item in getattr(builtin, kind):
                print(f"{kind:<8} {item.index:>2} {item.split:<5} {item.name}")


def _check_released(folder: Path) -> None:
    """Print what a folder of the authors' files lacks; exit 1 if it is not complete."""
    from unblind.sim.released_files import check

    present, missing, corrupt = check(folder)
    for word, names in (("missing", missing), ("corrupt", corrupt)):
        for name in names:
            print(f"{word}: {name}")
    print(f"{len(present)} present, {len(missing)} missing, {len(corrupt)} corrupt")
    if missing or corrupt:
        raise typer.Exit(1)


@app.command(context_settings=_NUMBERS)
def watch(
    condition: ConditionName,
    episode_id: EpisodeId,
    policy: Annotated[Policy, typer.Option(help="Who acts.")] = Policy.oracle,
    run: Annotated[str | None, typer.Option(help="A run that acts instead.")] = None,
    side_by_side: Annotated[
        str | None,
        typer.Option(metavar="RUNS", help="One to four runs or policies instead, by commas."),
    ] = None,
    attention: Annotated[
        bool, typer.Option("--attention", help="Lay over each panel where its model looks.")
    ] = False,
    quality: Annotated[
        Quality, typer.Option(help="high: drawn at 640 x 480; normal: enlarged.")
    ] = Quality.normal,
    seed: RunSeed = 0,
    out: Annotated[Path | None, typer.Option(help="Video file (mp4).")] = None,
    split: OneSplit = None,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Film one episode: by one run or policy, or by several side by side."""
    if run and side_by_side:
        raise typer.BadParameter("--run and --side-by-side say both who acts", param_hint="--run")
    settings = load_config(config, override)
    from unblind.films import watch as films

    episode = films.the_episode(settings, condition, episode_id, split and split.value)
    names = _listed(side_by_side) if side_by_side else [run or policy.value]
    style = films.Style(bool(side_by_side), attention, quality.value)
    out = out or films.place(settings, episode, names, seed, style)
    print(films.watch(settings, episode, names, seed, out, style))


@app.command()
def compare(
    condition: ConditionName,
    runs: Annotated[str, typer.Option(metavar="A,B", help="Two runs.")] = "default,align",
    seed: Annotated[int | None, typer.Option(help="Default: all seeds.", min=0)] = None,
    out: Annotated[Path | None, typer.Option(help="Picture (PNG).")] = None,
    most: Annotated[int, typer.Option(help="Rows of the picture.", min=1)] = 12,
    only_list: Annotated[bool, typer.Option("--list", help="Draw no picture.")] = False,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """List and draw the episodes that one run wins and the other loses, from the records."""
    settings = load_config(config, override)
    from unblind.films import compare as films

    duel = films.duel(settings, condition, _listed(runs), seed)
    print(films.told(duel))
    if duel.decided and not only_list:
        print(films.draw(settings, duel, out or films.place(settings, duel), most))


def _listed(text: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
