"""A tower that the study trains itself as teacher: what it makes of a picture, before any word."""

from pathlib import Path

import torch
from torch import Tensor, nn

from unblind import files
from unblind.errors import UnblindError
from unblind.teachers.teacher import Sizing, Teacher
from unblind.vla import checkpoint
from unblind.vla.towers import tower

_LEAST, _MOST = 64, 512  # input side, pixels


def load(name: str, source: str, interpolate: bool, dtype: torch.dtype) -> Teacher:
    """Return the tower of a checkpoint as a teacher; see `loading.load_teacher`.

    Args:
        name: key of `registry.TEACHERS`.
        source: folder of the checkpoint (`unblind.training.tower`).
        interpolate: see `teacher.Teacher`.
        dtype: of its weights and its arithmetic.

    Raises:
        UnblindError: no folder is named, or a file is missing or damaged.
    """
    if not source:
        raise UnblindError(
            f"the teacher {name!r} is trained in a study, and no folder of it is named",
            "run: unblind contrastive",
        )
    model = checkpoint.load(source, dtype=dtype).model
    sizes, (weights,) = model.config, Path(source).glob("*.safetensors")
    origin = {"network": "+".join(sizes.towers), "sha256": files.sha256(weights)}
    sizing = Sizing(tower(sizes.towers[0]).stride, _LEAST, _MOST)
    net = model.vision_backbone
    return Teacher(name, net, _maps, sizes.widths[0], sizing, origin, interpolate)


def _maps(net: nn.Module, pixels: Tensor, grid: int) -> Tensor:
    low = net.low(pixels.to(next(net.parameters()).dtype))
    return net(low).transpose(1, 2).unflatten(2, (grid, grid))
