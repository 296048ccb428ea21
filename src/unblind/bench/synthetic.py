"""A model, a teacher and frames with random contents, and the trainer's own steps on them.

Speed and memory do not depend on what weights and pictures hold. All that the bench of a GPU knows
of model and trainer is here.
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from unblind import twin
from unblind.align.objective import Objective
from unblind.config import Config, load
from unblind.errors import UnblindError
from unblind.teachers.loading import load_teacher
from unblind.teachers.teacher import Teacher
from unblind.teachers.vit import random_teacher
from unblind.training import finetune, loop
from unblind.training.feed import Live
from unblind.training.losses import Learner, TokenLoss
from unblind.training.meter import Meter
from unblind.training.team import Team
from unblind.twin import openvla as published
from unblind.twin import tokenizer
from unblind.vla import hub_config, loading, random
from unblind.vla.batch import Turn
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.lora import trainable_parameters
from unblind.vla.pixels import Released
from unblind.vla.policy import Policy
from unblind.vla.text import Llama
from unblind.vla.tokens import ACTION_WIDTH

#: Of the words that the stand-in tokenizer knows, so that prompts are as long as with Llama-2's,
#: where "put carrot on plate" has five tokens. They differ in length, as those of a run do.
INSTRUCTIONS = ("take the robot to the robot", "take the action to it", "take the robot", "take it")
_CONFIGS = Path(__file__).parents[3] / "workflow" / "config"
_FILES = {
    "full": ("paper.yaml", {}),
    "twin": ("twin.yaml", {"training.schedule.batch": 2}),
}
_HALF = (0.5, 0.5, 0.5)


def study(size: str) -> Config:
    """Return the configuration whose trainings are measured: batch, adapters, rates, alignment.

    Raises:
        UnblindError: it is malformed, or the package was installed without its checkout.
    """
    file, changes = _FILES[size]
    if not _CONFIGS.is_dir():
        remedy = "clone the project and run make bench-gpu there"
        raise UnblindError(f"no {file} beside this package: it was installed alone", remedy)
    return load(_CONFIGS / file, changes)


def precision(study: Config) -> torch.dtype:
    """Return the number format of frozen weights and of arithmetic."""
    return getattr(torch, study.training.precision)


def settings(size: str) -> hub_config.HubConfig:
    """Return what the config.json of OpenVLA-7B, or of its twin, describes."""
    document = published.document("openvla")
    if size == "full":
        document.pop(hub_config.TWIN_SIZES)
        text = document["text_config"].items()
        document["text_config"] = {key: value for key, value in text if key not in hub_config.LLAMA}
    return hub_config.parse(Path(hub_config.FILE), document)


def parameters(size: str) -> int:
    """Return the model's number of weights (full: 7,541,237,184)."""
    return sum(weight.numel() for weight in loading.blank(settings(size).model).parameters())


def model(size: str, device: torch.device, dtype: torch.dtype, seed: int) -> Checkpoint:
    """Return OpenVLA with random weights, made on the device."""
    chosen = settings(size)
    pixels = Released(chosen.model.image_size, (_HALF, _HALF), (_HALF, _HALF))
    vocabulary = Llama(tokenizer.build(), chosen.model.vocab_size - chosen.model.padded, chosen.pad)
    weights = random.model(chosen.model, seed, device, dtype)
    folder = Path("random weights")  # for messages alone
    return Checkpoint(weights, vocabulary, pixels, chosen.statistics, folder)


