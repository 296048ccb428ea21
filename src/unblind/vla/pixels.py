"""From camera pictures to a model's pixel values: mini's way and the release's.

Pictures are (N, H, W, 3) uint8, RGB. They are resized naively to a square: the sides are scaled
apart (4:3 becomes square), nothing is cropped.

mini squeezes them bilinearly to [0, 1]; its tower normalises. The release gives (N, 3 towers, S,
S): one RGB picture a tower, each normalised for its tower, side by side in the channels (DINOv2
first). Its training and its evaluation differ in resizing and precision. Training resizes bytes by
Lanczos and normalises in float32. Evaluation works in the model's bfloat16: bicubic with
antialiasing, not rounded and not clamped, so that values overshoot, then normalised in bfloat16.
There is no centre crop, although training crops at random (released file
``processing_prismatic.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unblind.errors import UnblindError
from unblind.vla import documents, lanczos

FILE = "preprocessor_config.json"
_BICUBIC = 3  # Pillow's number, which the file holds
_RGB = 3


class Pixels(Protocol):
    """How pictures become pixel values.

    Attributes:
        size: side of the square in pixels.
    """

    size: int

    def evaluation(
        self, images: np.ndarray, device: torch.device | str = "cpu", dtype: torch.dtype = ...
    ) -> Tensor:
        """Return (N, 3 towers, S, S) pixel values of pictures, as a policy sees them.

        Args:
            images: (N, H, W, 3) uint8, RGB.
            device: where they are computed.
            dtype: the model's precision.

        Raises:
            UnblindError: ``images`` has another shape or type.
        """

    def training(
        self, images: np.ndarray, device: torch.device | str = "cpu", dtype: torch.dtype = ...
    ) -> Tensor:
        """Return the same as a model sees them in training; see :meth:`evaluation`."""

    def normalized(self, low: Tensor) -> Tensor:
        """Return pixel values of pictures (N, 3, S, S) in [0, 1], in their precision."""


@dataclass(frozen=True)
class Squeezed:
    """mini's pixel values: (N, 3, S, S) in [0, 1], channels last in memory, always alike."""

    size: int

    def evaluation(
        self,
        images: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return pixel values of pictures; see :class:`Pixels`."""
        images = _checked(images)
        squares = np.empty((len(images), self.size, self.size, _RGB), np.uint8)
        for picture, square in zip(images, squares, strict=True):
            cv2.resize(picture, square.shape[:2], dst=square, interpolation=cv2.INTER_LINEAR)
        unit = torch.from_numpy(squares).to(device).permute(0, 3, 1, 2).float() / 255
        return self.normalized(unit).to(dtype)

    training = evaluation

    def normalized(self, low: Tensor) -> Tensor:
        """Return ``low`` as it is: the tower normalises."""
        return low


@dataclass(frozen=True)
class Released:
    """OpenVLA's pixel values, bit for bit those of the release.

    Attributes:
        size: side of the square in pixels (OpenVLA: 224).
        means: of R, G and B for each tower, in [0, 1].
        deviations: likewise. OpenVLA's file holds ImageNet's numbers rounded to bfloat16.
    """

    size: int
    means: tuple[tuple[float, ...], ...]
    deviations: tuple[tuple[float, ...], ...]

    @classmethod
    def read(cls, folder: Path, size: int, towers: int) -> "Released":
        """Return what a checkpoint's ``preprocessor_config.json`` says.

        Args:
            folder: of the checkpoint.
            size: side that its towers take.
            towers: their number.

        Raises:
            UnblindError: the file is missing or unreadable, or asks for another resizing.
        """
        path = Path(folder) / FILE
        values = documents.read(path)
        try:
            means, deviations = _statistics(values)
            problems = [*_differences(values, size), *_wrong(means, deviations, towers)]
        except (KeyError, TypeError, ValueError) as error:
            problems = [f"it is unreadable ({error!r})"]
            means = deviations = ()
        documents.refuse(path, problems, "use a checkpoint that is prepared as OpenVLA is")
        return cls(size, means, deviations)

    def evaluation(
        self,
        images: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
    ) -> Tensor:
        """Return pixel values as the release evaluates, bit for bit on the same device.

        Args:
            images: (N, H, W, 3) uint8, RGB.
            device: where they are computed.
            dtype: the release's is bfloat16.
        """
        low = torch.from_numpy(_checked(images)).to(device).permute(0, 3, 1, 2).to(dtype)
        if low.shape[-2:] != (self.size, self.size):
            square = (self.size, self.size)
            low = functional.interpolate(low.float(), square, mode="bicubic", antialias=True)
            low = low.to(dtype)
        return self.normalized(low / 255)

    def training(
        self,
        images: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
    ) -> Tensor:
        """Return pixel values as the release trains, bit for bit.

        Args:
            images: (N, H, W, 3) uint8, RGB; resized here unless they have the model's size
                (augmentation belongs between the two: `lanczos.resize`, augment, then this).
            device: where they are normalised.
            dtype: what float32 values are rounded to at the end.
        """
        images = _checked(images)
        if images.shape[1:3] != (self.size, self.size):
            images = lanczos.resize(images, self.size)
        low = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous()
        return self.normalized(low.float() / 255).to(dtype)

    def normalized(self, low: Tensor) -> Tensor:
        """Return (N, 3 towers, S, S) of (N, 3, S, S) in [0, 1], in the precision of ``low``."""
        shape = (1, _RGB, 1, 1)
        return torch.cat(
            [
                (low - low.new_tensor(mean).view(shape)) / low.new_tensor(deviation).view(shape)
                for mean, deviation in zip(self.means, self.deviations, strict=True)
            ],
            dim=1,
        )


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.ascontiguousarray(images)
    if images.ndim != 4 or images.shape[-1] != _RGB or images.dtype != np.uint8:
        raise UnblindError(
            f"cannot use pictures of shape {images.shape} and type {images.dtype}",
            "give (N, height, width, 3) RGB pictures of bytes",
        )
    return images


def _statistics(values: Mapping[str, Any]) -> tuple[tuple, tuple]:
    """Return means and deviations; those parsed by the release's own code come first."""
    parsed = values.get("tvf_normalize_params")
    if parsed is not None:
        pairs = [(entry["mean"], entry["std"]) for entry in parsed]
    else:
        pairs = list(zip(values["means"], values["stds"], strict=True))
    means, deviations = zip(*pairs, strict=True)
    return tuple(
        tuple(tuple(float(number) for number in three) for three in part)
        for part in (means, deviations)
    )


def _wrong(means: tuple, deviations: tuple, towers: int) -> list[str]:
    found = []
    if len(means) != towers:
        found.append(f"means of {len(means)} towers, not {towers}")
    threes = [*means, *deviations]
    if any(len(three) != _RGB or not np.isfinite(three).all() for three in threes):
        found.append("means or stds are not three finite numbers each")
    if any(number <= 0 for three in deviations for number in three):
        found.append("a std is not positive")
    return found


def _differences(values: Mapping[str, Any], size: int) -> list[str]:
    """Return which keys ask for something else than naive bicubic resizing to ``size``."""
    strategy = values.get("image_resize_strategy", "resize-naive")
    found = [] if strategy == "resize-naive" else [f"image_resize_strategy is {strategy!r}"]
    if np.any(values.get("tvf_do_letterbox") or False):
        found.append(f"tvf_do_letterbox is {values['tvf_do_letterbox']!r}")
    for number, kind in enumerate(values.get("interpolations") or ()):
        if kind != "bicubic":
            found.append(f"interpolations[{number}] is {kind!r}, not 'bicubic'")
    for number, row in enumerate(values.get("input_sizes") or ()):
        if list(row) != [_RGB, size, size]:
            found.append(f"input_sizes[{number}] is {row}, not {[_RGB, size, size]}")
    for number, row in enumerate(values.get("tvf_resize_params") or ()):
        if row.get("interpolation") != _BICUBIC or list(row.get("size") or ()) != [size, size]:
            found.append(f"tvf_resize_params[{number}] is {row}")
    return found
