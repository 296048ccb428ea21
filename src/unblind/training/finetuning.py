"""Fine-tuning of one run: Default, Freeze or Align, from the same base with the same data.

The methods differ in two things alone. Freeze has no adapters in the vision tower; Align adds
``coefficient`` times the distance of the decoder's visual tokens to a teacher's. The seed decides
the adapters' start and the order of the frames, the same for all three.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unblind import files, weights
from unblind.align.objective import Objective, Recipe
from unblind.config import Alignment, Config, digest
from unblind.progress import UNIT_CPU_S
from unblind.training import data, features, loop, stages
from unblind.training.parallel import PARTS, Team
from unblind.vla import checkpoint, lora
from unblind.vla.batch import collate


@dataclass(frozen=True)
class Inputs:
    """Where a run's inputs lie.

    Attributes:
        base: folder of the base model.
        demos: folder of the demonstrations.
        low: features of the tower's frozen part.
        teacher: the teacher's features; None unless the method is Align.
    """

    base: Path
    demos: Path
    low: Path
    teacher: Path | None


class FineTuner:
    """The loss of a run on a part of a step's batch (see `loop.StepLoss`)."""

    def __init__(
        self,
        model: Any,
        demos: data.Demonstrations,
        targets: Any,
        low: np.ndarray,
        batch: int,
        objective: Objective | None = None,
        teacher: np.ndarray | None = None,
    ) -> None:
        self._model, self._demos, self._targets, self._low = model, demos, targets, low
        self._batch, self._objective, self._teacher = batch, objective, teacher

    def __call__(self, step: int, part: int) -> tuple[Tensor, dict[str, float]]:
        """Return the total loss and its terms."""
        first = step * self._batch
        rows = [self._demos.index(first + k) for k in range(part, self._batch, PARTS)]
        batch = collate([[self._demos.frames[row].turn] for row in rows])
        low = torch.from_numpy(self._low[rows]).float()
        states = self._model.hidden(low, batch.text, layers=self._objective is not None)
        logits = stages.answer_logits(self._model, states[-1], batch)
        action = self._targets(logits, batch)
        numbers = stages.accuracies(logits, batch)
        if self._objective is None:
            return action, {"loss": float(action.detach()), **numbers}
        visual = slice(1, 1 + self._model.config.grid**2)
        teacher = torch.from_numpy(self._teacher[rows])
        terms = self._objective(action, states, visual, teacher)
        return terms.total, {**terms.numbers(), **numbers}


def train(config: Config, run: str, seed: int, inputs: Inputs, out: Path) -> dict[str, Any]:
    """Fine-tune a run; write its adapter, log, snapshots and `run.json` to ``out``.

    Returns:
        what tables tell of the run (`run.json`).

    Raises:
        UnblindError: an input is missing or does not fit, or the disk is full.
    """
    torch.set_num_threads(1)
    method, settings = config.run(run).method, config.training
    base = checkpoint.load(inputs.base)
    demos = demonstrations(config, base, inputs.demos, "train", seed)
    wrapped = lora.add_lora(
        base.model, vision=method != "freeze", seed=seed, rank=settings.rank, alpha=settings.alpha
    )
    model = wrapped.get_base_model().train()
    objective, teacher = None, None
    if method == "align":
        teacher = features.read(inputs.teacher, len(demos.frames))
        objective = make_objective(settings.align, base, teacher.shape[-1], seed)
    parameters = {n: p for n, p in wrapped.named_parameters() if p.requires_grad}
    if objective is not None:
        parameters |= {
            f"projector.{n}": p for n, p in objective.named_parameters() if p.requires_grad
        }
    tuner = FineTuner(
        model,
        demos,
        stages.token_loss(settings.loss, base.vocabulary),
        features.read(inputs.low, len(demos.frames)),
        settings.schedule.batch,
        objective,
        teacher,
    )
    identity = config.part("training", run) | {"seed": seed, "base": base.identity}
    loop.fit(
        Team(0, 1),
        parameters,
        [],
        tuner,
        stages.schedule(settings.schedule),
        out,
        digest(identity),
        unit_cpu_s=UNIT_CPU_S["training"] * settings.schedule.batch,
        after_step=_snapshots(wrapped, settings.snapshots, settings.schedule.steps, out),
    )
    lora.save_adapter(wrapped, out, base.identity)
    if objective is not None:
        _save_projectors(objective, out)
    facts = _facts(config, method, seed, wrapped, base.identity)
    files.write_json(out / "run.json", facts)
    return facts


def demonstrations(
    config: Config, base: checkpoint.Checkpoint, folder: Path, split: str, seed: int
) -> data.Demonstrations:
    """Return the labelled frames of a split, in the tokens of ``base``."""
    return data.Demonstrations(
        folder,
        split,
        base.vocabulary,
        base.codec(),
        config.demos.noop_filter,
        stages.action_weights(config.training.loss),
        0,
        seed,
    )


def make_objective(
    values: Alignment, base: checkpoint.Checkpoint, teacher_width: int, seed: int
) -> Objective:
    """Return what Align adds to the loss."""
    recipe = Recipe(
        layers=tuple(values.layers),
        coefficient=values.coefficient,
        projector=values.projector,
        hidden=values.projector_width,
        frozen=values.frozen,
        loss=values.loss,
        seed=seed,
    )
    sizes = base.model.config
    return Objective(recipe, sizes.layers, sizes.hidden_size, teacher_width)


def _snapshots(wrapped: Any, count: int, steps: int, out: Path) -> Any:
    """Return what keeps the adapters at equal distances on the way."""
    wanted = {steps * (k + 1) // (count + 1) for k in range(count)}

    def keep(done: int) -> None:
        if done in wanted:
            halves = {name: w.detach().half() for name, w in lora.adapter_weights(wrapped).items()}
            weights.save(out / "snapshots" / f"{done:06d}.safetensors", halves)

    return keep


def _save_projectors(objective: Objective, out: Path) -> None:
    weights.save(out / "projector.safetensors", objective.state_dict())


def _facts(
    config: Config, method: str | None, seed: int, wrapped: Any, base: str
) -> dict[str, Any]:
    """Return what tables tell of a run."""
    values = config.training
    facts: dict[str, Any] = {
        "steps": values.schedule.steps,
        "samples": values.schedule.steps * values.schedule.batch,
        "learning_rate": values.schedule.rate,
        "lora_rank": values.rank,
        "trainable_parameters": lora.trainable_parameters(wrapped),
        "training_seed": seed,
        "base": base[:12],
    }
    if method == "align":
        align = values.align
        facts |= {
            "teacher": align.teacher,
            "layer": ", ".join(map(str, align.layers)),
            "lambda": align.coefficient,
            "projector": f"{align.projector}{' frozen' if align.frozen else ''}",
        }
    return facts
