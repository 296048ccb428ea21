"""EfficientNet-Lite as teacher: ImageNet-1k classifiers whose last maps tell objects apart."""

import torch
from torch import Tensor, nn

from unblind.teachers.registry import Lite
from unblind.teachers.teacher import Sizing, Teacher
from unblind.vla import lite

_LEAST, _MOST = 64, 512  # input side, pixels
_SEED = 0


def load(name: str, row: Lite, interpolate: bool, dtype: torch.dtype) -> Teacher:
    """Return the teacher of a row; see `loading.load_teacher`.

    Raises:
        UnblindError: the package of weights is missing or altered.
    """
    net = (_untrained(row) if row.random else lite.load_lite(row.net, row.blocks)).to(dtype)
    weights = {"seed": _SEED} if row.random else {"sha256": lite.VARIANTS[row.net].sha256}
    origin = {"network": f"efficientnet-{row.net}", **weights, "blocks": len(net.blocks)}
    sizing = Sizing(net.stride(), _LEAST, _MOST)
    return Teacher(name, net, _maps, net.channels(), sizing, origin, interpolate)


def _untrained(row: Lite) -> lite.LiteNet:
    """Return a net with random weights that keep the size of its maps (He et al. 2015)."""
    net = lite.LiteNet(row.net, row.blocks)
    generator = torch.Generator().manual_seed(_SEED)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)
    return net.to(memory_format=torch.channels_last).eval()


def _maps(net: nn.Module, pixels: Tensor, grid: int) -> Tensor:
    return net(pixels.to(next(net.parameters()).dtype))
