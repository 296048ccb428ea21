"""What is computed once for all runs: one row a labelled frame, in the order of the frames.

Where training looks at unchanged pictures, the features of the tower's frozen part and of the
teacher (float16); where it changes them, the pictures themselves at the model's size (bytes).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from unblind import files
from unblind.errors import UnblindError
from unblind.progress import Progress
from unblind.teachers.teacher import Teacher
from unblind.training.frames import Pictures
from unblind.vla import lanczos
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.pixels import Squeezed
from unblind.vla.prismatic import PrismaticConfig

#: (n, H, W, 3) uint8, RGB -> (n, ...) of any type.
OfPictures = Callable[[np.ndarray], np.ndarray]
#: Larger batches cost a teacher at 256 px a fifth more time, in page faults of its large maps.
_BATCH = 8


def of_tower(loaded: Checkpoint) -> OfPictures:
    """Return what makes the features (n, channels, rows, columns) of a model's frozen blocks."""

    def features(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            low = loaded.model.vision_backbone.low(loaded.pixels.training(images))
        return low.half().contiguous().numpy()

    return features


def of_teacher(teacher: Teacher, student: PrismaticConfig) -> OfPictures:
    """Return what makes a teacher's tokens (n, grid * grid, width).

    The teacher sees pictures of the student's size.
    """
    pixels = Squeezed(student.image_size)

    def tokens(images: np.ndarray) -> np.ndarray:
        tokens = teacher.features(pixels.training(images), student.grid)
        return tokens.half().contiguous().numpy()

    return tokens


def of_pictures(side: int) -> OfPictures:
    """Return what resizes to (n, side, side, 3), as the released loader does before it augments."""
    return lambda images: lanczos.resize(images, side)


def write(path: Path, pictures: Pictures, function: OfPictures, unit_cpu_s: float) -> None:
    """Write what a function makes of pictures, (N, ...), as .npy.

    Args:
        path: file to write.
        pictures: of the labelled frames.
        function: what is stored of them.
        unit_cpu_s: expected CPU-seconds a picture.

    Raises:
        UnblindError: a shard is missing or damaged, there is no frame, or the disk is full.
    """
    progress = Progress(f"frames for {path.name}", len(pictures), unit_cpu_s, 15.0)
    stored, row = None, 0
    with files.atomic_path(path) as temporary:
        for batch in _batches(iter(pictures)):
            rows = function(np.stack(batch))
            if stored is None:
                shape = (len(pictures), *rows.shape[1:])
                stored = np.lib.format.open_memmap(temporary, "w+", rows.dtype, shape)
            stored[row : row + len(rows)] = rows
            row += len(rows)
            progress.advance(len(rows))
        if stored is not None:
            stored.flush()


def _batches(pictures: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
    while batch := list(islice(pictures, _BATCH)):
        yield batch


def read(path: Path, frames: int) -> np.ndarray:
    """Return the rows of a file, mapped into memory.

    Raises:
        UnblindError: it is missing, damaged, or has not ``frames`` rows.
    """
    try:
        rows = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UnblindError(f"no readable features in {path}: {error}", "make them again") from None
    if len(rows) != frames:
        raise UnblindError(
            f"{path} has {len(rows)} rows for {frames} pictures", "delete it and make it again"
        )
    return rows


class Rows:
    """The rows of several files as one sequence, mapped into memory.

    Args:
        paths: files of `write`.
        frames: how many rows each has.

    Raises:
        UnblindError: see `read`.
    """

    def __init__(self, paths: Sequence[Path], frames: Sequence[int]) -> None:
        self._maps = [read(path, count) for path, count in zip(paths, frames, strict=True)]
        self._first = np.cumsum([0, *frames])

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, numbers: Sequence[int]) -> np.ndarray:
        """Return copies of rows, (n, ...)."""
        which = np.searchsorted(self._first, numbers, side="right") - 1
        return np.stack(
            [self._maps[k][n - self._first[k]] for k, n in zip(which, numbers, strict=True)]
        )
