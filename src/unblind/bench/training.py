"""Speed of fine-tuning: the three methods on made-up frames, in turns in one process."""

import contextlib
import copy
import dataclasses
import io
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from unblind.align.objective import Objective
from unblind.config import METHODS, Config
from unblind.study import jobs
from unblind.study.rows.names import MODEL_FILES
from unblind.teachers.loading import load_teacher
from unblind.training import finetune, loop, pretrain
from unblind.training.feed import Cached
from unblind.training.losses import Learner, TokenLoss
from unblind.training.meter import Meter
from unblind.training.team import Team
from unblind.vla import checkpoint
from unblind.vla.batch import Turn
from unblind.vla.pixels import Squeezed
from unblind.vla.tokens import ACTION_WIDTH, ActionNormalizer

INSTRUCTION = "put watering can on plate"
_FRAMES = 48
_STEPS, _ROUNDS = 5, 5  # the first and the last step of a round are not counted


def loaded_model(config: Config) -> tuple[checkpoint.Checkpoint, str]:
    """Return the base, or where there is none a new model of its sizes; and which of the two.

    Speed does not depend on the weights.

    Raises:
        UnblindError: the base is damaged, or the package of the tower's weights is missing.
    """
    folder = jobs.base_folder(config)
    if all((folder / name).is_file() for name in MODEL_FILES):
        return checkpoint.load(folder), "base"
    vocabulary = pretrain.make_vocabulary()
    model = pretrain.make_model(config.base.model, vocabulary, config.seed).eval()
    low, high = (-1.0,) * 7, (1.0,) * 7
    statistics = {"none": ActionNormalizer(low, high, low, high).to_release()}
    pixels = Squeezed(model.config.image_size)
    made = checkpoint.Checkpoint(model, vocabulary, pixels, statistics, Path("random weights"))
    return made, "random weights"


def bench(
    config: Config, base: checkpoint.Checkpoint, steps: int = _STEPS, rounds: int = _ROUNDS
) -> dict[str, float]:
    """Return samples a CPU-second of each method, and times relative to Default.

    Frozen features and teacher features are there already, as in a run; the methods take turns,
    and each figure is the median over the rounds.

    Args:
        config: the whole configuration.
        base: the model; it stays as it is.
        steps: optimiser steps in a round, at least 3.
        rounds: how often each method has its turn.
    """
    runs = {method: _Run(config, method, base) for method in METHODS}
    seconds = [{m: run.seconds_a_step(steps) for m, run in runs.items()} for _ in range(rounds)]
    results = {}
    for method in METHODS:
        median = statistics.median(took[method] for took in seconds)
        results[f"{method}_samples_per_cpu_s"] = round(config.training.schedule.batch / median, 1)
    for method in METHODS[1:]:
        ratio = statistics.median(took[method] / took["default"] for took in seconds)
        results[f"{method}_to_default_time"] = round(ratio, 3)
    return results


class _Run:
    """One method on its own copy of the model, as `finetune.tune` sets it up."""

    def __init__(self, config: Config, method: str, base: checkpoint.Checkpoint) -> None:
        self._team, self._training = Team(), config.training
        base = dataclasses.replace(base, model=copy.deepcopy(base.model))
        low = _low(config, base)
        teacher, objective = None, None
        if method == "align":
            teacher, objective = _alignment(config, base)
        wrapped = finetune.adapt(
            base.model, vision=method != "freeze", seed=config.seed, training=self._training
        )
        self._parameters = finetune.trained(wrapped, objective)
        loss = self._training.loss
        self._learner = Learner(
            wrapped.get_base_model().train(),
            Cached(self._team, Frames(base), self._training.schedule.batch, low, teacher),
            TokenLoss(base.vocabulary, loss.action_width, loss.location_width),
            base.vocabulary,
            objective,
        )

    def seconds_a_step(self, steps: int) -> float:
        """Return the median CPU-seconds of a step; the last one, which writes, is left out."""
        marks: list[float] = []
        plan = self._training.schedule.model_copy(update={"steps": steps})
        quiet = contextlib.redirect_stderr(io.StringIO())  # the loop's lines of progress
        with tempfile.TemporaryDirectory() as out, quiet:
            schedule = finetune.schedule(self._training, plan)
            loop.fit(
                self._team,
                self._parameters,
                self._learner,
                loop.Job(schedule, Path(out), "bench", seed=0, every=steps),
                Meter(self._team, plan.batch),
                after_step=lambda done: marks.append(time.process_time()),
            )
        return statistics.median(np.diff(marks[:-1]).tolist())


class Frames:
    """Random actions for one instruction, in the place of `frames.Frames`."""

    def __init__(self, base: checkpoint.Checkpoint) -> None:
        prompt, rng = base.vocabulary.action_prompt(INSTRUCTION), np.random.default_rng(0)
        answers = rng.choice(base.vocabulary.actions, (_FRAMES, ACTION_WIDTH)).tolist()
        turns = [Turn.of(prompt, answer) for answer in answers]
        self.turns = [dataclasses.replace(turn, family="action") for turn in turns]

    def rows(self, positions: Sequence[int]) -> list[int]:
        """Return which frames stand at positions of the stream."""
        return [position % _FRAMES for position in positions]


def pictures(config: Config, count: int) -> np.ndarray:
    """Return (count, height, width, 3) uint8 pictures of noise."""
    size = (count, config.render.height, config.render.width, 3)
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


def _low(config: Config, base: checkpoint.Checkpoint) -> np.ndarray:
    """Return the frames' stored features of the tower's frozen part."""
    images = base.pixels.training(pictures(config, _FRAMES))
    with torch.no_grad():
        return base.model.vision_backbone.low(images).half().contiguous().numpy()


def _alignment(config: Config, base: checkpoint.Checkpoint) -> tuple[np.ndarray, Objective]:
    """Return stored features of the teacher's shape and what Align adds to the loss."""
    align = config.training.align
    width = load_teacher(align.teacher, interpolate=align.interpolate).width
    shape = (_FRAMES, base.model.config.grid**2, width)
    features = np.random.default_rng(1).standard_normal(shape, np.float32).astype(np.float16)
    return features, Objective(align, config.seed, base.model.config.widths, width)
