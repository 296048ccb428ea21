"""Reading a published teacher from a folder in the hub's layout."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unblind import files, weights
from unblind.errors import UnblindError
from unblind.teachers.layouts import LAYOUTS, Layout
from unblind.teachers.networks import NETWORKS
from unblind.teachers.registry import Sizes, Vit

CONFIG = "config.json"
#: Key in the ``config.json`` of a tiny random twin; holds its sizes.
TWIN = "unblind_twin"
_LARGEST_CONFIG = 2**20  # bytes
_LARGEST_SIZE = 2**16
_NEAR = 4e-3  # half a step of bfloat16 near 1


@dataclass(frozen=True)
class Checkpoint:
    """What a folder held.

    Attributes:
        net: the network with its weights.
        sizes: of the network.
        twin: whether it is a tiny random twin.
        files: name -> SHA-256 of the files of weights.
    """

    net: nn.Module
    sizes: Sizes
    twin: bool
    files: dict[str, str]


def read(row: Vit, folder: Path, dtype: torch.dtype) -> Checkpoint:
    """Read a checkpoint strictly: every name is accounted for before a number is read.

    Args:
        row: the teacher, whose sizes the checkpoint must have, unless it is a twin.
        folder: of the checkpoint.
        dtype: of the network's weights.

    Raises:
        UnblindError: files are missing, damaged or pickles, or belong to another model; the first
            three differing names are given.
    """
    config = _config(folder)
    sizes = _sizes(config, row.sizes, folder)
    layout, paths = LAYOUTS[row.family], weights.files(folder)
    shapes, remedy = layout.shapes(sizes), _remedy(row.repo, config)
    weights.check(shapes, weights.shapes(paths), folder, remedy, unused=layout.is_unused)
    with torch.device("meta"):
        net = NETWORKS[row.family].build(sizes)
    _fill(net, layout, sizes, paths, dtype)
    return Checkpoint(net, sizes, TWIN in config, {path.name: files.sha256(path) for path in paths})


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise ValueError("too large")
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("no object")
    except (OSError, ValueError) as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else f"unreadable: {error}"
        raise UnblindError(f"{path} is {reason}", "fetch the checkpoint again") from None
    return config


def _sizes(config: Mapping[str, Any], published: Sizes, folder: Path) -> Sizes:
    """Return the sizes of a checkpoint: the published ones, or those that a twin states."""
    if TWIN not in config:
        _agree(config, published, folder)
        return published
    numbers = {field.name for field in fields(Sizes) if field.type is int}
    stated = config[TWIN]
    if (
        not isinstance(stated, dict)
        or set(stated) != numbers
        or not all(type(n) is int and 0 < n <= _LARGEST_SIZE for n in stated.values())
        or stated["width"] % stated["heads"]
    ):
        raise UnblindError(f"{folder / CONFIG}: {TWIN} states no sizes", "make the twin again")
    return replace(published, **stated)


def _agree(config: Mapping[str, Any], sizes: Sizes, folder: Path) -> None:
    """Compare sizes that a config.json states: the number of heads shows in no tensor."""
    stated = config.get("vision_config", config)
    for key, size in (
        ("hidden_size", sizes.width),
        ("num_hidden_layers", sizes.depth),
        ("num_attention_heads", sizes.heads),
        ("patch_size", sizes.patch),
    ):
        if isinstance(stated, dict) and stated.get(key, size) != size:
            raise UnblindError(
                f"{folder / CONFIG} states {key} {stated[key]}, the teacher has {size}",
                "name the folder of this teacher's checkpoint",
            )


def _remedy(repo: str, config: Mapping[str, Any]) -> str:
    remedy = f"use the files of {repo}, or the teacher that these files belong to"
    if "auto_map" in config:
        remedy += "; the code that its config.json asks for (auto_map) is never run"
    return remedy


def _fill(
    net: nn.Module, layout: Layout, sizes: Sizes, paths: list[Path], dtype: torch.dtype
) -> None:
    """Give a network without memory its weights, all of them and no others."""
    shapes = {key: tensor.shape for key, tensor in net.state_dict().items()}
    stored = dict(weights.tensors(paths, layout.shapes(sizes)))
    state: dict[str, Tensor] = {}
    for entry in layout.entries(sizes):
        joined = torch.cat([stored.pop(name) for name in entry.theirs])
        if entry.values and (joined.flatten() - torch.tensor(entry.values)).abs().max() > _NEAR:
            raise UnblindError(
                f"{paths[0].parent}: {entry.theirs[0]} is {joined.flatten().tolist()}, "
                f"not {list(entry.values)}",
                "fetch the checkpoint again",
            )
        for key, piece in zip(entry.ours, joined.chunk(max(len(entry.ours), 1)), strict=False):
            state[key] = piece.reshape(shapes[key]).to(dtype, copy=True)
    net.load_state_dict(state, strict=True, assign=True)
