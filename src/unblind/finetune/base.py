"""The record of a published checkpoint: what it holds, by checksum, without saying where it lies.

Weights of 15 GB stay where they were fetched or written; ``base.json`` stands for them as an
input of trainings and evaluations, and adapters name it as their base.
"""

import json
from pathlib import Path
from typing import Any

import torch

from unblind import files, places, weights
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.vla import checkpoint, hub_config, loading
from unblind.vla.checkpoint import Checkpoint

_REMEDY = "run: unblind base fetch, or with rebuild_base: unblind base warm-up"


def published(config: Config) -> Path:
    """Return the folder of the checkpoint that the configuration names, fetched if need be.

    Raises:
        UnblindError: see `checkpoint.place`.
    """
    return checkpoint.place(config.openvla.base)


def folder(config: Config) -> Path:
    """Return the folder of the checkpoint that methods start from.

    Raises:
        UnblindError: it is not there, or is not what its record says.
    """
    place = places.rebuilt(config) if config.rebuild_base else published(config)
    check(place, places.openvla_base(config))
    return place


def load(config: Config, folder: Path, device: torch.device | str) -> Checkpoint:
    """Return a checkpoint in the configured precision.

    Raises:
        UnblindError: there is no such device, or see `checkpoint.load`.
    """
    chosen = loading.check_device(str(device))
    if chosen.type == "cpu":
        torch.set_num_threads(1)
    precision, record = getattr(torch, config.openvla.precision), places.openvla_base(config)
    return checkpoint.load(folder, chosen, precision, record)


def describe(folder: Path) -> dict[str, Any]:
    """Return the record of a checkpoint after comparing its tensors with the model's.

    Raises:
        UnblindError: it is no OpenVLA, or a file is missing or damaged.
    """
    paths = weights.files(folder)
    found = weights.shapes(paths)
    wanted = loading.shapes(loading.blank(hub_config.read(folder).model))
    weights.check(wanted, found, folder, "fetch the checkpoint again")
    small = [folder / name for name in checkpoint.SMALL_FILES if (folder / name).is_file()]
    return {
        "tensors": len(found),
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
            for path in (*paths, *small)
        },
    }


def check(folder: Path, record: Path) -> None:
    """Check that a folder holds the files of a record, by their sizes.

    Raises:
        UnblindError: the record is missing or unreadable, or a file differs.
    """
    try:
        wanted = json.loads(Path(record).read_text(encoding="utf-8"))["files"]
        sizes = {name: int(entry["bytes"]) for name, entry in wanted.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UnblindError(f"{record} is missing or unreadable", _REMEDY) from None
    for name, size in sizes.items():
        path = Path(folder) / Path(name).name
        if not path.is_file() or path.stat().st_size != size:
            raise UnblindError(f"{path} is not what {record} says", _REMEDY)
