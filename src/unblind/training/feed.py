"""From labelled frames to a part of a batch: stored features, or pictures that change.

This is where the scales differ. mini looks at unchanged pictures, so that the tower's frozen part
and the teacher can look at each frame once for all runs. At paper scale pictures are changed at
every step as in the release, so that the teacher has to run along and sees what the model sees.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from unblind.training.augment import augment, draws
from unblind.vla.batch import Batch, collate

if TYPE_CHECKING:
    from unblind.config import Augmentation
    from unblind.teachers.teacher import Teacher
    from unblind.training.frames import Frames
    from unblind.training.team import Team
    from unblind.vla.pixels import Pixels


class Inputs(NamedTuple):
    """A part of a batch on its device.

    Attributes:
        low: what the model's tower starts from (`VisionBackbone.low`): features or pixel values.
        batch: texts with their targets.
        teacher: (b, n, width) tokens of the same pictures; None unless the method is Align.
    """

    low: Tensor
    batch: Batch
    teacher: Tensor | None


class Feed(Protocol):
    """Where a step's inputs come from; they depend on step and part alone."""

    def __call__(self, step: int, part: int) -> Inputs:
        """Return a part of a step's batch."""


@dataclass(frozen=True)
class Cached:
    """Unchanged pictures, whose features are stored (`unblind.training.cache`).

    Attributes:
        team: the processes, which share a batch.
        frames: prompts and actions.
        batch: pictures a step.
        low: (N, ...) features of the tower's frozen part.
        teacher: (N, n, width) features of the teacher; None unless the method is Align.
    """

    team: "Team"
    frames: "Frames"
    batch: int
    low: np.ndarray
    teacher: np.ndarray | None

    @property
    def teacher_width(self) -> int:
        """Width of the teacher's tokens."""
        return self.teacher.shape[-1]

    def __call__(self, step: int, part: int) -> Inputs:
        """Return a part of a step's batch."""
        rows = self.frames.rows(positions(step, self.batch, part, self.team.n_parts))
        device = self.team.device
        return Inputs(
            torch.from_numpy(self.low[rows]).to(device).float(),
            collate([[self.frames.turns[row]] for row in rows], device=device),
            None if self.teacher is None else torch.from_numpy(self.teacher[rows]).to(device),
        )


@dataclass(frozen=True)
class Live:
    """Pictures that are changed at random, and a teacher that looks at what came of it.

    Attributes:
        team: the processes, which share a batch.
        frames: prompts and actions.
        batch: pictures a step.
        pictures: (N, S, S, 3) uint8, RGB, at the model's size.
        pixels: how pictures become the model's input.
        teacher: sees the very pictures that the model sees; None unless the method is Align.
        grid: visual tokens along a side.
        seed: of the changes.
        augmentation: None: pictures stay as they are.
        diagonal: see `augment.draws`.
        precision: of the pixel values.
    """

    team: "Team"
    frames: "Frames"
    batch: int
    pictures: np.ndarray
    pixels: "Pixels"
    teacher: "Teacher | None"
    grid: int
    seed: int
    augmentation: "Augmentation | None"
    diagonal: bool
    precision: torch.dtype

    @property
    def teacher_width(self) -> int:
        """Width of the teacher's tokens."""
        return self.teacher.width

    def __call__(self, step: int, part: int) -> Inputs:
        """Return a part of a step's batch; all have texts of the same length."""
        stream = positions(step, self.batch, part, self.team.n_parts)
        rows = self.frames.rows(stream)
        images = torch.from_numpy(np.stack([self.pictures[row] for row in rows]))
        images = images.to(self.team.device).permute(0, 3, 1, 2).float() / 255
        if self.augmentation is not None:
            images = augment(images, draws(self.seed, stream, self.diagonal), self.augmentation)
        return Inputs(
            self.pixels.normalized(images).to(self.precision),
            collate([[self.frames.turns[row]] for row in rows], self.frames.longest, images.device),
            None if self.teacher is None else self.teacher.features(images, self.grid),
        )


def positions(step: int, batch: int, part: int, n_parts: int) -> list[int]:
    """Return which places of the endless stream of frames a part of a step's batch takes."""
    return [step * batch + k for k in range(part, batch, n_parts)]
