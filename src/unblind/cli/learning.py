"""The commands of fine-tuning: features, training, asking and probing a trained model."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, AsJson, ConfigFile, Overrides, RunSeed, Workers, load_config

app = typer.Typer()


class Features(StrEnum):
    """What is computed once for all runs."""

    low = "low"
    teacher = "teacher"
    pictures = "pictures"


@app.command()
def features(
    which: Annotated[
        Features,
        typer.Argument(
            help="Features of the tower's frozen part or of the teacher; for a published model "
            "(base.source) pictures at its size."
        ),
    ],
    run: Annotated[
        str | None, typer.Option(help="Of this run's teacher, if it has one for itself.")
    ] = None,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Compute once what fine-tuning needs of every frame of the demonstrations."""
    settings = load_config(config, override)
    from unblind.steps import finetuning

    if which is Features.teacher:
        finetuning.teacher(settings, run)
    else:
        getattr(finetuning, which.value)(settings)


@app.command()
def train(
    run: Annotated[str, typer.Option(help="A run of the configuration that has a method.")],
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Fine-tune a run from the base; an interrupted call is continued."""
    settings = load_config(config, override)
    from unblind.steps import finetuning

    finetuning.train(settings, run, seed)


@app.command()
def think_answers(
    run: Annotated[
        str | None, typer.Option(help="A run with a model; 'vlm': before robot pretraining.")
    ] = None,
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
    frames: Annotated[bool, typer.Option("--frames", help="Draw the frames instead.")] = False,
) -> None:
    """Ask a model about the first frames of VL-Think, which need no acting."""
    settings = load_config(config, override)
    if (run is None) != frames:
        raise typer.BadParameter("name a run, or ask for the frames", param_hint="--run, --frames")
    from unblind.steps import thinking

    if frames:
        thinking.frames(settings)
    else:
        thinking.answer(settings, run, seed)


@app.command()
def answers(
    run: Annotated[str, typer.Option(help="A run with a model; 'vlm': before robot pretraining.")],
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Ask a model the held-out questions (`unblind base held-out`)."""
    settings = load_config(config, override)
    from unblind.steps import answering

    answering.ask(settings, run, seed)


@app.command("probe-pictures")
def probe_pictures(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Make the pictures of the linear probes: Icon-100, portraits and still lifes."""
    settings = load_config(config, override)
    from unblind.steps import probing

    probing.pictures(settings)


@app.command()
def probe(
    run: Annotated[str, typer.Option(help="A run with a model; 'vlm': before robot pretraining.")],
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Probe a model's visual tokens at every layer (`unblind probe-pictures`)."""
    settings = load_config(config, override)
    from unblind.steps import probing

    probing.model(settings, run, seed)


@app.command("probe-teacher")
def probe_teacher(
    run: Annotated[
        str | None, typer.Option(help="A run with a teacher of its own; default: the study's.")
    ] = None,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Probe the tokens of a teacher: the study's, or that of a run."""
    settings = load_config(config, override)
    from unblind.steps import probing

    probing.teacher(settings, run)


@app.command()
def contrastive(
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Draw its pictures instead.")
    ] = False,
    config: ConfigFile = MINI,
    override: Overrides = None,
    workers: Workers = None,
) -> None:
    """Train the teacher 'contrastive' on regions and words; an interrupted call is continued."""
    settings = load_config(config, override)
    from unblind.steps import base

    step = base.contrastive_pictures if pictures else base.contrastive
    step(settings, workers or settings.rollout.workers)


@app.command("probe-references")
def probe_references(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Probe what models are held against: random weights, and pixels."""
    settings = load_config(config, override)
    from unblind.steps import probing

    probing.references(settings)


@app.command()
def drift(
    run: Annotated[str, typer.Option(help="A run of the configuration that has a method.")],
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Compare a run's visual tokens and answers with the base's, at each snapshot of training."""
    settings = load_config(config, override)
    from unblind.steps import drifting

    drifting.drift(settings, run, seed)


@app.command()
def gradients(
    run: Annotated[str, typer.Option(help="A run of the configuration that has a method.")],
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Compare the gradients of action and alignment at the end of a run's training."""
    settings = load_config(config, override)
    from unblind.steps import gradients as step

    step.gradients(settings, run, seed)


@app.command()
def landscape(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Measure losses on the plane of weights through the base and two trained runs."""
    settings = load_config(config, override)
    from unblind.steps import surveying

    surveying.landscape(settings)


@app.command()
def frames(config: ConfigFile = MINI, override: Overrides = None) -> None:
    """Draw frames with the place of every thing, for attention and collapse."""
    settings = load_config(config, override)
    from unblind.steps import attending

    attending.frames(settings)


@app.command()
def attention(
    run: Annotated[str, typer.Option(help="A run with a model that acts.")],
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Record where a model looks, and what it knows with parts of the picture hidden."""
    settings = load_config(config, override)
    from unblind.steps import attending

    attending.attend(settings, run, seed)


@app.command()
def collapse(
    run: Annotated[str, typer.Option(help="A run with a model; 'vlm': before robot pretraining.")],
    seed: RunSeed = 0,
    config: ConfigFile = MINI,
    override: Overrides = None,
) -> None:
    """Record how far apart a model keeps objects of different classes."""
    settings = load_config(config, override)
    from unblind.steps import attending

    attending.collapse(settings, run, seed)


@app.command()
def predict(
    image: Annotated[Path, typer.Argument(help="A picture of any size.")],
    instruction: Annotated[str, typer.Argument(help="For instance 'put carrot on plate'.")],
    run: Annotated[str, typer.Option(help="A run with a trained policy.")] = "align",
    seed: RunSeed = 0,
    base: Annotated[
        Path | None,
        typer.Option(help="Folder of a base that is asked instead, greedily; needs no study."),
    ] = None,
    config: ConfigFile = MINI,
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Print the action that a trained policy takes for a picture and an instruction."""
    settings = load_config(config, override) if base is None else None
    from unblind.rollout import predict as ask

    if settings is None:
        answer = ask.predict_with_base(base, image, instruction)
    else:
        answer = ask.predict(settings, run, seed, image, instruction)
    if as_json:
        print(json.dumps(answer.to_json(), indent=2))
        return
    if answer.unknown:
        print(f"note: the model knows no word {', '.join(answer.unknown)}", file=sys.stderr)
    print(answer)
