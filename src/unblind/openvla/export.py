"""Writing checkpoints as the hub holds them: sharded bfloat16 safetensors with OpenVLA's names."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from unblind import files, weights
from unblind.openvla.checkpoint import SMALL_FILES, OpenVla, published_name
from unblind.vla.prismatic import Prismatic

_SHARD_BYTES = 5 * 10**9


def save(folder: Path, loaded: OpenVla, shard_bytes: int = _SHARD_BYTES) -> None:
    """Write a model, for example with merged adapters, beside copies of its small files.

    The index of the weights is written last: a folder without it is not complete.

    Args:
        folder: is created.
        loaded: its model's weights are rounded to bfloat16.
        shard_bytes: largest size of one file of weights.

    Raises:
        UnblindError: the folder cannot be written.
    """
    folder = Path(folder)
    for name in SMALL_FILES:
        if (loaded.folder / name).is_file():
            with files.atomic_path(folder / name) as temporary:
                shutil.copyfile(loaded.folder / name, temporary)
    save_weights(folder, published(loaded.model), shard_bytes)


def published(model: Prismatic) -> dict[str, Tensor]:
    """Return a model's weights as they are published: OpenVLA's names, bfloat16."""
    return {
        published_name(name): tensor.detach().to("cpu", torch.bfloat16)
        for name, tensor in model.state_dict().items()
    }


def save_weights(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> None:
    """Write shards and, last, their index.

    Raises:
        UnblindError: the folder cannot be written.
    """
    from huggingface_hub import split_torch_state_dict_into_shards

    split = split_torch_state_dict_into_shards(dict(tensors), max_shard_size=shard_bytes)
    for name, members in split.filename_to_tensors.items():
        shard = {member: tensors[member] for member in members}
        weights.save(folder / name, shard, weights.TORCH)
    if split.is_sharded:
        table = dict(sorted(split.tensor_to_filename.items()))
        files.write_json(folder / weights.INDEX, {"metadata": split.metadata, "weight_map": table})
