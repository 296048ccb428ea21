"""A model, a teacher and frames with random contents, and the trainer's own steps on them.

Speed and memory do not depend on what weights and pictures hold. All that the bench of a GPU knows
of model and trainer is here.
"""

import dataclasses
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from unblind import twin
from unblind.align.objective import Objective, Recipe
from unblind.config import Config, load
from unblind.finetune import step as steps
from unblind.finetune import throughput
from unblind.finetune.feed import Feed, Rows
from unblind.finetune.learner import ANSWER, Learner
from unblind.foundation import table
from unblind.foundation.frozen import FrozenTeacher
from unblind.openvla import checkpoint, config, random
from unblind.openvla.checkpoint import OpenVla
from unblind.openvla.pixels import Pixels
from unblind.openvla.policy import Policy
from unblind.openvla.text import EOS, LlamaVocabulary
from unblind.twin import openvla as published
from unblind.twin import tokenizer
from unblind.vla.lora import trainable_parameters

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
        UnblindError: it is malformed.
    """
    file, changes = _FILES[size]
    return load(_CONFIGS / file, changes)


def precision(study: Config) -> torch.dtype:
    """Return the number format of frozen weights and of arithmetic."""
    return getattr(torch, study.openvla.precision)


def settings(size: str) -> config.HubConfig:
    """Return what the config.json of OpenVLA-7B, or of its twin, describes."""
    document = published.document("openvla")
    if size == "full":
        document.pop(config.TWIN_SIZES)
        text = document["text_config"].items()
        document["text_config"] = {key: value for key, value in text if key not in config.LLAMA}
    return config.parse(Path(config.FILE), document)


def parameters(size: str) -> int:
    """Return the model's number of weights (full: 7,541,237,184)."""
    return sum(weight.numel() for weight in checkpoint.blank(settings(size).model).parameters())


def model(size: str, device: torch.device, dtype: torch.dtype, seed: int) -> OpenVla:
    """Return OpenVLA with random weights, made on the device."""
    chosen = settings(size)
    pixels = Pixels(chosen.model.image_size, (_HALF, _HALF), (_HALF, _HALF))
    vocabulary = LlamaVocabulary(
        tokenizer.build(), chosen.model.vocab_size - chosen.model.padded, chosen.pad
    )
    weights = random.model(chosen.model, seed, device, dtype)
    folder = Path("random weights")  # for messages alone
    return OpenVla(weights, chosen, vocabulary, pixels, chosen.statistics, folder)


def teacher(name: str, size: str, device: torch.device, dtype: torch.dtype) -> FrozenTeacher:
    """Return a teacher with random weights, made on the device."""
    if size == "full":
        return table.random_teacher(name, str(device), dtype, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        made = twin.make("radio", Path(folder, "radio"), seed=0)
        return table.load(name, str(made), device=str(device), dtype=dtype)


def pictures(count: int, seed: int) -> np.ndarray:
    """Return (count, 480, 640, 3) uint8 pictures of noise, of the released camera's size."""
    return np.random.default_rng(seed).integers(0, 256, (count, 480, 640, 3), np.uint8)


class Frames:
    """Noise with prompts and random actions, in the place of `unblind.finetune.frames.Frames`.

    Args:
        loaded: tells the tokens and the size of the pictures.
        seed: of everything.
    """

    def __init__(self, loaded: OpenVla, seed: int) -> None:
        self._side, self._seed = loaded.pixels.size, seed
        self._prompts = [loaded.vocabulary.action_prompt(text) for text in INSTRUCTIONS]
        self._actions = loaded.vocabulary.actions

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(map(len, self._prompts))

    def rows(self, step: int, batch: int, part: int, parts: int) -> Rows:
        """Return one of the equal ``parts`` of the batch of a step."""
        positions = [step * batch + k for k in range(part, batch, parts)]
        rng = np.random.default_rng([self._seed, step, part])
        size, count = self._side, len(positions)
        answers = rng.choice(self._actions, (count, 7))
        return Rows(
            rng.integers(0, 256, (count, size, size, 3), np.uint8),
            [self._prompts[position % len(self._prompts)] for position in positions],
            np.concatenate([answers, np.full((count, 1), EOS)], axis=1),
            positions,
        )


class Decoding:
    """Calls of the policy that evaluates: pictures of 640 x 480 to seven greedy tokens.

    Args:
        loaded: without adapters, as a policy that was merged for evaluation.
        width: pictures in a call.
        seed: of the pictures.
    """

    def __init__(self, loaded: OpenVla, width: int, seed: int) -> None:
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
        self, study: Config, loaded: OpenVla, size: str, device: torch.device, seed: int
    ) -> None:
        self._study, self._loaded, self._size, self._device = study, loaded, size, device
        self._seed, self._done, training = seed, 0, study.training
        self._rate, self.batch = training.schedule.rate, training.schedule.batch
        self._team = Accelerator(cpu=device.type == "cpu")
        frames = Frames(loaded, seed)
        self.tokens = loaded.model.config.grid**2 + frames.longest + ANSWER
        wrapped = steps.adapt(
            loaded.model,
            vision=True,
            seed=seed,
            rank=training.rank,
            alpha=training.alpha,
            recipe=study.openvla.recipe,
            precision=precision(study),
            checkpointing=False,
        )
        self.weights = trainable_parameters(wrapped)
        self._optimizer = steps.make_optimizer(
            [weight for weight in wrapped.parameters() if weight.requires_grad],
            rate=self._rate,
            betas=tuple(study.openvla.betas),
            weight_decay=training.schedule.weight_decay,
            device=device,
        )
        feed = Feed(
            frames=frames,
            pixels=loaded.pixels,
            teacher=None,
            grid=loaded.model.config.grid,
            pad=loaded.vocabulary.pad,
            seed=seed,
            augmentation=study.openvla.augmentation,
            diagonal=study.openvla.recipe == "released",
            device=device,
            precision=precision(study),
            part=0,
            parts=1,
            batch=self.batch,
        )
        self._methods: dict[str, tuple[nn.Module, Feed]] = {"default": (self._learner(None), feed)}

    def _learner(self, objective: Objective | None) -> nn.Module:
        tokenizer = self._loaded.codec().tokenizer
        learner = Learner(self._loaded.model, tokenizer, objective, precision(self._study))
        return self._team.prepare(learner.to(self._device).train())

    def add_align(self) -> int:
        """Make the teacher and the projector; return the teacher's number of weights."""
        align, sizes = self._study.training.align, self._loaded.model.config
        seeing = teacher(align.teacher, self._size, self._device, precision(self._study))
        recipe = Recipe(tuple(align.layers), hidden=align.projector_width, seed=self._seed)
        objective = Objective(recipe, sizes.layers, sizes.hidden_size, seeing.width)
        _, feed = self._methods["default"]
        learner = self._learner(objective)
        self._methods["align"] = learner, dataclasses.replace(feed, teacher=seeing)
        return sum(weight.numel() for weight in seeing.parameters())

    def step(self, method: str) -> Tensor:
        """Do one step of the trainer; return the loss."""
        learner, feed = self._methods[method]
        self._done += 1
        return steps.step(
            self._team, learner, self._optimizer, feed(self._done), self._rate, math.inf
        )["loss"]

    def operations(self, method: str) -> int:
        """Return the operations of a step; it changes nothing."""
        return self.batch * throughput.picture_operations(*self._methods[method])
