"""The model that methods start from: mini's own base, or a published checkpoint with its record.

Published weights of 15 GB stay where they were fetched or written. ``base.json`` holds the
checksums of their files and stands for them as an input of trainings and evaluations; adapters
name it as their base.
"""

from pathlib import Path
from typing import Any

import torch

from unblind import fetched, weights
from unblind.config import Config
from unblind.study import jobs
from unblind.vla import checkpoint, hub_config, loading
from unblind.vla.checkpoint import Checkpoint

_REMEDY = "run: unblind base fetch, or with rebuild_base: unblind base warm-up"


def folder(config: Config) -> Path:
    """Return the folder of the model that methods start from; a published one is fetched.

    Raises:
        UnblindError: a published one is not there, or is not what its record says.
    """
    record, source = jobs.record(config), config.base.source
    if record is None or source is None:
        return jobs.base_folder(config)
    place = jobs.rebuilt(config) if config.rebuild_base else checkpoint.place(source)
    check(place, record)
    return place


def load(config: Config, folder: Path, record: Path | None, device: torch.device) -> Checkpoint:
    """Return a model in the configured precision.

    Args:
        config: the whole configuration.
        folder: of the model.
        record: of a published one; None: the file of weights stands for itself.
        device: where it shall lie.

    Raises:
        UnblindError: see `checkpoint.load`.
    """
    return checkpoint.load(folder, device, getattr(torch, config.training.precision), record)


def describe(folder: Path) -> dict[str, Any]:
    """Return the record of a checkpoint after comparing its tensors with the model's.

    Raises:
        UnblindError: it is no OpenVLA, or a file is missing or damaged.
    """
    paths = weights.files(folder)
    shapes = weights.shapes(paths)
    own = loading.shapes(loading.blank(hub_config.read(folder).model))
    weights.check(own, shapes, folder, "fetch the checkpoint again")
    small = [folder / name for name in checkpoint.SMALL_FILES if (folder / name).is_file()]
    return {
        "tensors": len(shapes),
        "files": fetched.described((*paths, *small)),
    }


def check(folder: Path, record: Path) -> None:
    """Check that a folder holds the files of a record (`unblind.fetched.check`)."""
    fetched.check(folder, record, _REMEDY)
