"""An episode as every format holds it, and a set of them to read from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

#: Values of an action: translation in m, Euler angles in rad, gripper (-1 closed, 1 open).
ACTION = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


class Kind(NamedTuple):
    """What a column holds at each step: a data type as NumPy names it ("string": text), a shape."""

    dtype: str
    shape: tuple[int, ...]


#: What our own demonstrations tell beyond picture, action and instruction (see `demos.shards`).
EXTRAS = {
    "executed": Kind("float32", (7,)),
    "stage": Kind("string", ()),
    "object_xyz": Kind("float32", (3,)),
    "plate_xyz": Kind("float32", (3,)),
    "gripper_xyz": Kind("float32", (3,)),
    "held": Kind("bool", ()),
}


@dataclass(frozen=True)
class Episode:
    """One demonstration of T steps.

    Attributes:
        split: the part of the set that it belongs to, for instance ``train``.
        episode_id: which initial state it starts from (`sim.episodes`); None where the source does
            not tell it.
        instruction: what the robot was told.
        file_path: the file that the source says it comes from.
        images: T pictures of one size before the steps, PNG or JPEG bytes as the source has them.
        actions: (T, 7) float32.
        extras: those of `EXTRAS` that are known, with T rows each; strings are object arrays.
    """

    split: str
    episode_id: int | None
    instruction: str
    file_path: str
    images: list[bytes]
    actions: np.ndarray
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Source:
    """A set of demonstrations that is read episode by episode.

    Attributes:
        format: ``unblind`` or ``rlds``.
        counts: episodes of each split, in the order in which they are read.
        facts: what the source tells of itself, as plain types.
        episodes: yields all episodes, split by split.
        unit_cpu_s: expected CPU-seconds to read an episode.
    """

    format: str
    counts: Mapping[str, int]
    facts: Mapping[str, Any]
    episodes: Callable[[], Iterator[Episode]]
    unit_cpu_s: float


def order(split: str) -> tuple[bool, str]:
    """Return by what splits are sorted: ``train`` first, the others by name."""
    return split != "train", split
