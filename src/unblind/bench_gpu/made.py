"""What is measured: a model, a teacher and frames that are made up where they are used.

Speed does not depend on what weights and pictures hold.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unblind import twin
from unblind.finetune.feed import Rows
from unblind.teachers.loading import load_teacher
from unblind.teachers.teacher import Teacher
from unblind.teachers.vit import random_teacher
from unblind.twin import openvla as published
from unblind.twin import tokenizer
from unblind.vla import hub_config, loading, random
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.pixels import Released
from unblind.vla.text import EOS, Llama

#: The paper's teacher (table 9).
TEACHER = "c-radiov3-l"
#: Of the words that the stand-in tokenizer knows, so that prompts are as long as with Llama-2's,
#: where "put carrot on plate" has five tokens. They differ in length, as those of a run do.
INSTRUCTIONS = ("take the robot to the robot", "take the action to it", "take the robot", "take it")
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Size:
    """What is measured at one size.

    Attributes:
        batch: pictures in a training step (full: paper, table 9).
        widths: pictures in a batch of decoding.
        precision: of frozen weights and arithmetic.
        rounds: how often each figure is taken, time allowing; the median is told.
        steps: training steps in a round.
    """

    batch: int
    widths: tuple[int, ...]
    precision: torch.dtype
    rounds: int
    steps: int


SIZES = {
    "full": Size(8, (1, 16, 64), torch.bfloat16, rounds=11, steps=3),
    "twin": Size(2, (1, 2, 4), torch.float32, rounds=2, steps=1),
}


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


def model(size: str, device: torch.device, seed: int) -> Checkpoint:
    """Return OpenVLA with random weights, made on the device.

    Args:
        size: key of `SIZES`.
        device: where it lies.
        seed: of its weights.
    """
    chosen = settings(size)
    pixels = Released(chosen.model.image_size, (_HALF, _HALF), (_HALF, _HALF))
    vocabulary = Llama(tokenizer.build(), chosen.model.vocab_size - chosen.model.padded, chosen.pad)
    weights = random.model(chosen.model, seed, device, SIZES[size].precision)
    folder = Path("random weights")  # for messages alone
    return Checkpoint(weights, vocabulary, pixels, chosen.statistics, folder)


def teacher(size: str, device: torch.device, seed: int) -> Teacher:
    """Return the paper's teacher with random weights; see :func:`model`."""
    precision = SIZES[size].precision
    if size == "full":
        return random_teacher(TEACHER, str(device), precision, seed)
    with tempfile.TemporaryDirectory() as folder:
        made = twin.make("radio", Path(folder, "radio"), seed)
        return load_teacher(TEACHER, str(made), device=str(device), dtype=precision)


class Frames:
    """Noise with prompts and random actions, in the place of `unblind.finetune.frames.Frames`.

    Args:
        loaded: tells the tokens and the size of the pictures.
        seed: of everything.
    """

    def __init__(self, loaded: Checkpoint, seed: int) -> None:
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


def pictures(count: int, seed: int) -> np.ndarray:
    """Return (count, 480, 640, 3) uint8 pictures of noise, of the released camera's size."""
    return np.random.default_rng(seed).integers(0, 256, (count, 480, 640, 3), np.uint8)
