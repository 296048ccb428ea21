"""A published vision transformer as teacher: its final patch tokens."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unblind import hub, weights
from unblind.errors import UnblindError
from unblind.teachers import reading, registry
from unblind.teachers.networks import NETWORKS, Network
from unblind.teachers.registry import Vit
from unblind.teachers.teacher import Sizing, Teacher

#: The student's grid at paper scale: OpenVLA's 16 x 16 visual tokens.
GRID = 16
#: What is fetched of a repository.
PATTERNS = (reading.CONFIG, *weights.PATTERNS)


def load(name: str, row: Vit, source: str, interpolate: bool, dtype: torch.dtype) -> Teacher:
    """Return the teacher of a row; see `loading.load_teacher`.

    Raises:
        UnblindError: its files cannot be had, are pickles or damaged, or belong to another model;
            the first three differing names are given.
    """
    checkpoint = reading.read(row, fetch(name, source), dtype)
    origin = {
        "network": row.repo,
        "source": source or f"{row.repo}@{row.revision}",
        "twin": checkpoint.twin,
        "precision": str(dtype).removeprefix("torch."),
        "files": checkpoint.files,
    }
    row = replace(row, sizes=checkpoint.sizes)
    return frozen(name, row, checkpoint.net, origin, interpolate)


def fetch(name: str, source: str = "") -> Path:
    """Return the folder of a teacher's files, which are fetched where they are missing.

    Args:
        name: a vision transformer of `registry.TEACHERS`.
        source: see `loading.load_teacher`.

    Raises:
        UnblindError: its files cannot be had, or no commit is known that could be fetched.
    """
    row = registry.row(name)
    if not source and not row.revision:
        raise UnblindError(
            f"no commit of {row.repo} is pinned for the teacher {name!r}",
            f"name a folder with its files, or {row.repo}@commit",
        )
    return hub.place(source or f"{row.repo}@{row.revision}", PATTERNS)


def frozen(
    name: str, row: Vit, net: nn.Module, origin: Mapping[str, Any], interpolate: bool = False
) -> Teacher:
    """Return a network of a row's family and sizes as a teacher; see `Teacher`."""
    sizes = row.sizes
    # Up to the stored positions, and to the student's grid: Theia's 14 x 14 are stretched to it,
    # as in the released script.
    sizing = Sizing(sizes.patch, sizes.patch, max(sizes.positions, GRID) * sizes.patch)
    maps = partial(_maps, NETWORKS[row.family])
    return Teacher(name, net, maps, sizes.width, sizing, origin, interpolate)


def random_teacher(name: str, device: str, dtype: torch.dtype, seed: int) -> Teacher:
    """Return a teacher of the published sizes with random weights, made on the device.

    For measuring speed and memory where the weights are not at hand; the features mean nothing.

    Args:
        name: a vision transformer of `registry.TEACHERS`.
        device: where it is made and runs.
        dtype: of its weights.
        seed: of the weights.

    Raises:
        UnblindError: there is no such teacher.
    """
    row = registry.row(name)
    with torch.device("meta"):
        net = NETWORKS[row.family].build(row.sizes).to(dtype)
    net.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    for tensor in net.parameters():
        tensor.data.normal_(0, 0.02, generator=generator)
    return frozen(name, row, net, {"network": row.repo, "random_seed": seed})


def _maps(network: Network, net: nn.Module, pixels: Tensor, grid: int) -> Tensor:
    mean, deviation = (
        pixels.new_tensor(colors).view(1, 3, 1, 1) for colors in (network.mean, network.deviation)
    )
    normal = ((pixels - mean) / deviation).to(next(net.parameters()).dtype)
    return network.tokens(net, normal, grid).transpose(1, 2).unflatten(2, (grid, grid))
