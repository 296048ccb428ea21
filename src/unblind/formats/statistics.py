"""Statistics of columns and pictures as LeRobot stores them, for an episode and for a whole set."""

from collections.abc import Iterable
from typing import Any

import numpy as np

_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
#: Of an episode's pictures this many count, and of these each fourth row and column.
PICTURES, _STRIDE = 8, 4


def of_values(values: np.ndarray) -> dict[str, list[Any]]:
    """Return the statistics of (N, D) numbers, each of D values; ``count`` is N."""
    numbers = values.astype(np.float64)
    found = {"min": numbers.min(0), "max": numbers.max(0), "mean": numbers.mean(0)}
    found["std"] = numbers.std(0)
    found |= dict(
        zip(_QUANTILES, np.quantile(numbers, [*_QUANTILES.values()], axis=0), strict=True)
    )
    return {"count": [len(values)], **{name: value.tolist() for name, value in found.items()}}


class PictureCounts:
    """How often each brightness occurs in each channel of a choice of pictures.

    Attributes:
        pictures: how many were counted.
        counts: (3, 256), pixels by channel and value.
    """

    def __init__(self) -> None:
        self.pictures = 0
        self.counts = np.zeros((3, 256), np.int64)

    def add(self, images: Iterable[np.ndarray]) -> None:
        """Count (H, W, 3) uint8 pictures."""
        for image in images:
            self.pictures += 1
            for channel in range(3):
                values = image[::_STRIDE, ::_STRIDE, channel].ravel()
                self.counts[channel] += np.bincount(values, minlength=256)

    def join(self, other: "PictureCounts") -> None:
        """Add what another one has counted."""
        self.pictures += other.pictures
        self.counts += other.counts

    def to_json(self) -> dict[str, list[Any]]:
        """Return the statistics of brightness in [0, 1], each as (3, 1, 1) lists."""
        levels = np.arange(256) / 255
        share = self.counts / self.counts.sum(axis=1, keepdims=True)
        below = share.cumsum(axis=1)
        mean = share @ levels
        found = {
            "min": levels[(below > 0).argmax(1)],
            "max": levels[255 - (share[:, ::-1] > 0).argmax(1)],
            "mean": mean,
            "std": np.sqrt((share * (levels - mean[:, None]) ** 2).sum(1)),
        }
        for name, part in _QUANTILES.items():
            found[name] = levels[(below >= part - 1e-12).argmax(1)]
        return {
            "count": [self.pictures],
            **{name: value.reshape(3, 1, 1).tolist() for name, value in found.items()},
        }
