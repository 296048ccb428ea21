"""Fine-tuning of one run: Default, Freeze or Align, and the warm-up that precedes every method.

The methods start from the same base with the same data and differ in two things alone. Freeze has
no adapters in the vision towers; Align adds lambda times the distance of the decoder's visual
tokens to a teacher's. The seed decides the adapters' start and the order of the frames, the same
for all three. The warm-up is Default on few demonstrations, merged into the base: the released
chain is base, warm-up on 140 episodes, merge; then every method starts a new LoRA.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from unblind import config as settings
from unblind import files, weights
from unblind.align.objective import Objective
from unblind.config import Config, digest
from unblind.study import jobs
from unblind.study.stages import STAGES
from unblind.training import base, loop, throughput
from unblind.training.feed import Cached, Live
from unblind.training.losses import Learner, TokenLoss
from unblind.training.meter import Meter
from unblind.training.team import Team
from unblind.vla import checkpoint, lora
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.prismatic import Prismatic
from unblind.vla.tokens import ActionCodec, ActionNormalizer

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class Inputs:
    """Where a training's inputs lie.

    Attributes:
        base: folder of the model that it starts from.
        record: of a published model (`base.describe`); None: the weights stand for themselves.
        demos: folder of the demonstrations.
        seen: what the model sees of each frame: features of the tower's frozen part; of a
            published model the pictures.
        teacher: features of the teacher; None unless the method is Align and they are stored.
    """

    base: Path
    record: Path | None
    demos: Path
    seen: Path
    teacher: Path | None = None


@dataclass(frozen=True)
class Task:
    """What is trained, beside its inputs.

    Attributes:
        method: default, freeze or align.
        schedule: steps, batch and rates.
        loss: targets and weights.
        seed: of adapters, order and augmentation.
        codec: actions to tokens.
        identity: what the result depends on.
        out: folder of state, log and snapshots.
        snapshots: adapters kept on the way.
    """

    method: str
    schedule: settings.Schedule
    loss: settings.ActionLoss
    seed: int
    codec: ActionCodec
    identity: str
    out: Path
    snapshots: int = 0


def train(
    team: Team, config: Config, run: str, seed: int, inputs: Inputs, out: Path
) -> dict[str, Any]:
    """Fine-tune a run; write its adapter, log, snapshots and `run.json` to ``out``.

    Returns:
        what tables tell of the run (`run.json`).

    Raises:
        UnblindError: an input is missing or does not fit, the loss is no longer finite, or the
            disk is full.
    """
    loaded = base.load(config, inputs.base, inputs.record, team.device)
    method, values, codec = config.run(run).method, config.training, _codec(config, loaded, inputs)
    identity = digest(
        jobs.settings(config, "training", run) | {"seed": seed, "base": loaded.identity}
    )
    task = Task(
        *(method, values.schedule, values.loss, seed, codec, identity, out, values.snapshots)
    )
    wrapped, objective = tune(team, config, loaded, task, inputs)
    facts = _facts(config, method, seed, wrapped, loaded.identity)
    if team.leads:
        lora.save_adapter(wrapped, out, loaded.identity)
        if config.base.source is not None:
            statistics = {checkpoint.OWN_STATISTICS: codec.normalizer.to_release()}
            files.write_json(out / checkpoint.HUB_STATISTICS, statistics)
        if objective is not None:
            weights.save(out / "projector.safetensors", objective.state_dict())
        files.write_json(out / "run.json", facts)
    return facts


def _codec(config: Config, loaded: Checkpoint, inputs: Inputs) -> ActionCodec:
    """Return how a run tells actions.

    mini's base was made of demonstrations of this robot and keeps its statistics; published models
    take those of the run's own demonstrations, as in the release.
    """
    recipe = config.training.recipe
    if config.base.source is None:
        return loaded.codec(fidelity=recipe)
    from unblind.demos import shards

    statistics = shards.load_manifest(inputs.demos)["statistics"]
    normalizer = ActionNormalizer.from_json(statistics, inputs.demos)
    return checkpoint.make_codec(normalizer, loaded.model.config, recipe)


def warm_up(team: Team, config: Config, inputs: Inputs, work: Path, out: Path) -> None:
    """Train a model on few demonstrations; write it with its adapters merged to ``out``.

    Args:
        team: the processes.
        config: the whole configuration.
        inputs: the model and its demonstrations.
        work: folder of the training's state and log.
        out: folder of the result.

    Raises:
        UnblindError: see :func:`train`.
    """
    loaded = base.load(config, inputs.base, inputs.record, team.device)
    codec = loaded.codec(config.base.unnorm_key, config.training.recipe)
    identity = digest(jobs.settings(config, "warm_up") | {"base": loaded.identity})
    values = config.base
    task = Task("default", values.warm_up, values.loss, config.seed, codec, identity, work)
    wrapped, _ = tune(team, config, loaded, task, inputs)
    if team.leads:
        merged = lora.merge(wrapped)
        if values.source is not None:
            checkpoint.save_hub(out, replace(loaded, model=merged))
        else:
            checkpoint.save(out, merged, loaded.vocabulary, codec.normalizer.to_json())


def tune(
    team: Team, config: Config, loaded: Checkpoint, task: Task, inputs: Inputs
) -> tuple["PeftModel", Objective | None]:
    """Train adapters on a model, which is changed in place.

    Returns:
        the model with its adapters, and the alignment (None unless the method is Align).

    Raises:
        UnblindError: see :func:`train`.
    """
    feed, sizes = _feed(team, config, loaded, task, inputs), loaded.model.config
    objective = None
    if task.method == "align":
        aligned = (config.training.align, task.seed, sizes.widths, feed.teacher_width)
        objective = Objective(*aligned).to(team.device)
    wrapped = adapt(
        loaded.model, vision=task.method != "freeze", seed=task.seed, training=config.training
    )
    learner = Learner(
        wrapped.get_base_model().train(),
        feed,
        TokenLoss(loaded.vocabulary, task.loss.action_width, task.loss.location_width),
        loaded.vocabulary,
        objective,
        getattr(torch, config.training.precision),
    )
    parameters = trained(wrapped, objective)
    meter = _meter(team, loaded.model, learner, feed, parameters)
    keep = _snapshots(wrapped, task.snapshots, task.schedule.steps, task.out)
    loop.fit(team, parameters, learner, _job(config, task), meter, after_step=keep)
    return wrapped, objective


def _feed(
    team: Team, config: Config, loaded: Checkpoint, task: Task, inputs: Inputs
) -> Cached | Live:
    """Return stored features, or for a published model pictures that change."""
    # Demonstrations need pyarrow, and a machine that only measures speed has none.
    from unblind.training import cache
    from unblind.training.frames import ActionWeights, Frames, Labelled

    labelled = Labelled(inputs.demos, "train", config.demos.noop_filter)
    token_weights = ActionWeights.read(task.loss)
    frames = Frames(labelled, loaded.vocabulary, task.codec, token_weights, task.seed)
    seen, batch = cache.read(inputs.seen, len(frames)), task.schedule.batch
    aligned, training = task.method == "align", config.training
    if config.base.source is None:
        teacher = cache.read(inputs.teacher, len(frames)) if aligned else None
        return Cached(team, frames, batch, seen, teacher)
    return Live(
        team,
        frames,
        batch,
        seen,
        loaded.pixels,
        _teacher(config, team.device) if aligned else None,
        loaded.model.config.grid,
        task.seed,
        training.augmentation,
        training.recipe == "released",
        getattr(torch, training.precision),
    )


def _teacher(config: Config, device: torch.device) -> Any:
    from unblind.teachers.loading import load_teacher

    align = config.training.align
    return load_teacher(
        align.teacher,
        align.teacher_weights or "",
        interpolate=align.interpolate,
        device=str(device),
        dtype=getattr(torch, config.training.precision),
    )


def adapt(model: Prismatic, *, vision: bool, seed: int, training: settings.Training) -> "PeftModel":
    """Put fresh adapters on a model, in the precision of the recipe.

    PEFT makes adapters of a bfloat16 model float32 (ours); its version in the release did not.

    Args:
        model: is changed in place.
        vision: whether the towers get adapters.
        seed: of their start.
        training: rank, alpha, recipe, precision, and whether activations are computed twice.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped = lora.add_lora(
        model, vision=vision, seed=seed, rank=training.rank, alpha=training.alpha
    )
    if training.recipe == "released":
        for weight in trained(wrapped, None).values():
            weight.data = weight.data.to(torch.bfloat16)
    if training.precision == "bfloat16":
        for module in wrapped.modules():
            if isinstance(module, BaseTunerLayer):
                module.cast_input_dtype_enabled = False  # autocast does it, in one step less
    if training.gradient_checkpointing:
        model.language_model.model.gradient_checkpointing_enable({"use_reentrant": False})
        for tower in model.vision_backbone.children():
            if hasattr(tower, "set_grad_checkpointing"):  # timm's transformers
                tower.set_grad_checkpointing(True)
    return wrapped


