"""The command line: what every workflow rule calls and what a person can call by hand.

Commands only parse arguments and call one function; everything heavy is imported inside them, so
that ``unblind --help`` stays quick. A problem the user can act on is printed as one line and ends
with exit code 1; wrong usage ends with 2.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind import checkout, locks
from unblind.cli import (
    audit,
    base,
    bench,
    cluster,
    crate,
    custody,
    learning,
    paper,
    store,
    tables,
    terminal,
)
from unblind.cli.options import (
    MINI,
    AsJson,
    ConfigFile,
    Overrides,
    RunSeed,
    Workers,
    load_config,
)
from unblind.config import DemoSet
from unblind.custody import carried
from unblind.files import write_json
from unblind.study import jobs, stages

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help='Reproduce "Don\'t Blind Your VLA": simulation, demonstrations, evaluation, tables.',
)
app.add_typer(base.app, name="base")
app.add_typer(learning.app)
app.add_typer(tables.app)
app.add_typer(audit.app)
app.add_typer(crate.app)
app.add_typer(custody.app)
app.add_typer(cluster.app)
app.add_typer(store.app)
app.add_typer(paper.app)
app.add_typer(bench.app)
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


class Policy(StrEnum):
    """Policies that need no trained weights."""

    oracle = "oracle"
    random = "random"
    noop = "noop"


ConditionName = Annotated[str, typer.Argument(help="A condition's name or released env id.")]
EpisodeId = Annotated[int, typer.Argument(metavar="ID", help="The episode's 64-bit id.")]
OneSplit = Annotated[Split | None, typer.Option(help="Default: the condition's evaluation split.")]

SCHEMA = Path("workflow/config/schema.json")


def main() -> None:
    """Run the command line."""
    terminal.run(app)


@app.command()
def doctor() -> None:
    """Check renderer, planner, versions, memory and disk; exit 1 if something is wrong."""
    from unblind.machine import doctor as checks

    results = checks.run()
    print(checks.format(results))
    if not all(check.ok for check in results):
        raise typer.Exit(1)


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


@app.command()
def demos(
    config: ConfigFile = MINI,
    override: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Folder of shards and manifest.")] = None,
    which: Annotated[
        DemoSet, typer.Option("--set-of", help="training, pretraining or warm-up.")
    ] = "training",
    workers: Workers = None,
) -> None:
    """Collect the planner's demonstrations; an interrupted call is continued."""
    settings = load_config(config, override)
    from unblind.demos.collect import collect

    out = out or jobs.demos_folder(settings, which)
    with locks.alone(out / stages.MANIFEST):
        collect(settings, out, workers or settings.rollout.workers, which)


@app.command()
def survey(
    config: ConfigFile = MINI,
    override: Overrides = None,
    attempts: Annotated[int, typer.Option(min=1, help="Attempts for each of 16 objects.")] = 40,
    out: Annotated[Path | None, typer.Option(help="Result file (JSON).")] = None,
    workers: Workers = None,
) -> None:
    """Count how often the planner succeeds at the first try, and where it fails."""
    settings = load_config(config, override)
    from unblind.demos import collect

    counts = collect.survey(settings, attempts, workers or settings.rollout.workers)
    write_json(out or Path(settings.results, "survey.json"), counts)
    for name, row in counts["by_object"].items():
        print(f"{name:<16} {row['successes']:>3}/{row['attempts']:<3} {row['failures'] or ''}")
    print(f"{'all':<16} {counts['successes']:>3}/{counts['attempts']}")


@app.command()
def replay(
    config: ConfigFile = MINI,
    override: Overrides = None,
    demos: Annotated[Path | None, typer.Option(help="Folder of demonstrations.")] = None,
    out: Annotated[Path | None, typer.Option(help="Record file.")] = None,
    workers: Workers = None,
) -> None:
    """Execute stored demonstrations open loop, raw and tokenised: the ceiling of any policy."""
    settings = load_config(config, override)
    from unblind.steps.replaying import replay as run_replay

    demos, out = demos or jobs.demos_folder(settings), out or carried.own_replay(settings)
    run_replay(settings, demos, out, workers or settings.rollout.workers)


@app.command()
def rollout(
    run: Annotated[str, typer.Option(help="A run of the configuration.")],
    out: Annotated[Path | None, typer.Option(help="Folder, one file a condition.")] = None,
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
    condition: Annotated[
        list[str] | None, typer.Option(help="Only this condition; may be repeated.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Evaluate a policy in closed loop; conditions whose record is current are not repeated."""
    settings = load_config(config, override)
    settings.run(run)
    from unblind.rollout.run import rollout as run_rollout

    out = out or Path(settings.results, "rollouts", run, str(seed))
    with locks.alone(out):
        run_rollout(
            settings, run, seed, out, condition or None, workers or settings.rollout.workers
        )


@app.command(context_settings=_NUMBERS)
def watch(
    condition: ConditionName,
    episode_id: EpisodeId,
    policy: Annotated[Policy, typer.Option(help="Who acts.")] = Policy.oracle,
    run: Annotated[str | None, typer.Option(help="A run that acts instead.")] = None,
    seed: RunSeed = 0,
    out: Annotated[Path | None, typer.Option(help="Video file (mp4).")] = None,
    split: OneSplit = None,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Film one episode."""
    settings = load_config(config, override)
    from unblind.rollout.watch import watch as film

    name = f"{condition}-{episode_id}-{run or policy.value}.mp4"
    out = out or Path(settings.results, "videos", name)
    actor = run or policy.value
    print(film(settings, condition, episode_id, actor, seed, out, split and split.value))


@app.command()
def table1(
    config: ConfigFile = MINI,
    override: Overrides = None,
    records: Annotated[Path | None, typer.Option(help="Folder of records.")] = None,
    demos: Annotated[Path | None, typer.Option(help="Folder of demonstrations.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Replay record.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output without suffix.")] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Held-out answers (JSON); default: the base's, if any.")
    ] = None,
) -> None:
    """Render Table 1 from the records alone, as Markdown, CSV and LaTeX."""
    settings = load_config(config, override)
    from unblind.report.tables import table1 as render

    results = Path(settings.results)
    manifest, ceiling = carried.sources(settings)
    inputs = (records or results / "rollouts", demos or manifest)
    inputs += (replay or ceiling, out or results / "table1")
    answers = jobs.base_folder(settings) / "questions.json"
    for path in render(settings, *inputs, questions or (answers if answers.is_file() else None)):
        print(path)


@app.command()
def schema(
    write: Annotated[bool, typer.Option("--write", help="Write the file.")] = False,
    out: Annotated[Path, typer.Option(help="Schema file.")] = SCHEMA,
) -> None:
    """Print the configuration's JSON schema, or write it where the workflow reads it."""
    from unblind.config import schema as generate

    if write:
        if out == SCHEMA:
            checkout.require(out)
        write_json(out, generate())
        print(out)
    else:
        print(json.dumps(generate(), indent=2, sort_keys=True))
