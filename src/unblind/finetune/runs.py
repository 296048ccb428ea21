"""Fine-tuning of one run of Default, Freeze or Align from OpenVLA-7B, and its warm-up.

The methods differ as they do at the small scale (`unblind.training.finetuning`): Freeze has no
adapters in the vision towers; Align adds the distance of the decoder's visual tokens to a teacher,
which sees the same changed pictures as the model. The teacher runs along, because pictures change.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unblind import config as settings
from unblind import files, weights
from unblind.config import Config, digest
from unblind.finetune import base, frames, step, throughput, trainer
from unblind.finetune.feed import Feed
from unblind.finetune.learner import ANSWER, Learner
from unblind.finetune.meter import Meter
from unblind.openvla import export, statistics
from unblind.openvla.checkpoint import OpenVla
from unblind.sim import shards
from unblind.training.finetuning import make_objective
from unblind.training.loop import Schedule
from unblind.vla import lora
from unblind.vla.checkpoint import make_codec
from unblind.vla.tokens import ActionCodec, ActionNormalizer

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Inputs:
    """Where a run's inputs lie.

    Attributes:
        base: folder of the checkpoint.
        record: of the checkpoint (`base.describe`).
        demos: folder of the demonstrations.
        pictures: file of `frames.write_pictures`.
    """

    base: Path
    record: Path
    demos: Path
    pictures: Path


@dataclass(frozen=True)
class Task:
    """What is trained, beside its inputs.

    Attributes:
        method: default, freeze or align.
        schedule: steps, batch and rates.
        seed: of adapters, order and augmentation.
        codec: actions to tokens.
        identity: what the result depends on.
        snapshots: adapters kept on the way.
    """

    method: str
    schedule: settings.Schedule
    seed: int
    codec: ActionCodec
    identity: str
    snapshots: int = 0


def train(config: Config, run: str, seed: int, inputs: Inputs, out: Path) -> dict[str, Any] | None:
    """Fine-tune a run; write adapter, statistics, log, snapshots and `run.json` to ``out``.

    Returns:
        what tables tell of the run (`run.json`); None in all processes but the leading one.

    Raises:
        UnblindError: an input is missing or does not fit, the loss is no longer finite, or the
            disk is full.
    """
    team = trainer.assemble(config.openvla.device)
    loaded = base.load(config, inputs.base, team.device)
    numbers = shards.load_manifest(inputs.demos)["statistics"]
    normalizer = ActionNormalizer.from_json(numbers, inputs.demos)
    method, start = config.run(run).method, files.sha256(inputs.record)
    identity = config.part("training", run) | {"seed": seed, "base": start}
    codec = make_codec(normalizer, loaded.model.config, config.openvla.recipe)
    task = Task(
        method, config.training.schedule, seed, codec, digest(identity), config.training.snapshots
    )
    tuned = tune(config, team, loaded, task, inputs, out)
    if tuned is None:
        return None
    wrapped, objective = tuned
    lora.save_adapter(wrapped, out, inputs.record)
    files.write_json(out / statistics.FILE, {base.STATISTICS_KEY: _statistics(normalizer)})
    if objective is not None:
        weights.save(out / "projector.safetensors", objective.state_dict())
    facts = _facts(config, task, wrapped, start)
    files.write_json(out / "run.json", facts)
    return facts


def warm_up(config: Config, inputs: Inputs, work: Path, out: Path) -> None:
    """Train the base on few demonstrations, merge, and write the warmed-up checkpoint.

    Args:
        config: the whole configuration.
        inputs: the published checkpoint and its demonstrations.
        work: folder of training checkpoint and log.
        out: folder of the result.

    Raises:
        UnblindError: see :func:`train`.
    """
    team = trainer.assemble(config.openvla.device)
    loaded = base.load(config, inputs.base, team.device)
    identity = config.part("warm_up") | {"base": files.sha256(inputs.record)}
    codec = replace(loaded.codec(config.openvla.unnorm_key), fidelity=config.openvla.recipe)
    task = Task("default", config.base.warm_up, config.seed, codec, digest(identity))
    if tuned := tune(config, team, loaded, task, inputs, work):
        export.save(out, replace(loaded, model=lora.merge(tuned[0])))


def tune(
    config: Config, team: "Accelerator", loaded: OpenVla, task: Task, inputs: Inputs, out: Path
) -> tuple[Any, Any] | None:
    """Train adapters on a checkpoint.

    Returns:
        the wrapped model and the alignment (None unless the method is Align); None in all
        processes but the leading one.

    Raises:
        UnblindError: see :func:`train`.
    """
    chosen = config.openvla
    sizes, vision = loaded.model.config, task.method != "freeze"
    labelled = frames.Frames(
        inputs.demos,
        "train",
        inputs.pictures,
        loaded.vocabulary,
        task.codec,
        config.demos.noop_filter,
        task.seed,
    )
    tokens = sizes.grid**2 + labelled.longest + ANSWER
    wrapped = adapt(config, loaded, vision, task.seed)
    teacher = objective = None
    if task.method == "align":
        teacher = _teacher(config, team.device)
        objective = make_objective(config.training.align, loaded, teacher.width, task.seed)
        objective.to(team.device)
    precision = getattr(torch, chosen.precision)
    learner = Learner(loaded.model, task.codec.tokenizer, objective, precision).to(team.device)
    feed = Feed(
        labelled,
        loaded.pixels,
        teacher,
        sizes.grid,
        loaded.vocabulary.pad,
        task.seed,
        chosen.augmentation,
        chosen.recipe == "released",
        team.device,
        precision,
        team.process_index,
        team.num_processes,
        task.schedule.batch,
    )
    operations = throughput.picture_operations(learner, feed)
    trainer.fit(
        team,
        learner,
        feed,
        plan(config, task),
        Meter(team, task.schedule.batch, tokens, operations),
        out,
        _snapshots(wrapped, task.snapshots, task.schedule.steps, out),
    )
    return (wrapped, objective) if team.is_main_process else None


def adapt(config: Config, loaded: OpenVla, vision: bool, seed: int) -> Any:
    """Put fresh adapters on a checkpoint's model as the configuration says (`step.adapt`)."""
    values, chosen = config.training, config.openvla
    return step.adapt(
        loaded.model,
        vision=vision,
        seed=seed,
        rank=values.rank,
        alpha=values.alpha,
        recipe=chosen.recipe,
        precision=getattr(torch, chosen.precision),
        checkpointing=chosen.gradient_checkpointing,
    )


