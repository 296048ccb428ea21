"""From camera pictures to the model's square input."""

import cv2
import numpy as np
import torch
from torch import Tensor

from unblind.errors import UnblindError


def to_model(images: np.ndarray, size: int) -> Tensor:
    """Return pictures as the model's input: resized naively to a square, RGB in [0, 1].

    "Naively" is OpenVLA's word: the sides are scaled apart (4:3 becomes square), nothing is
    cropped. Interpolation is bilinear.

    Args:
        images: (N, H, W, 3) uint8, RGB.
        size: side of the square, pixels.

    Returns:
        (N, 3, size, size) float32, channels last in memory.

    Raises:
        UnblindError: ``images`` has another shape or type.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise UnblindError(
            f"cannot use pictures of shape {images.shape} and type {images.dtype}",
            "give (N, height, width, 3) RGB pictures of bytes",
        )
    squares = np.empty((len(images), size, size, 3), np.uint8)
    for picture, square in zip(images, squares, strict=True):
        cv2.resize(picture, (size, size), dst=square, interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
