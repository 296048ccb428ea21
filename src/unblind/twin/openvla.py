"""Twins of OpenVLA-7B, of the Prismatic VLM behind it, and of a published LoRA adapter.

The twin of OpenVLA has all 982 tensors under their names: as many blocks as the real one, each a
few channels wide.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from unblind import files, weights
from unblind.twin import tokenizer
from unblind.twin.weights import random_tensors
from unblind.vla import checkpoint, hub_config, loading, lora, pixels, random, text
from unblind.vla.hub_config import HubConfig
from unblind.vla.lora import ALPHA, RANK, target_modules

_TIMM = ("vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224")
#: Depths of the real towers; widths of the twin's.
_SIZES = (
    {"embed_dim": 32, "depth": 24, "num_heads": 2},
    {"embed_dim": 24, "depth": 27, "num_heads": 2},
)
_LLAMA = {
    "model_type": "llama",
    "pad_token_id": 32000,
    "torch_dtype": "bfloat16",
    "vocab_size": 32064,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
}
_SIDE = 224
_SHARD_BYTES = 4 * 2**20  # three files, as OpenVLA's weights are in several
#: Per tower: mean and deviation of R, G, B; ImageNet's in bfloat16, as the hub's file has them.
_NORMALIZATION = (
    {"mean": [0.484375, 0.455078125, 0.40625], "std": [0.228515625, 0.2236328125, 0.224609375]},
    {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
)


def _action_statistics(reach: float, turn: float, closed: float) -> dict[str, Any]:
    """Return statistics of motions up to ``reach`` metres and ``turn`` rad in the hub's form."""
    low, high = [-reach] * 3 + [-turn] * 3, [reach] * 3 + [turn] * 3
    action = {
        "q01": [*low, closed],
        "q99": [*high, 1.0],
        "min": [*(2 * x for x in low), closed],
        "max": [*(2 * x for x in high), 1.0],
        "mean": [0.0] * 7,
        "std": [*(x / 2 for x in high), 0.5],
        "mask": [True] * 6 + [False],
    }
    return {"action": action, "num_transitions": 1000, "num_trajectories": 10}


def document(kind: str) -> dict[str, Any]:
    """Return the twin's config.json."""
    model = {"openvla": "OpenVLAForActionPrediction"}.get(kind, "PrismaticForConditionalGeneration")
    prefix = {"openvla": "OpenVLA"}.get(kind, "Prismatic")
    acts = {"n_action_bins": 256, "norm_stats": {"bridge_orig": _action_statistics(0.04, 0.2, 0.0)}}
    return {
        "model_type": kind,
        "architectures": [model],
        "auto_map": {
            "AutoConfig": f"configuration_prismatic.{prefix}Config",
            "AutoModelForVision2Seq": f"modeling_prismatic.{model}",
        },
        "arch_specifier": "no-align+fused-gelu-mlp",
        "vision_backbone_id": "dinosiglip-vit-so-224px",
        "llm_backbone_id": "llama2-7b-pure",
        "hf_llm_id": "meta-llama/Llama-2-7b-hf",
        "llm_max_length": 2048,
        "use_fused_vision_backbone": True,
        "timm_model_ids": list(_TIMM),
        "timm_override_act_layers": [None, None],
        hub_config.TWIN_SIZES: list(_SIZES),
        "image_sizes": [_SIDE, _SIDE],
        "image_resize_strategy": "resize-naive",
        "output_projector_states": False,
        "pad_to_multiple_of": 64,
        "pad_token_id": 32000,
        "text_config": _LLAMA,
        "torch_dtype": "bfloat16",
        **(acts if kind == "openvla" else {}),
    }


def _preprocessor() -> dict[str, Any]:
    """Return the twin's preprocessor_config.json."""
    square = [_SIDE, _SIDE]
    resize = {"antialias": True, "interpolation": 3, "max_size": None, "size": square}
    return {
        "image_processor_type": "PrismaticImageProcessor",
        "processor_class": "PrismaticProcessor",
        "use_fused_vision_backbone": True,
        "image_resize_strategy": "resize-naive",
        "input_sizes": [[3, *square]] * 2,
        "interpolations": ["bicubic"] * 2,
        "means": [[0.485, 0.456, 0.406], [0.5, 0.5, 0.5]],
        "stds": [[0.229, 0.224, 0.225], [0.5, 0.5, 0.5]],
        "tvf_crop_params": [{"output_size": square}] * 2,
        "tvf_do_letterbox": False,
        "tvf_letterbox_fill": None,
        "tvf_normalize_params": [{"inplace": False, **each} for each in _NORMALIZATION],
        "tvf_resize_params": [resize] * 2,
    }


def _model(kind: str, folder: Path, seed: int) -> None:
    files.write_json(folder / hub_config.FILE, document(kind))
    files.write_json(folder / pixels.FILE, _preprocessor())
    files.write_text(folder / text.FILE, tokenizer.build().to_str(pretty=False))
    if kind == "openvla":  # as a fine-tuned checkpoint has them beside those of its base
        sft = {"sft": _action_statistics(0.05, 0.3, -1.0)}
        files.write_json(folder / checkpoint.HUB_STATISTICS, sft)
    made = random.model(hub_config.read(folder).model, seed)
    checkpoint.save_shards(folder, loading.published(made, torch.bfloat16), _SHARD_BYTES)


def _adapter(folder: Path, seed: int) -> None:
    """Write an adapter of the OpenVLA twin with the same seed, as PEFT 0.11 stores it."""
    settings = _settings()
    base = random.model(settings.model, seed)
    modules = target_modules(base, vision=True)
    drawn = random_tensors(lora.shapes(base, modules, RANK), seed)
    tensors = {name: tensor.bfloat16() for name, tensor in drawn.items()}
    tensors[lora.HEAD] = base.language_model.lm_head.weight
    weights.save(folder / lora.WEIGHTS, tensors, weights.TORCH)
    endings = sorted({name.rpartition(".")[2] for name in modules})
    files.write_json(
        folder / lora.CONFIG,
        {
            "base_model_name_or_path": "openvla/openvla-7b",
            "peft_type": "LORA",
            "r": RANK,
            "lora_alpha": ALPHA,
            "lora_dropout": 0.0,
            "bias": "none",
            "init_lora_weights": "gaussian",
            "inference_mode": True,
            "target_modules": endings,
            "task_type": None,
            "modules_to_save": None,
            "rank_pattern": {},
            "alpha_pattern": {},
            "use_dora": False,
            "use_rslora": False,
        },
    )


def _settings() -> HubConfig:
    """Return the configuration that the OpenVLA twin's config.json describes."""
    return hub_config.parse(Path(hub_config.FILE), document("openvla"))


TWINS: dict[str, Callable[[Path, int], None]] = {
    "openvla": lambda folder, seed: _model("openvla", folder, seed),
    "prismatic": lambda folder, seed: _model("prismatic", folder, seed),
    "openvla-lora": _adapter,
}
