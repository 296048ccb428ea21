"""A folder of ImageNet-100, read picture by picture.

The layout is the usual one: ``train`` and ``val``, each with a folder of pictures for each class.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from unblind.errors import UnblindError

CLASSES = 100
_FOLDERS = {"train": "train", "test": "val"}
"""Folder of each split."""
_SUFFIXES = (".jpeg", ".jpg", ".png")
_REMEDY = "see probe.imagenet in docs/knowledge.md"


def classes(folder: Path) -> list[str]:
    """Return the names of the classes, sorted, after checking that all folders have pictures.

    Raises:
        UnblindError: a folder is missing, there are not 100 classes, both splits have not the
            same, or a class has no picture.
    """
    named = {split: _classes(folder / name) for split, name in _FOLDERS.items()}
    if len(named["train"]) != CLASSES:
        raise UnblindError(
            f"{folder / 'train'} has {len(named['train'])} classes instead of {CLASSES}", _REMEDY
        )
    if other := sorted(set(named["train"]) ^ set(named["test"])):
        raise UnblindError(
            f"the class '{other[0]}' is not in both of {folder}/train and val", _REMEDY
        )
    for split in _FOLDERS:
        for name in named[split]:
            if not _files(folder, split, name):
                where = folder / _FOLDERS[split] / name
                raise UnblindError(f"the class folder {where} has no picture", _REMEDY)
    return named["train"]


def count(folder: Path, split: str, names: list[str]) -> int:
    """Return how many pictures classes have in a split."""
    return sum(len(_files(folder, split, name)) for name in names)


def pictures(
    folder: Path, split: str, names: list[str], side: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield class and picture (side, side, 3) uint8: the middle square, resized.

    Args:
        folder: of both splits.
        split: 'train' or 'test', which is ImageNet's ``val``.
        names: of the classes.
        side: of the model's input, px.

    Raises:
        UnblindError: a picture is unreadable.
    """
    for name in names:
        for path in _files(folder, split, name):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                raise UnblindError(f"the picture {path} is unreadable", "restore or remove it")
            yield name, _square(image, side)[..., ::-1]


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UnblindError(f"there is no folder {folder}", _REMEDY)
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def _files(folder: Path, split: str, name: str) -> list[Path]:
    place = folder / _FOLDERS[split] / name
    return sorted(path for path in place.iterdir() if path.suffix.lower() in _SUFFIXES)


def _square(image: np.ndarray, side: int) -> np.ndarray:
    edge = min(image.shape[:2])
    top, left = (np.array(image.shape[:2]) - edge) // 2
    square = image[top : top + edge, left : left + edge]
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
