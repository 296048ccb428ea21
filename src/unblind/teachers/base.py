"""What every teacher offers, and how a wanted grid of tokens becomes an input size."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from torch.nn import functional

from unblind.errors import UnblindError


class Teacher(Protocol):
    """A frozen vision network that names image regions by feature vectors.

    Attributes:
        name: row of ``teachers.TEACHERS``.
        width: of its tokens.
    """

    name: str
    width: int

    def features(self, images: Tensor, grid: int) -> Tensor:
        """Return (B, grid * grid, width) float32 tokens, row by row, without gradient.

        Args:
            images: (B, 3, H, W), RGB in [0, 1], any size; normalised inside.
            grid: tokens a side, the student's.

        Raises:
            UnblindError: the teacher cannot give this grid.
        """

    def describe(self, grid: int) -> dict[str, Any]:
        """Return what stands in an artifact's sidecar: name, weights' SHA-256, sizes."""


@dataclass(frozen=True)
class Sizing:
    """Which grids a network can give: the input side is ``stride`` times the grid.

    Attributes:
        stride: input pixels a token.
        least: smallest input side, pixels.
        most: largest input side, pixels.
    """

    stride: int
    least: int
    most: int

    def side(self, grid: int, teacher: str) -> int:
        """Return the input side for a grid.

        Raises:
            UnblindError: the side would be outside the network's range.
        """
        side = self.stride * grid
        if not self.least <= side <= self.most:
            low, high = -(-self.least // self.stride), self.most // self.stride
            raise UnblindError(
                f"teacher {teacher!r} cannot give a {grid} x {grid} grid: {side} px input, "
                f"{self.least} to {self.most} allowed",
                f"grids {low} to {high} fit; or choose another teacher, or allow interpolation",
            )
        return side

    def nearest(self, grid: int) -> int:
        """Return the grid nearest to ``grid`` that the network can give."""
        low, high = -(-self.least // self.stride), self.most // self.stride
        return min(max(grid, low), high)


def resize(images: Tensor, side: int) -> Tensor:
    """Return pictures (B, 3, side, side), bilinear, as the release feeds its teacher."""
    if images.shape[-2:] == (side, side):
        return images
    return functional.interpolate(images, (side, side), mode="bilinear", align_corners=False)


def tokens(maps: Tensor, grid: int) -> Tensor:
    """Return a feature map (B, C, h, w) as tokens (B, grid * grid, C), row by row.

    A map of another size than the grid is interpolated bilinearly.
    """
    if maps.shape[-2:] != (grid, grid):
        maps = functional.interpolate(maps, (grid, grid), mode="bilinear", align_corners=False)
    return maps.flatten(2).transpose(1, 2).contiguous()
