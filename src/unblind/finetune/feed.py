"""From labelled frames to one process's part of a batch, on its device."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unblind.finetune.augment import augment, draws
from unblind.finetune.learner import texts
from unblind.vla.batch import Batch
from unblind.vla.pixels import Pixels

if TYPE_CHECKING:
    from unblind.config_openvla import Augmentation
    from unblind.finetune.frames import Frames
    from unblind.teachers import Teacher


class Rows(NamedTuple):
    """One process's part of a batch.

    Attributes:
        pictures: (b, S, S, 3) uint8.
        prompts: token ids of each prompt, without BOS.
        answers: (b, 8) int64: seven action tokens and EOS.
        positions: where they stand in the stream, which seeds their augmentation.
    """

    pictures: np.ndarray
    prompts: list[tuple[int, ...]]
    answers: np.ndarray
    positions: list[int]


@dataclass(frozen=True)
class Feed:
    """What a step's loss is computed of.

    Attributes:
        frames: pictures, prompts and answers.
        pixels: how pictures become the model's input.
        teacher: sees the very pictures that the model sees; None unless the method is Align.
        grid: visual tokens along a side.
        seed: of the augmentation.
        augmentation: None: pictures stay as they are.
        diagonal: see `augment.draws`.
        device: where everything lies.
        precision: of the pixel values.
        part: number of this process.
        parts: number of processes.
        batch: pictures of all processes together.
    """

    frames: "Frames"
    pixels: Pixels
    teacher: "Teacher | None"
    grid: int
    seed: int
    augmentation: "Augmentation | None"
    diagonal: bool
    device: torch.device
    precision: torch.dtype
    part: int
    parts: int
    batch: int

    def __call__(self, step: int) -> tuple[Tensor, Batch, Tensor, Tensor | None]:
        """Return pixel values, texts, answers and teacher tokens (see `learner.Learner`)."""
        rows = self.frames.rows(step, self.batch, self.part, self.parts)
        pictures = torch.from_numpy(rows.pictures).to(self.device).permute(0, 3, 1, 2).float() / 255
        if self.augmentation is not None:
            numbers = draws(self.seed, rows.positions, self.diagonal)
            pictures = augment(pictures, numbers, self.augmentation)
        return (
            self.pixels.normalized(pictures).to(self.precision),
            texts(rows.prompts, rows.answers, self.frames.longest).to(self.device),
            torch.from_numpy(rows.answers).to(self.device),
            None if self.teacher is None else self.teacher.features(pictures, self.grid),
        )
