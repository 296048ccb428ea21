"""Augmentation of training pictures as the release does it, on whole batches on any device.

Order: random crop that is enlarged again, brightness, contrast, saturation, hue (released
``prismatic/vla/datasets/datasets.py``); after each, values are clipped to [0, 1], at the end they
are rounded to bytes. The operations are those of TensorFlow 2.15, which the released loader calls.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from unblind.config import Augmentation

#: Numbers drawn for a picture: crop's row and column, brightness, contrast, saturation, hue.
DRAWS = 6
#: Names the stream of random numbers, apart from that of the frames' order.
_STREAM = 1


def draws(seed: int, positions: Sequence[int], diagonal: bool = False) -> np.ndarray:
    """Return uniform numbers in [0, 1), (N, 6) float32, one row for each place in the stream.

    Args:
        seed: of the run.
        positions: of the pictures in the run's endless stream.
        diagonal: crops lie on the diagonal: row and column are one number, as in the released
            loader (dlimp: a new seed for each operation, but one for both of the crop's offsets).
    """
    rows = [np.random.default_rng([seed, place, _STREAM]).random(DRAWS) for place in positions]
    numbers = np.stack(rows).astype(np.float32)
    if diagonal:
        numbers[:, 1] = numbers[:, 0]
    return numbers


def augment(pictures: Tensor, numbers: np.ndarray, how: "Augmentation") -> Tensor:
    """Return changed pictures.

    Args:
        pictures: (N, 3, S, S) float32 in [0, 1], RGB.
        numbers: (N, 6) from :func:`draws`.
        how: largest changes.

    Returns:
        the same shape; values are multiples of 1/255.
    """
    row, column, *rest = torch.from_numpy(numbers).to(pictures.device).unbind(1)
    light, contrast, saturation, hue = ((2 * one - 1).view(-1, 1, 1, 1) for one in rest)
    x = crop(pictures, row, column, how.crop_area).clamp(0, 1)
    x = (x + how.brightness * light).clamp(0, 1)
    mean = x.mean((2, 3), keepdim=True)
    x = ((x - mean) * (1 + how.contrast * contrast) + mean).clamp(0, 1)
    x = saturate(x, 1 + how.saturation * saturation).clamp(0, 1)
    x = turn_hue(x, how.hue * hue).clamp(0, 1)
    return (x * 255.5).floor().clamp(0, 255) / 255


def crop(pictures: Tensor, row: Tensor, column: Tensor, area: float) -> Tensor:
    """Cut a square of ``area`` of the picture and enlarge it to the old size, bilinearly.

    Args:
        pictures: (N, 3, S, S).
        row: (N,) in [0, 1): where it lies between top and bottom.
        column: likewise between left and right.
        area: share of the picture's area.
    """
    count, _, height, width = pictures.shape
    side = area**0.5

    def points(place: Tensor, size: int) -> Tensor:
        steps = torch.linspace(0, 1, size, device=pictures.device)
        return 2 * ((1 - side) * place[:, None] + side * steps) - 1  # -1, 1: middles of end pixels

    y, x = points(row, height), points(column, width)
    grid = torch.stack(
        [x[:, None].expand(count, height, width), y[:, :, None].expand(count, height, width)], -1
    )
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=True)


def saturate(pictures: Tensor, factor: Tensor) -> Tensor:
    """Multiply the saturation of (N, 3, H, W) colours, at most to 1; hue and value stay."""
    value = pictures.amax(1, keepdim=True)
    spread = value - pictures.amin(1, keepdim=True)
    most = torch.where(spread > 0, value / spread, 1)  # the factor at which saturation is 1
    return value - (value - pictures) * torch.minimum(factor.clamp(min=0), most)


def turn_hue(pictures: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of (N, 3, H, W) colours by a share of the circle; saturation and value stay."""
    value = pictures.amax(1, keepdim=True)
    spread = value - pictures.amin(1, keepdim=True)
    red, green, blue = pictures.split(1, dim=1)
    safe = torch.where(spread > 0, spread, 1)
    sixths = torch.where(
        red == value,
        (green - blue) / safe,
        torch.where(green == value, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixths = sixths + 6 * turn
    parts = []
    for start in (5, 3, 1):  # red, green, blue
        place = (start + sixths) % 6
        parts.append(value - spread * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.cat(parts, dim=1)