def plan(config: Config, task: Task) -> trainer.Plan:
    """Return how a task is optimised."""
    values, chosen = task.schedule, config.openvla
    clip = math.inf if chosen.clip is None else chosen.clip
    rates = (values.steps, values.rate, values.warm_up, values.weight_decay)
    schedule = Schedule(*rates, clip=clip, last=chosen.last_rate)
    first, second = chosen.betas
    return trainer.Plan(
        schedule, (first, second), chosen.checkpoint_steps, task.seed, task.identity
    )


def _teacher(config: Config, device: torch.device) -> Any:
    from unblind.foundation import table

    align, chosen = config.training.align, config.openvla
    return table.load(
        align.teacher,
        chosen.teacher,
        interpolate=align.interpolate,
        device=str(device),
        dtype=getattr(torch, chosen.precision),
    )


def _snapshots(wrapped: Any, count: int, steps: int, out: Path) -> Callable[[int], None]:
    """Return what keeps the adapters at equal distances on the way."""
    wanted = {steps * (k + 1) // (count + 1) for k in range(count)}

    def keep(done: int) -> None:
        if done in wanted:
            halves = {name: w.detach().half() for name, w in lora.adapter_weights(wrapped).items()}
            weights.save(out / "snapshots" / f"{done:06d}.safetensors", halves)

    return keep


def _statistics(normalizer: ActionNormalizer) -> dict[str, Any]:
    """Return action statistics in the release's form."""
    values = normalizer.to_json()
    names = {"q01": "q01", "q99": "q99", "min": "minimum", "max": "maximum", "mask": "mask"}
    return {"action": {name: values[ours] for name, ours in names.items()}}


def _facts(config: Config, task: Task, wrapped: Any, start: str) -> dict[str, Any]:
    """Return what tables tell of a run (the keys of `unblind.training.finetuning` and more)."""
    values, chosen = config.training, config.openvla
    facts: dict[str, Any] = {
        "steps": task.schedule.steps,
        "samples": task.schedule.steps * task.schedule.batch,
        "learning_rate": task.schedule.rate,
        "lora_rank": values.rank,
        "trainable_parameters": lora.trainable_parameters(wrapped),
        "training_seed": task.seed,
        "base": start[:12],
        "recipe": chosen.recipe,
        "precision": chosen.precision,
        "augmented": chosen.augmentation is not None,
    }
    if task.method == "align":
        align = values.align
        facts |= {
            "teacher": align.teacher,
            "layer": ", ".join(map(str, align.layers)),
            "lambda": align.coefficient,
            "projector": f"{align.projector}{' frozen' if align.frozen else ''}",
        }
    return facts
