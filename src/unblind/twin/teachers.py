"""Tiny random twins of the paper's teachers, in the layout of the Hugging Face hub.

A twin holds every tensor of the published file by its own name, those that the features do not
need too (Theia: one of its translating heads), and a ``config.json`` as the hub's, in which the
key `reading.TWIN` states the tiny sizes. So a twin is read by the same code as the real thing,
and can never pass for it.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from unblind import files, weights
from unblind.teachers import reading
from unblind.teachers.layouts import LAYOUTS
from unblind.teachers.registry import TEACHERS, Sizes
from unblind.twin.weights import random_tensors
from unblind.weights import Shape

_TINY = {"width": 32, "depth": 2, "heads": 2, "hidden": 48}
_MOST_POSITIONS = 37  # a side; RADIO's own 128 would make the twin large
_VOCABULARY = 64


def make(name: str, folder: Path, seed: int) -> None:
    """Write the twin of a teacher.

    Args:
        name: a vision transformer of `unblind.teachers.registry.TEACHERS`.
        folder: is created; gets ``config.json`` and ``model.safetensors``.
        seed: of the weights; the same seed gives the same bytes.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    row = TEACHERS[name]
    positions = min(row.sizes.positions, _MOST_POSITIONS)
    sizes = replace(row.sizes, **_TINY, positions=positions)
    layout = LAYOUTS[row.family]
    extra, config = _FAMILIES[row.family]
    tensors = random_tensors(layout.shapes(sizes) | extra(sizes), seed)
    for entry in layout.entries(sizes):
        if entry.values:
            tensors[entry.theirs[0]] = torch.tensor(entry.values).view(entry.shape)
    if row.family == "radio":
        tensors["radio_model.summary_idxs"] = torch.arange(3)
    stated = {key: n for key, n in asdict(sizes).items() if type(n) is int}
    files.write_json(folder / reading.CONFIG, config(sizes) | {reading.TWIN: stated})
    weights.save(folder / weights.SINGLE, tensors, weights.TORCH)


def _radio_extra(sizes: Sizes) -> dict[str, Shape]:
    # The plain network that C-RADIOv3-L grew from has registers of its own; that of H has none.
    return {"radio_model.model.reg_token": (1, 4, sizes.width)} if sizes.scaled else {}


def _radio_config(sizes: Sizes) -> dict[str, Any]:
    return {
        "architectures": ["RADIOModel"],
        "auto_map": {"AutoConfig": "hf_model.RADIOConfig", "AutoModel": "hf_model.RADIOModel"},
        "patch_size": sizes.patch,
        "max_resolution": sizes.patch * sizes.positions,
    }


def _dino_extra(sizes: Sizes) -> dict[str, Shape]:
    return {"embeddings.mask_token": (1, sizes.width)}


def _dino_config(sizes: Sizes) -> dict[str, Any]:
    return {
        "architectures": ["Dinov2Model"],
        "model_type": "dinov2",
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.depth,
        "num_attention_heads": sizes.heads,
        "patch_size": sizes.patch,
        "image_size": sizes.patch * sizes.positions,
        "use_swiglu_ffn": sizes.gated,
    }


def _siglip_extra(sizes: Sizes) -> dict[str, Shape]:
    """Return the text tower, the pooling head and the two numbers of the sigmoid loss."""
    width, head = sizes.width, "vision_model.head."
    shapes: dict[str, Shape] = {
        "logit_scale": (1,),
        "logit_bias": (1,),
        head + "probe": (1, 1, width),
        head + "attention.in_proj_weight": (3 * width, width),
        head + "attention.in_proj_bias": (3 * width,),
        "text_model.embeddings.token_embedding.weight": (_VOCABULARY, width),
        "text_model.embeddings.position_embedding.weight": (16, width),
    }
    shapes |= _linear(head + "attention.out_proj", width, width) | _norm(head + "layernorm", width)
    shapes |= _mlp(head, sizes) | _norm("text_model.final_layer_norm", width)
    shapes |= _linear("text_model.head", width, width)
    for index in range(sizes.depth):
        block = f"text_model.encoder.layers.{index}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{block}self_attn.{part}", width, width)
        shapes |= _norm(block + "layer_norm1", width) | _norm(block + "layer_norm2", width)
        shapes |= _mlp(block, sizes)
    return shapes


def _siglip_config(sizes: Sizes) -> dict[str, Any]:
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.depth,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.hidden,
        "patch_size": sizes.patch,
        "image_size": sizes.patch * sizes.positions,
    }
    return {"architectures": ["SiglipModel"], "model_type": "siglip", "vision_config": vision}


def _theia_extra(sizes: Sizes) -> dict[str, Shape]:
    """Return the head that translates into DINOv2's tokens (its widths are free in a twin)."""
    width, head = sizes.width, "translator.translator_heads.facebook/dinov2-large."
    shapes: dict[str, Shape] = {}
    for part in ("pad.1", "adapter.1", "adapter.4"):
        shapes |= {f"{head}{part}.weight": (width, width, 3, 3), f"{head}{part}.bias": (width,)}
    for part in ("adapter.0", "adapter.3", "adapter.6"):
        shapes |= {f"{head}{part}.{kind}": (width, 16, 16) for kind in ("weight", "bias")}
    return shapes | _linear(head + "adapter.8", 2 * width, width)


def _theia_config(sizes: Sizes) -> dict[str, Any]:
    return {
        "architectures": ["TheiaModel"],
        "auto_map": {
            "AutoConfig": "configuration_theia.TheiaConfig",
            "AutoModel": "modeling_theia.TheiaModel",
        },
        "backbone": "facebook/deit-base-patch16-224",
        "image_size": sizes.patch * sizes.positions,
    }


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, outputs: int, inputs: int) -> dict[str, Shape]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _mlp(prefix: str, sizes: Sizes) -> dict[str, Shape]:
    first = _linear(prefix + "mlp.fc1", sizes.hidden, sizes.width)
    return first | _linear(prefix + "mlp.fc2", sizes.width, sizes.hidden)


_Extra, _Config = Callable[[Sizes], dict[str, Shape]], Callable[[Sizes], dict[str, Any]]
_FAMILIES: dict[str, tuple[_Extra, _Config]] = {
    "radio": (_radio_extra, _radio_config),
    "dino": (_dino_extra, _dino_config),
    "siglip": (_siglip_extra, _siglip_config),
    "theia": (_theia_extra, _theia_config),
}

TEACHER_TWINS: dict[str, Callable[[Path, int], None]] = {
    kind: partial(make, name)
    for kind, name in (
        ("radio", "c-radiov3-l"),
        ("dinov2", "dinov2-large"),
        ("siglip", "siglip-so400m"),
        ("theia", "theia-base-cddsv"),
    )
}
"""Kind, as the command line names it -> function (folder, seed) that writes the twin."""
