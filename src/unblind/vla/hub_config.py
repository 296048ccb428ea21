"""What the ``config.json`` of a published checkpoint says, and what is supported of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.errors import UnblindError
from unblind.vla import documents, towers
from unblind.vla.prismatic import PrismaticConfig
from unblind.vla.text import BOS

FILE = "config.json"
#: Sizes of Llama-2-7B, which OpenVLA's file does not repeat; the norms' epsilon is that of
#: transformers' LlamaConfig and not Llama-2's own 1e-5, since the file does not name it either.
LLAMA: Mapping[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 2048,
}
_REMEDY = "use a checkpoint in the layout of openvla/openvla-7b; code of a repository is never run"
_KINDS = ("openvla", "prismatic")
#: Classes of the repository's own code that are replaced by ours. A file that names any other
#: class describes a model which only that code can build.
_REPLACED = {
    "configuration_prismatic.OpenVLAConfig",
    "configuration_prismatic.PrismaticConfig",
    "modeling_prismatic.OpenVLAForActionPrediction",
    "modeling_prismatic.PrismaticForConditionalGeneration",
    "processing_prismatic.PrismaticImageProcessor",
    "processing_prismatic.PrismaticProcessor",
}
#: What other values would mean another computation.
_FIXED: Mapping[str, Any] = {
    "quantization_config": None,
    "image_resize_strategy": "resize-naive",
    "pad_to_multiple_of": 64,
    "n_action_bins": 256,
}
_FIXED_LLAMA: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
}
_LARGEST, _MOST_LAYERS = 2**20, 256  # no size of a real model is beyond
#: Names of our towers by timm's.
_TOWERS = {row.timm: name for name, row in towers.TOWERS.items() if row.timm}
#: Key of a twin's file: sizes of each tower. A real checkpoint's towers have timm's sizes.
TWIN_SIZES = "timm_sizes"


@dataclass(frozen=True)
class HubConfig:
    """A checkpoint's configuration.

    Attributes:
        kind: ``openvla`` (acts) or ``prismatic`` (answers questions).
        model: sizes of the model.
        pad: id of the padding token.
        statistics: ``norm_stats``, action statistics by name of data set; may be empty.
    """

    kind: str
    model: PrismaticConfig
    pad: int
    statistics: Mapping[str, Any]


def read(folder: Path) -> HubConfig:
    """Return the configuration of a checkpoint.

    Raises:
        UnblindError: the file is missing or unreadable, the checkpoint wants code of its
            repository, or it is another model: the first three differing keys are named.
    """
    path = Path(folder) / FILE
    return parse(path, documents.read(path))


def parse(path: Path, values: Mapping[str, Any]) -> HubConfig:
    """Return the configuration that the content of a file describes; see :func:`read`."""
    _refuse_remote_code(path, values)
    try:
        problems = list(_differences(values))
        config = None if problems else _config(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problems = [f"it is unreadable ({error!r})"]
    documents.refuse(path, problems, _REMEDY)
    return config


def _refuse_remote_code(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse a model that only its repository's code can build."""
    wanted = values.get("auto_map") or {}
    table = wanted if isinstance(wanted, dict) else {"auto_map": wanted}
    # transformers puts "owner/name--" before a class when it saves.
    names = [str(name).rpartition("--")[2] for name in table.values()]
    if table and not (values.get("model_type") in _KINDS and _REPLACED.issuperset(names)):
        keys = "; ".join(f"{key}: {name}" for key, name in list(table.items())[:3])
        raise UnblindError(f"{path} wants code of its repository ({keys})", _REMEDY)


