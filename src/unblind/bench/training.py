"""Speed of fine-tuning: the three methods on made-up frames, in turns in one process."""

import contextlib
import copy
import dataclasses
import io
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from unblind.align.objective import Objective
from unblind.config import METHODS, Config
from unblind.store import BASE_FILES, base_dir
from unblind.teachers import load_teacher
from unblind.training import data, finetuning, loop, stages
from unblind.training.parallel import Team
from unblind.vla import checkpoint, lora
from unblind.vla.images import to_model
from unblind.vla.layout import Turn
from unblind.vla.text import action_prompt
from unblind.vla.tokens import ActionNormalizer

INSTRUCTION = "put watering can on plate"
_FRAMES = 48
_STEPS, _ROUNDS = 5, 5  # the first and the last step of a round are not counted


def loaded_model(config: Config) -> tuple[checkpoint.Checkpoint, str]:
    """Return the base, or where there is none a new model of its sizes; and which of the two.

    Speed does not depend on the weights.

    Raises:
        UnblindError: the base is damaged, or the package of the tower's weights is missing.
    """
    folder = base_dir(config)
    if all((folder / name).is_file() for name in BASE_FILES):
        return checkpoint.load(folder), "base"
    vocabulary = stages.make_vocabulary()
    model = stages.make_model(config.base.model, vocabulary, config.seed).eval()
    low, high = (-1.0,) * 7, (1.0,) * 7
    codec = checkpoint.make_codec(ActionNormalizer(low, high, low, high), model.config)
    return checkpoint.Checkpoint(model, vocabulary, codec, "none"), "random weights"


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
    torch.set_num_threads(1)
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
    """One method on its own copy of the model, as `finetuning.train` sets it up."""

    def __init__(self, config: Config, method: str, base: checkpoint.Checkpoint) -> None:
        settings = config.training
        base = checkpoint.Checkpoint(
            copy.deepcopy(base.model), base.vocabulary, base.codec, base.sha256
        )
        frames = _frames(base)
        low = _low(config, base)
        teacher, objective = None, None
        if method == "align":
            teacher, objective = _alignment(config, base)
        wrapped = lora.add_lora(
            base.model,
            vision=method != "freeze",
            seed=config.seed,
            rank=settings.rank,
            alpha=settings.alpha,
        )
        self._parameters = {n: p for n, p in wrapped.named_parameters() if p.requires_grad}
        if objective is not None:
            trained = {n: p for n, p in objective.named_parameters() if p.requires_grad}
            self._parameters |= {f"projector.{n}": p for n, p in trained.items()}
        self._schedule = settings.schedule
        self._tuner = finetuning.FineTuner(
            wrapped.get_base_model().train(),
            frames,
            stages.token_loss(settings.loss, base.vocabulary),
            low,
            settings.schedule.batch,
            objective,
            teacher,
        )

    def seconds_a_step(self, steps: int) -> float:
        """Return the median CPU-seconds of a step; the last one, which writes, is left out."""
        marks: list[float] = []
        schedule = self._schedule.model_copy(update={"steps": steps})
        quiet = contextlib.redirect_stderr(io.StringIO())  # the loop's lines of progress
        with tempfile.TemporaryDirectory() as out, quiet:
            loop.fit(
                Team(0, 1),
                self._parameters,
                [],
                self._tuner,
                stages.schedule(schedule),
                Path(out),
                "bench",
                after_step=lambda done: marks.append(time.process_time()),
            )
        return statistics.median(np.diff(marks[:-1]).tolist())


def _frames(base: checkpoint.Checkpoint) -> SimpleNamespace:
    """Return what `FineTuner` asks of demonstrations, with random actions."""
    rng = np.random.default_rng(0)
    prompt = base.vocabulary.encode(action_prompt(INSTRUCTION))
    frames = []
    for ids in rng.choice(base.vocabulary.actions, (_FRAMES, checkpoint.ACTION_WIDTH)):
        turn = dataclasses.replace(Turn.of(prompt, ids.tolist()), family="action")
        frames.append(data.Frame(b"", turn, (), ""))
    return SimpleNamespace(frames=frames, index=lambda position: position % _FRAMES)


def pictures(config: Config, count: int) -> np.ndarray:
    """Return (count, height, width, 3) uint8 pictures of noise."""
    size = (count, config.render.height, config.render.width, 3)
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


def _low(config: Config, base: checkpoint.Checkpoint) -> np.ndarray:
    """Return the frames' stored features of the tower's frozen part."""
    images = to_model(pictures(config, _FRAMES), base.model.config.image_size)
    with torch.no_grad():
        return base.model.vision_backbone.low(images).half().contiguous().numpy()


def _alignment(config: Config, base: checkpoint.Checkpoint) -> tuple[np.ndarray, Objective]:
    """Return stored features of the teacher's shape and what Align adds to the loss."""
    align = config.training.align
    width = load_teacher(align.teacher, align.interpolate).width
    shape = (_FRAMES, base.model.config.grid**2, width)
    features = np.random.default_rng(1).standard_normal(shape, np.float32).astype(np.float16)
    return features, finetuning.make_objective(align, base, width, config.seed)
