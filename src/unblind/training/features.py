"""What does not change during fine-tuning, computed once: the tower's frozen part, the teacher.

Fine-tuning looks at unchanged pictures, so both are functions of the frame alone. Files hold one
row a labelled frame, in the order of `data.Demonstrations`, float16.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unblind import files
from unblind.errors import UnblindError
from unblind.progress import UNIT_CPU_S, Progress
from unblind.teachers import Teacher
from unblind.training.data import Demonstrations, picture
from unblind.vla.pixels import Squeezed
from unblind.vla.prismatic import Prismatic

#: Larger batches cost a teacher at 256 px a fifth more time, in page faults of its large maps.
_BATCH = 8


def write_low(model: Prismatic, demos: Demonstrations, path: Path) -> None:
    """Write the output of the tower's frozen blocks, (N, channels, rows, columns), as .npy."""
    _write(
        model.vision_backbone.low, model.config.image_size, demos, path, UNIT_CPU_S["features_low"]
    )


def write_teacher(
    teacher: Teacher, grid: int, size: int, demos: Demonstrations, path: Path
) -> None:
    """Write the teacher's tokens, (N, grid * grid, width), as .npy.

    Args:
        teacher: frozen network.
        grid: the student's.
        size: side of the student's picture, which the teacher is shown too.
        demos: the frames.
        path: file to write.
    """
    unit = UNIT_CPU_S["features_teacher"]
    _write(lambda images: teacher.features(images, grid), size, demos, path, unit)


def _write(
    function: Callable[[Tensor], Tensor], size: int, demos: Demonstrations, path: Path, unit: float
) -> None:
    frames = demos.frames
    progress = Progress(f"frames for {path.name}", len(frames), unit, 15.0)
    stored = None
    with files.atomic_path(path) as temporary:
        for start in range(0, len(frames), _BATCH):
            part = frames[start : start + _BATCH]
            images = Squeezed(size).training(np.stack([picture(frame.image) for frame in part]))
            with torch.no_grad():
                values = function(images).half().contiguous().numpy()
            if stored is None:
                shape = (len(frames), *values.shape[1:])
                stored = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
            stored[start : start + len(part)] = values
            progress.advance(len(part))
        if stored is not None:
            stored.flush()


def read(path: Path, frames: int) -> np.ndarray:
    """Return the rows of a file, mapped into memory.

    Raises:
        UnblindError: it is missing, damaged, or has not ``frames`` rows.
    """
    try:
        values = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UnblindError(f"no readable features in {path}: {error}", "make them again") from None
    if len(values) != frames:
        raise UnblindError(
            f"{path} has {len(values)} rows for {frames} frames", "delete it and make it again"
        )
    return values