def _differences(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield keys whose values are not supported."""
    if values.get("model_type") not in _KINDS:
        yield f"model_type is {values.get('model_type')!r}, not one of {', '.join(_KINDS)}"
    models = values.get("timm_model_ids") or []
    for number, name in enumerate(models):
        if name not in _TOWERS:
            yield f"timm_model_ids[{number}] is {name!r}, not one of {', '.join(_TOWERS)}"
    if len(models) not in (1, 2) or bool(values.get("use_fused_vision_backbone")) != (
        len(models) == 2
    ):
        fused = values.get("use_fused_vision_backbone")
        yield f"use_fused_vision_backbone is {fused} with {len(models)} timm_model_ids"
    sizes = values.get("image_sizes") or []
    if len(sizes) != len(models) or len(set(sizes)) > 1:
        yield f"image_sizes is {sizes}"
    if any(values.get("timm_override_act_layers") or []):
        yield f"timm_override_act_layers is {values['timm_override_act_layers']}"
    for key, wanted in _FIXED.items():
        if values.get(key, wanted) != wanted:
            yield f"{key} is {values[key]!r}, not {wanted!r}"
    yield from _llama_differences(values.get("text_config") or {})


def _llama_differences(text: Mapping[str, Any]) -> Iterator[str]:
    for key, wanted in _FIXED_LLAMA.items():
        if text.get(key, wanted) != wanted:
            yield f"text_config.{key} is {text[key]!r}, not {wanted!r}"
    heads = text.get("num_attention_heads", LLAMA["num_attention_heads"])
    if text.get("num_key_value_heads", heads) != heads:
        yield f"text_config.num_key_value_heads is {text['num_key_value_heads']}, not {heads}"
    rope = text.get("rope_parameters") or {}  # where transformers 5 has saved the file
    if rope.get("rope_theta", _FIXED_LLAMA["rope_theta"]) != _FIXED_LLAMA["rope_theta"]:
        yield f"text_config.rope_parameters.rope_theta is {rope['rope_theta']}"
    if rope.get("rope_type", "default") != "default":
        yield f"text_config.rope_parameters.rope_type is {rope['rope_type']!r}"
    for key in ("vocab_size", *LLAMA):
        value = text.get(key, LLAMA.get(key))
        largest = _MOST_LAYERS if key == "num_hidden_layers" else _LARGEST
        if not isinstance(value, (int, float)) or not 0 < value <= largest:
            yield f"text_config.{key} is {value!r}"


def _config(values: Mapping[str, Any]) -> HubConfig:
    models, side = values["timm_model_ids"], int(values["image_sizes"][0])
    sizes = values.get(TWIN_SIZES) or [{} for _ in models]
    names = tuple(
        towers.sized(_TOWERS[name], _tower_sizes(own))
        for name, own in zip(models, sizes, strict=True)
    )
    text = {**LLAMA, **values["text_config"]}
    hidden = text["hidden_size"]
    width = sum(towers.tower(name).width for name in names)
    model = PrismaticConfig(
        towers=names,
        image_size=side,
        frozen_blocks=0,
        projector_width=4 * width if len(models) == 2 else hidden,
        hidden_size=hidden,
        layers=text["num_hidden_layers"],
        heads=text["num_attention_heads"],
        intermediate_size=text["intermediate_size"],
        vocab_size=text["vocab_size"],
        padded=_FIXED["pad_to_multiple_of"],
        bos=BOS,
        position_scale=0.0,
        rms_norm_eps=float(text["rms_norm_eps"]),
        max_positions=text["max_position_embeddings"],
    )
    model = PrismaticConfig.from_json(json.dumps(model.to_json()))  # checks kinds and divisibility
    pad = values.get("pad_token_id", text["vocab_size"] - model.padded)
    return HubConfig(values["model_type"], model, int(pad), values.get("norm_stats") or {})


def _tower_sizes(own: Mapping[str, Any]) -> dict[str, int]:
    """Return a twin's sizes; anything else in their place is no twin of ours."""
    if not set(own) <= set(towers.SIZES):
        raise ValueError(f"{TWIN_SIZES} names {', '.join(sorted(own))}")
    sizes = {key: int(value) for key, value in own.items()}
    if not all(0 < value <= _LARGEST for value in sizes.values()):
        raise ValueError(f"{TWIN_SIZES} is {sizes}")
    return sizes
