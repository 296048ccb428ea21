"""What is computed once for all runs: one row a labelled frame, in the order of the frames.

Where training looks at unchanged pictures, the features of the tower's frozen part and of the
teacher (float16); where it changes them, the pictures themselves at the model's size (bytes).
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from unblind import files
from unblind.errors import UnblindError
from unblind.progress import Progress
from unblind.training.frames import Pictures

#: Larger batches cost a teacher at 256 px a fifth more time, in page faults of its large maps.
_BATCH = 8


def write(
    path: Path,
    pictures: Pictures,
    function: Callable[[np.ndarray], np.ndarray],
    unit_cpu_s: float,
) -> None:
    """Write what a function makes of pictures, (N, ...), as .npy.

    Args:
        path: file to write.
        pictures: of the labelled frames.
        function: (n, H, W, 3) uint8, RGB -> (n, ...) of any type.
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
            f"{path} has {len(rows)} rows for {frames} frames", "delete it and make it again"
        )
    return rows
