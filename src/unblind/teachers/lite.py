"""EfficientNet-Lite as teacher: ImageNet-1k classifiers whose last maps tell objects apart."""

from typing import Any

import torch
from torch import Tensor

from unblind.teachers.base import Sizing, resize, tokens
from unblind.vla import lite


class LiteTeacher:
    """Feature map of an EfficientNet-Lite after one of its blocks."""

    def __init__(
        self, name: str, net: str, blocks: int, least: int, most: int, interpolate: bool
    ) -> None:
        """Load the net's weights.

        Args:
            name: the teacher's name.
            net: row of ``vla.lite.VARIANTS``.
            blocks: the number of blocks to run.
            least: smallest input side, pixels.
            most: largest input side, pixels.
            interpolate: meet other grids by interpolating features instead of refusing.

        Raises:
            UnblindError: the package of weights is missing or altered.
        """
        self.name, self._interpolate = name, interpolate
        self._net = lite.load_lite(net, blocks).requires_grad_(False)
        self.width = self._net.channels()
        self._sizing = Sizing(self._net.stride(), least, most)

    def features(self, images: Tensor, grid: int) -> Tensor:
        """Return (B, grid * grid, width) tokens; see :class:`unblind.teachers.base.Teacher`."""
        side = self._side(grid)
        with torch.no_grad():
            return tokens(self._net(resize(images, side)), grid)

    def describe(self, grid: int) -> dict[str, Any]:
        """Return name, network, weights' SHA-256, blocks, width and input side."""
        return {
            "teacher": self.name,
            "network": f"efficientnet-{self._net.name}",
            "sha256": lite.VARIANTS[self._net.name].sha256,
            "blocks": len(self._net.blocks),
            "width": self.width,
            "grid": grid,
            "input_size": self._side(grid),
            "interpolated": self._sizing.nearest(grid) != grid,
        }

    def _side(self, grid: int) -> int:
        fitting = self._sizing.nearest(grid) if self._interpolate else grid
        return self._sizing.side(fitting, self.name)