def trained(wrapped: "PeftModel", objective: Objective | None) -> dict[str, nn.Parameter]:
    """Return what is trained by name: adapters, and projectors that are not frozen."""
    named = dict(wrapped.named_parameters())
    if objective is not None:
        named |= {f"projector.{name}": p for name, p in objective.named_parameters()}
    return {name: p for name, p in named.items() if p.requires_grad}


def _job(config: Config, task: Task) -> loop.Job:
    """Return how a task is optimised and where it is kept."""
    return loop.Job(
        schedule(config.training, task.schedule),
        task.out,
        task.identity,
        task.seed,
        config.training.checkpoint_steps,
        STAGES["training"].unit_cpu_s * task.schedule.batch if config.base.source is None else 0.0,
    )


def schedule(training: settings.Training, plan: settings.Schedule) -> loop.Schedule:
    """Return steps and rates of adapters."""
    return loop.Schedule(
        *(plan.steps, plan.rate, plan.warm_up, plan.weight_decay),
        betas=(training.betas[0], training.betas[1]),
        clip=math.inf if training.clip is None else training.clip,
        last=training.last_rate,
    )


def _meter(
    team: Team,
    model: Prismatic,
    learner: Learner,
    feed: Cached | Live,
    parameters: Mapping[str, nn.Parameter],
) -> Meter:
    """Return what makes the log; utilisation is told where models are large enough to matter."""
    if not isinstance(feed, Live):
        return Meter(team, feed.batch)
    tokens = 1 + model.config.grid**2 + feed.frames.longest
    return Meter(team, feed.batch, tokens, picture_operations(team, learner, feed, parameters))