def teacher(name: str, size: str, device: torch.device, dtype: torch.dtype) -> Teacher:
    """Return a teacher with random weights, made on the device."""
    if size == "full":
        return random_teacher(name, str(device), dtype, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        made = twin.make("radio", Path(folder, "radio"), seed=0)
        return load_teacher(name, str(made), device=str(device), dtype=dtype)


def pictures(count: int, seed: int) -> np.ndarray:
    """Return (count, 480, 640, 3) uint8 pictures of noise, of the released camera's size."""
    return np.random.default_rng(seed).integers(0, 256, (count, 480, 640, 3), np.uint8)


class Frames:
    """Prompts with random actions, in the place of `unblind.training.frames.Frames`.

    Args:
        loaded: tells the tokens.
        seed: of the actions.
    """

    def __init__(self, loaded: Checkpoint, seed: int) -> None:
        rng, words = np.random.default_rng(seed), loaded.vocabulary
        answers = rng.choice(words.actions, (len(INSTRUCTIONS), ACTION_WIDTH)).tolist()
        turns = (
            Turn.of(words.action_prompt(t), a) for t, a in zip(INSTRUCTIONS, answers, strict=True)
        )
        self.turns = [dataclasses.replace(turn, family="action") for turn in turns]

    def rows(self, positions: Sequence[int]) -> list[int]:
        """Return which frames stand at positions of the stream."""
        return [position % len(self.turns) for position in positions]

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest prompt with all but the last token of its answer."""
        return max(len(turn.prompt) + len(turn.answer) - 1 for turn in self.turns)


class Decoding:
    """Calls of the policy that evaluates: pictures of 640 x 480 to seven greedy tokens.

    Args:
        loaded: without adapters, as a policy that was merged for evaluation.
        width: pictures in a call.
        seed: of the pictures.
    """

    def __init__(self, loaded: Checkpoint, width: int, seed: int) -> None:
        self._policy, self._images = Policy(loaded, width=width), pictures(width, seed)
        self._texts = [INSTRUCTIONS[k % len(INSTRUCTIONS)] for k in range(width)]

    def __call__(self) -> np.ndarray:
        """Return (width, 7) action tokens."""
        return self._policy.tokens(self._images, self._texts)


class Trainee:
    """One model with adapters, and steps of Default and Align.

    The methods train the same adapters, so that they share the optimiser's memory; Align's teacher
    and projector come with :meth:`add_align`, so that the memory of Default can be told before.

    Args:
        study: its trainings are measured.
        loaded: the model; adapters are put on it.
        size: ``full`` or ``twin``.
        device: where it lies.
        seed: of adapters and frames.

    Attributes:
        batch: pictures a step.
        tokens: of a picture's sequence.
        weights: number of weights that are trained.
    """

    def __init__(
        self, study: Config, loaded: Checkpoint, size: str, device: torch.device, seed: int
    ) -> None:
        self._study, self._loaded, self._size, self._seed = study, loaded, size, seed
        training, frames = study.training, Frames(loaded, seed)
        self._team, self._done, self.batch = Team(device=device.type), 0, training.schedule.batch
        self.tokens = 1 + loaded.model.config.grid**2 + frames.longest
        side = loaded.pixels.size
        self._feed = Live(
            team=self._team,
            frames=frames,
            batch=self.batch,
            pictures=pictures(len(INSTRUCTIONS), seed)[:, :side, :side],
            pixels=loaded.pixels,
            teacher=None,
            grid=loaded.model.config.grid,
            seed=seed,
            augmentation=training.augmentation,
            diagonal=training.recipe == "released",
            precision=precision(study),
        )
        # Checkpointing is not what is measured.
        plain = training.model_copy(update={"gradient_checkpointing": False})
        wrapped = finetune.adapt(loaded.model, vision=True, seed=seed, training=plain)
        loaded.model.train()
        self.weights = trainable_parameters(wrapped)
        self._parameters = finetune.trained(wrapped, None)
        self._job = loop.Job(
            finetune.schedule(training, training.schedule), Path("unused"), "", seed, every=1
        )
        self._optimizer = loop.make_optimizer(self._parameters, self._job.schedule)
        self._meter = Meter(self._team, self.batch)
        self._methods = {"default": (self._learner(self._feed, None), self._feed)}

    def _learner(self, feed: Live, objective: Objective | None) -> Learner:
        loss = self._study.training.loss
        return Learner(
            self._loaded.model,
            feed,
            TokenLoss(self._loaded.vocabulary, loss.action_width, loss.location_width),
            self._loaded.vocabulary,
            objective,
            precision(self._study),
        )

    def add_align(self) -> int:
        """Make the teacher and the projector; return the teacher's number of weights."""
        align, sizes = self._study.training.align, self._loaded.model.config
        device = self._team.device
        seeing = teacher(align.teacher, self._size, device, precision(self._study))
        objective = Objective(align, self._seed, sizes.widths, seeing.width).to(device)
        feed = dataclasses.replace(self._feed, teacher=seeing)
        self._methods["align"] = self._learner(feed, objective), feed
        return sum(weight.numel() for weight in seeing.net.parameters())

    def step(self, method: str) -> None:
        """Do one step of the trainer."""
        learner, _ = self._methods[method]
        weights = list(self._parameters.values())
        loop.do_step(
            self._team, weights, self._optimizer, learner, self._job, self._done, self._meter
        )
        self._done += 1

    def loss(self) -> float:
        """Return the mean loss since the last call.

        Raises:
            UnblindError: a loss or a gradient was not finite.
        """
        self._meter.check()
        return self._meter.line(self._done, 0.0)["loss"]

    def operations(self, method: str) -> int:
        """Return the operations of a step; it changes nothing."""
        learner, feed = self._methods[method]
        each = finetune.picture_operations(self._team, learner, feed, self._parameters)
        return self.batch * each
