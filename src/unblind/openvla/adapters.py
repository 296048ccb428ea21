"""LoRA adapters as the authors publish them: PEFT folders without a note of their base.

Which modules carry an adapter is read from the weights' names. The release's ``all-linear`` also
catches the output head; PEFT then stores the head's own weight beside the adapters, which must
equal that of the model.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unblind import hub, weights
from unblind.openvla import documents
from unblind.vla.prismatic import Prismatic

if TYPE_CHECKING:
    from peft import PeftModel

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
#: The output head's own weight, as PEFT stores it.
HEAD = f"{_PREFIX}language_model.lm_head.base_layer.weight"
_PAIR = (".lora_A.weight", ".lora_B.weight")
_REMEDY = "use plain LoRA adapters that were trained on this checkpoint"
#: Settings under which PEFT computes something else than W + alpha / r B A.
_PLAIN: Mapping[str, Any] = {
    "peft_type": "LORA",
    "bias": "none",
    "use_dora": False,
    "use_rslora": False,
    "fan_in_fan_out": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "layer_replication": None,
    "megatron_config": None,
}


def load(model: Prismatic, source: str | Path, trainable: bool = False) -> "PeftModel":
    """Wrap a model in place with published adapters.

    Args:
        model: the checkpoint's they were trained on; changed in place.
        source: a PEFT folder, or ``owner/name@commit`` of the hub.
        trainable: whether the adapters get gradients.

    Raises:
        UnblindError: files are missing or damaged, the adapters are pickles, of another kind, or
            of another model: the first three differing names are given.
    """
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    folder = hub.place(str(source), (WEIGHTS, CONFIG))
    rank, alpha = _settings(folder / CONFIG)
    paths = weights.files(folder, WEIGHTS)
    found = weights.shapes(paths)
    modules = sorted({name[len(_PREFIX) : -len(_PAIR[0])] for name in found if _is_pair(name)})
    wanted = shapes(model, modules, rank)
    weights.check(wanted, found, folder, _REMEDY, unused=lambda name: name == HEAD)
    tensors = dict(weights.tensors(paths))
    _same_head(model, tensors, folder)
    settings = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=modules, init_lora_weights=False
    )
    settings.inference_mode = not trainable
    with torch.random.fork_rng(devices=[]):  # PEFT draws weights that are replaced at once
        wrapped = get_peft_model(model, settings)
    set_peft_model_state_dict(wrapped, {name: tensors[name] for name in wanted})
    return wrapped


def merge(model: Prismatic, source: str | Path) -> Prismatic:
    """Return ``model`` with published adapters added to its weights (it is changed in place).

    The product of an adapter's two factors is computed in float32 and rounded once; the release's
    PEFT computed it in bfloat16.

    Raises:
        UnblindError: see :func:`load`.
    """
    return load(model, source).merge_and_unload()


def _settings(path: Path) -> tuple[int, float]:
    """Return rank and alpha."""
    values = documents.read(path)
    found = [
        f"{key} is {values[key]!r}, not {wanted!r}"
        for key, wanted in _PLAIN.items()
        if (values.get(key) or wanted) != wanted
    ]
    for key in ("r", "lora_alpha"):
        if not isinstance(values.get(key), (int, float)) or not values[key] > 0:
            found.append(f"{key} is {values.get(key)!r}")
    documents.refuse(path, found, _REMEDY)
    return int(values["r"]), values["lora_alpha"]


def _is_pair(name: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(_PAIR)


def shapes(model: Prismatic, modules: list[str], rank: int) -> dict[str, weights.Shape]:
    """Return names and shapes of the adapters of modules; those the model lacks are left out."""
    own = dict(model.named_modules())
    result: dict[str, weights.Shape] = {}
    for name in modules:
        weight = getattr(own.get(name), "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() not in (2, 4):
            continue
        outputs, *inputs = weight.shape
        ones = (1,) * (len(inputs) - 1)  # a convolution's B has a kernel of 1 x 1
        result[f"{_PREFIX}{name}{_PAIR[0]}"] = (rank, *inputs)
        result[f"{_PREFIX}{name}{_PAIR[1]}"] = (outputs, rank, *ones)
    return result


def _same_head(model: Prismatic, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Refuse adapters whose stored output head is not the model's."""
    stored = tensors.get(HEAD)
    own = model.language_model.lm_head.weight
    if stored is not None and (stored.shape != own.shape or not torch.equal(stored.to(own), own)):
        name = HEAD.removeprefix(_PREFIX)
        documents.refuse(folder, [f"{name} is not that of the model"], _REMEDY)
