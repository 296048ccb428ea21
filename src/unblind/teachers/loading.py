"""Loading of any teacher by its name."""

import torch

from unblind.errors import UnblindError
from unblind.teachers import contrastive, lite, registry, vit
from unblind.teachers.teacher import Teacher


def load_teacher(
    name: str,
    source: str = "",
    *,
    interpolate: bool = False,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Teacher:
    """Return a teacher with its pretrained weights.

    Args:
        name: key of `registry.TEACHERS`.
        source: of a vision transformer's weights: a folder in the hub's layout, or
            ``owner/name@commit``; empty: those of its row. Of a teacher that is trained in the
            study: its folder.
        interpolate: meet a grid that the teacher cannot give by interpolating its features.
        device: where it runs.
        dtype: of its weights and its arithmetic (the release: bfloat16).

    Raises:
        UnblindError: there is no such teacher, its weights cannot be had, are pickles or altered,
            or belong to another model; the first three differing names are given.
    """
    row = registry.row(name)
    if isinstance(row, registry.Vit):
        teacher = vit.load(name, row, source, interpolate, dtype)
    elif isinstance(row, registry.Own):
        teacher = contrastive.load(name, source, interpolate, dtype)
    elif source:
        raise UnblindError(
            f"the weights of the teacher {name!r} come as a package, not from {source}",
            "name no other source",
        )
    else:
        teacher = lite.load(name, row, interpolate, dtype)
    return teacher.to(device)
