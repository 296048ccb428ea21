"""Pictures of the labelled frames at the model's size, resized once for all runs.

They are resized as the released loader does before it augments (Lanczos), and lie in one file, row
by row in the order of the labelled frames.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unblind import files
from unblind.errors import UnblindError
from unblind.progress import UNIT_CPU_S, Progress
from unblind.sim import labels, shards
from unblind.training.data import picture
from unblind.vla import lanczos


def write(folder: Path, split: str, rule: labels.Rule, size: int, path: Path) -> None:
    """Write the labelled frames of a split, (N, size, size, 3) uint8, as .npy.

    Args:
        folder: of the demonstrations.
        split: ``train`` or ``held_out``.
        rule: which steps become labels.
        size: side of the model's square picture, pixels.
        path: file to write.

    Raises:
        UnblindError: a shard is missing or damaged, there is no frame, or the disk is full.
    """
    count = sum(len(found.frames) for _, found in labelled(folder, split, rule, images=False))
    if not count:
        raise UnblindError(f"{folder} has no frame of '{split}'", "collect demonstrations")
    progress, row = Progress(f"frames for {path.name}", count, UNIT_CPU_S["pictures"], 15.0), 0
    with files.atomic_path(path) as temporary:
        stored = np.lib.format.open_memmap(temporary, "w+", np.uint8, (count, size, size, 3))
        for episode, found in labelled(folder, split, rule, images=True):
            for frame in found.frames:
                stored[row] = lanczos.resize(picture(episode["images"][frame])[None], size)[0]
                row += 1
            progress.advance(len(found.frames))
        stored.flush()


def labelled(
    folder: Path, split: str, rule: labels.Rule, images: bool
) -> Iterator[tuple[dict, labels.Labels]]:
    """Yield episodes (see `shards.read`) with their labels, one shard in memory at a time.

    Raises:
        UnblindError: a shard is missing or damaged.
    """
    for name, checksum in shards.load_manifest(folder)["shards"].items():
        if name.rsplit("-", 1)[0] == split:
            path = Path(folder) / name
            shards.verify(path, checksum)
            for episode in shards.read(path, images):
                yield episode, labels.apply(rule, episode["actions"], episode["executed"])