def picture_operations(
    team: Team, learner: Learner, feed: Live, parameters: Mapping[str, nn.Parameter]
) -> int:
    """Return the operations of one picture in a training step, the teacher's included."""
    alone = learner.fed(replace(feed, batch=team.n_parts))
    return throughput.operations(lambda: alone(0, team.parts[0])[0], parameters.values())


def _snapshots(wrapped: "PeftModel", count: int, steps: int, out: Path) -> Callable[[int], None]:
    """Return what keeps the adapters at equal distances on the way."""
    kept = {steps * (k + 1) // (count + 1) for k in range(count)}

    def keep(done: int) -> None:
        if done in kept:
            halves = {name: w.detach().half() for name, w in lora.adapter_weights(wrapped).items()}
            weights.save(out / "snapshots" / f"{done:06d}.safetensors", halves)

    return keep


def _facts(
    config: Config, method: str | None, seed: int, wrapped: "PeftModel", identity: str
) -> dict[str, Any]:
    """Return what tables tell of a run."""
    training, align = config.training, config.training.align
    facts: dict[str, Any] = {
        "steps": training.schedule.steps,
        "samples": training.schedule.steps * training.schedule.batch,
        "learning_rate": training.schedule.rate,
        "lora_rank": training.rank,
        "trainable_parameters": lora.trainable_parameters(wrapped),
        "training_seed": seed,
        "base": identity[:12],
    }
    if config.base.source is not None:
        facts |= {
            "recipe": training.recipe,
            "precision": training.precision,
            "augmented": training.augmentation is not None,
        }
    if method == "align":
        facts |= {
            "teacher": align.teacher,
            "layer": ", ".join(map(str, align.layers)),
            "lambda": align.lambda_,
            "projector": f"{align.projector}{' frozen' if align.frozen else ''}",
        }
    return facts
