"""EfficientNet-Lite as teacher: ImageNet-1k classifiers whose last maps tell objects apart."""

import torch
from torch import Tensor, nn

from unblind.teachers.registry import Lite
from unblind.teachers.teacher import Sizing, Teacher
from unblind.vla import lite

_LEAST, _MOST = 64, 512  # input side, pixels


def load(name: str, row: Lite, interpolate: bool, dtype: torch.dtype) -> Teacher:
    """Return the teacher of a row; see `loading.load_teacher`.

    Raises:
        UnblindError: the package of weights is missing or altered.
    """
    net = lite.load_lite(row.net, row.blocks).to(dtype)
    origin = {
        "network": f"efficientnet-{row.net}",
        "sha256": lite.VARIANTS[row.net].sha256,
        "blocks": len(net.blocks),
    }
    sizing = Sizing(net.stride(), _LEAST, _MOST)
    return Teacher(name, net, _maps, net.channels(), sizing, origin, interpolate)


def _maps(net: nn.Module, pixels: Tensor, grid: int) -> Tensor:
    return net(pixels.to(next(net.parameters()).dtype))
