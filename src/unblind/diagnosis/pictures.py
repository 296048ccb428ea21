"""The pictures at which models are compared: held-out ones, and frames of demonstrations."""

from pathlib import Path

import numpy as np

from unblind import png
from unblind.pictures import shards
from unblind.training.frames import Labelled, Pictures


def held_out(folder: Path, count: int) -> list[np.ndarray]:
    """Return the first held-out pictures with questions, (H, W, 3) uint8 RGB.

    Raises:
        UnblindError: there are none, or a file is unreadable.
    """
    return [png.decode(row["image"]) for row in shards.read(folder, "heldout")[:count]]


def frames(labelled: Labelled, count: int) -> list[np.ndarray]:
    """Return pictures of labelled frames at equal distances, (H, W, 3) uint8 RGB.

    Raises:
        UnblindError: a shard is missing or damaged, or there is no frame.
    """
    wanted, number, chosen = _even(len(Pictures(labelled)), count), 0, []
    for episode, labels in labelled.episodes(images=True):
        for frame in labels.frames:
            if number in wanted:
                chosen.append(png.decode(episode["images"][frame]))
            number += 1
    return chosen


def _even(size: int, count: int) -> set[int]:
    """Return at most ``count`` numbers below ``size`` at equal distances."""
    return {size * k // count for k in range(min(count, size))} if count < size else {*range(size)}
