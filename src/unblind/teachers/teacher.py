"""What a teacher is, and how a wanted grid of tokens becomes an input size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.errors import UnblindError


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


class Teacher(nn.Module):
    """A frozen vision network that names image regions by feature vectors.

    A module, so that it moves with ``.to(device)``; it never is in training mode.

    Attributes:
        name: key of `registry.TEACHERS`.
        width: of its tokens.
        net: the network, in its own precision.
    """

    def __init__(
        self,
        name: str,
        net: nn.Module,
        maps: Callable[[nn.Module, Tensor, int], Tensor],
        width: int,
        sizing: Sizing,
        origin: Mapping[str, Any],
        interpolate: bool = False,
    ) -> None:
        """Freeze a network.

        Args:
            name: key of `registry.TEACHERS`.
            net: the network, with weights.
            maps: network, float32 pictures (B, 3, S, S) in [0, 1], grid -> (B, width, grid, grid);
                normalises the pictures, which nothing else does.
            width: channels of the maps.
            sizing: which grids it can give.
            origin: where the weights came from, for `describe`.
            interpolate: meet other grids by interpolating its features instead of refusing.
        """
        super().__init__()
        self.name, self.width = name, width
        self.net = net.requires_grad_(False)
        self._maps, self._sizing = maps, sizing
        self._origin, self._interpolate = origin, interpolate
        self.train(False)

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in evaluation mode, whatever mode is asked for."""
        return super().train(False)

    def features(self, images: Tensor, grid: int) -> Tensor:
        """Return (B, grid * grid, width) float32 tokens, row by row, without gradient.

        Args:
            images: (B, 3, H, W), RGB in [0, 1], any size; normalised inside.
            grid: tokens a side, the student's.

        Raises:
            UnblindError: the teacher cannot give this grid.
        """
        own, side = self._own(grid)
        device = next(self.net.parameters()).device
        # The caller's autocast must not decide the precision of the targets.
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            pixels = resize(images.to(device, torch.float32), side)
            return tokens(self._maps(self.net, pixels, own).float(), grid)

    def describe(self, grid: int) -> dict[str, Any]:
        """Return what stands in an artifact's sidecar: name, origin of the weights, sizes."""
        own, side = self._own(grid)
        return {
            "teacher": self.name,
            **self._origin,
            "width": self.width,
            "grid": grid,
            "input_size": side,
            "interpolated": own != grid,
        }

    def _own(self, grid: int) -> tuple[int, int]:
        """Return the grid that the network itself gives, and the input side for it."""
        own = self._sizing.nearest(grid) if self._interpolate else grid
        return own, self._sizing.side(own, self.name)


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
