"""LoRA adapters as the authors publish them: PEFT folders without a note of their base.

Which modules carry an adapter is read from the weights' names. The release's ``all-linear`` also
catches the output head; PEFT then stores the head's own weight beside the adapters, which must
equal that of the model.
"""

import re
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
_CONVERT = (
    "save it with PEFT's path_initial_model_for_weight_conversion, which makes plain LoRA of it"
)
#: Settings with which PEFT computes W + alpha / r B A, and nothing else. Any other value of these
#: or of a key that neither this table nor `_HARMLESS` knows is refused.
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
#: Settings that say which modules carry adapters.
_TARGETS = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
_ALL = "all-linear"
#: Settings that change nothing about stored adapters. Dropout, and how adapters were initialised
#: (the ``*_config`` of such methods), ends with training.
_HARMLESS = {
    *("auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "revision"),
    *("corda_config", "eva_config", "loftq_config", "lora_ga_config", "peft_version", "task_type"),
    *("megatron_core", "qalora_group_size", "runtime_config"),
    *("init_lora_weights", "lora_alpha", "r", *_TARGETS),  # looked at one by one
}
#: Ways to initialise adapters that leave the model's own weights alone. The others (pissa, olora,
#: corda, loftq, lora_ga, and what may come) subtract the first adapters from them: PEFT repeats
#: that when it loads such an adapter, so that B A alone is the sum of two things.
_HARMLESS_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")


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
    config = documents.read(folder / CONFIG)
    rank, alpha = _settings(folder / CONFIG, config)
    paths = weights.files(folder, WEIGHTS)
    found = weights.shapes(paths)
    modules = sorted({name[len(_PREFIX) : -len(_PAIR[0])] for name in found if _is_pair(name)})
    if not modules:
        documents.refuse(paths[0], [f"none of its {len(found)} tensors is an adapter"], _REMEDY)
    wanted = shapes(model, modules, rank)
    weights.check(wanted, found, folder, _REMEDY, unused=lambda name: name == HEAD)
    documents.refuse(folder / CONFIG, _not_targeted(config, modules), _REMEDY)
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


def _settings(path: Path, values: Mapping[str, Any]) -> tuple[int, float]:
    """Return rank and alpha, if the settings are those of plain LoRA."""
    start = values.get("init_lora_weights", True)
    if start not in _HARMLESS_STARTS:
        documents.refuse(path, [f"init_lora_weights is {start!r}: the base was changed"], _CONVERT)
    differences = [
        f"{key} is {value!r}, not {_PLAIN[key]!r}" if key in _PLAIN else f"{key} is {value!r}"
        for key, value in values.items()
        if key not in _HARMLESS and value and value != _PLAIN.get(key)
    ]
    if type(values.get("r")) is not int or values["r"] <= 0:
        differences.append(f"r is {values.get('r')!r}")
    alpha = values.get("lora_alpha")
    if type(alpha) not in (int, float) or not alpha > 0:
        differences.append(f"lora_alpha is {alpha!r}")
    documents.refuse(path, differences, _REMEDY)
    return values["r"], alpha


def _not_targeted(values: Mapping[str, Any], modules: list[str]) -> list[str]:
    """Return which stored adapters PEFT would ignore, because the settings do not name them."""
    from peft import LoraConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    chosen = {key: values[key] for key in _TARGETS if values.get(key)}
    if chosen.get("target_modules", _ALL) == _ALL:
        return []
    try:
        config = LoraConfig(**chosen)
        lost = [name for name in modules if not check_target_module_exists(config, name)]
    except (TypeError, ValueError, AttributeError, re.error) as error:
        return [f"its target_modules are unreadable ({error})"]
    return [f"target_modules does not name {name}, of which it stores an adapter" for name in lost]


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
    stored, own = tensors.get(HEAD), model.language_model.lm_head.weight.detach()
    if stored is None:
        return
    # Either may have been rounded to the precision of the other.
    same = stored.shape == own.shape and (
        torch.equal(stored.to(own), own) or torch.equal(stored, own.to(stored))
    )
    if not same:
        name = HEAD.removeprefix(_PREFIX)
        documents.refuse(folder, [f"{name} is not that of the model"], _REMEDY)
