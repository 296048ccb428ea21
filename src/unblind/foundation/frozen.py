"""A published vision transformer as a frozen teacher."""

from typing import Any

import torch
from torch import Tensor, nn

from unblind.foundation.layouts import Sizes
from unblind.foundation.networks import NETWORKS
from unblind.teachers.base import Sizing, resize, tokens

#: The student's grid at paper scale: OpenVLA's 16 x 16 visual tokens.
GRID = 16


class FrozenTeacher(nn.Module):
    """Final patch tokens of a vision transformer: no gradient, never in training mode.

    A module, so that it moves with ``.to(device)``; see `unblind.teachers.base.Teacher`.

    Attributes:
        name: row of `unblind.foundation.table.ROWS`.
        width: of its tokens.
        net: the network, in its own precision.
    """

    def __init__(
        self,
        name: str,
        family: str,
        sizes: Sizes,
        net: nn.Module,
        origin: dict[str, Any],
        interpolate: bool = False,
    ) -> None:
        """Freeze a network.

        Args:
            name: row of `unblind.foundation.table.ROWS`.
            family: key of `networks.NETWORKS`.
            sizes: of the network.
            net: the network itself, with weights.
            origin: where the weights came from, for `describe`.
            interpolate: meet other grids by interpolating its tokens instead of refusing.
        """
        super().__init__()
        self.name, self.width = name, sizes.width
        self.net = net.requires_grad_(False)
        self._network = NETWORKS[family]
        # Up to the stored positions, and to the student's grid: Theia's 14 x 14 are stretched to
        # it, as in the released script.
        most = max(sizes.positions, GRID) * sizes.patch
        self._sizing = Sizing(sizes.patch, sizes.patch, most)
        self._origin, self._interpolate = origin, interpolate
        self.train(False)

    def train(self, mode: bool = True) -> "FrozenTeacher":
        """Stay in evaluation mode, whatever mode is asked for."""
        return super().train(False)

    def features(self, images: Tensor, grid: int) -> Tensor:
        """Return (B, grid * grid, width) float32 tokens, row by row, without gradient.

        Args:
            images: (B, 3, H, W), RGB in [0, 1], any size; normalised here and nowhere else.
            grid: tokens a side.

        Raises:
            UnblindError: the teacher cannot give this grid.
        """
        own = self._sizing.nearest(grid) if self._interpolate else grid
        side = self._sizing.side(own, self.name)
        weight = next(self.net.parameters())
        # The caller's autocast must not decide the precision of the targets.
        with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
            pixels = resize(images.to(weight.device, torch.float32), side)
            mean, deviation = (
                pixels.new_tensor(values).view(1, 3, 1, 1)
                for values in (self._network.mean, self._network.deviation)
            )
            normal = (pixels - mean) / deviation
            found = self._network.tokens(self.net, normal.to(weight.dtype), own).float()
            if own != grid:
                found = tokens(found.transpose(1, 2).unflatten(2, (own, own)), grid)
        return found

    def describe(self, grid: int) -> dict[str, Any]:
        """Return name, origin and hashes of the weights, width, grid and input side."""
        own = self._sizing.nearest(grid) if self._interpolate else grid
        return {
            "teacher": self.name,
            **self._origin,
            "width": self.width,
            "grid": grid,
            "input_size": self._sizing.side(own, self.name),
            "interpolated": own != grid,
        }
