"""A model's weights by OpenVLA's names: read strictly, into a model that had no memory before.

OpenVLA-7B has 982 tensors with 7,541,237,184 weights. One part of their names differs from ours,
which are timm's: LayerScale is ``scale_factor`` there and ``gamma`` here.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from unblind import weights
from unblind.errors import UnblindError
from unblind.vla.prismatic import Prismatic, PrismaticConfig

_OURS, _PUBLISHED = ".gamma", ".scale_factor"


def check_device(device: str) -> torch.device:
    """Return a device that can be used.

    Raises:
        UnblindError: it is no device, or this machine has none of its kind.
    """
    try:
        usable = torch.device(device)
        if usable.type not in ("cpu", "cuda"):
            raise RuntimeError("not supported")
        torch.empty(1, device=usable)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UnblindError(f"cannot use device '{device}': {reason}", "use cpu or cuda") from None
    return usable


def blank(sizes: PrismaticConfig) -> Prismatic:
    """Return a model without memory for its weights (on torch's meta device)."""
    with torch.device("meta"):
        return Prismatic(sizes).eval().requires_grad_(False)


def rename(name: str) -> str:
    """Return our name of one of OpenVLA's weights."""
    return name.replace(_PUBLISHED, _OURS)


def published_name(name: str) -> str:
    """Return OpenVLA's name of one of our weights (the inverse of `rename`)."""
    return name.replace(_OURS, _PUBLISHED)


def shapes(model: Prismatic) -> dict[str, weights.Shape]:
    """Return the published names of a model's weights with their shapes."""
    return {published_name(name): tuple(t.shape) for name, t in model.state_dict().items()}


def published(model: Prismatic, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return a model's weights as they are stored: OpenVLA's names, rounded to ``dtype``."""
    state = model.state_dict()
    return {published_name(name): t.detach().to("cpu", dtype) for name, t in state.items()}


def load_weights(
    model: Prismatic, paths: list[Path], device: torch.device | str, dtype: torch.dtype
) -> None:
    """Fill a :func:`blank` model with the weights of files, all of them and no others.

    Names and shapes are compared before any weight is read.

    Args:
        model: gets new tensors in the place of its own.
        paths: from `weights.files`.
        device: where the model shall lie; files are read tensor by tensor.
        dtype: of its weights.

    Raises:
        UnblindError: a file is truncated, names or shapes differ (the first three are named), or
            a tensor is not finite.
    """
    wanted, present = shapes(model), weights.shapes(paths)
    where = paths[0] if len(paths) == 1 else paths[0].parent
    weights.check(wanted, present, where, _remedy(model.config, wanted, present))
    state = {
        rename(name): tensor.to(device, dtype, copy=True) for name, tensor in weights.tensors(paths)
    }
    model.load_state_dict(state, strict=True, assign=True)
    restore_rotations(model, device)


def restore_rotations(model: Prismatic, device: torch.device | str) -> None:
    """Compute the decoder's rotary frequencies, which no checkpoint holds."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    decoder = model.language_model
    decoder.model.rotary_emb = LlamaRotaryEmbedding(decoder.config).to(device)


def _remedy(
    sizes: PrismaticConfig,
    wanted: Mapping[str, weights.Shape],
    present: Mapping[str, weights.Shape],
) -> str:
    """Return what to do about differences, by the part of the model in which they are."""
    differing = [name for name in {**wanted, **present} if wanted.get(name) != present.get(name)]
    if any(name.endswith(("embed_tokens.weight", "lm_head.weight")) for name in differing):
        whose = "Llama-2's" if sizes.padded else "its tokenizer's"
        return f"use a checkpoint with {whose} vocabulary, padded to {sizes.vocab_size} ids"
    if any(name.startswith("vision_backbone.") for name in differing):
        return "use a checkpoint with the vision towers that its config.json names"
    return "fetch the checkpoint again, or use the config.json that belongs to it"
