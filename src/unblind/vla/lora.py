"""Low-rank adapters: of the three methods, and as others publish them; their files, merging.

Rank 32, alpha 16, no dropout, Gaussian A and zero B, on all linear layers, are the paper's (table
9; released file ``finetune_align.py``). The release names its target "all-linear", which under its
PEFT version also catches the output head and the towers' patch embeddings; here every module is
listed by its full name. Adapters are float32; the release's are bfloat16.

Adapters are PEFT folders. Ours also say by `IDENTITY` which base they belong to; the authors' and
others' do not. Which modules carry an adapter is read from the weights' names. Where the output
head has one, the release's PEFT stored the head's own weight beside it, which must equal that of
the model.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unblind import files, hub, weights
from unblind.errors import UnblindError
from unblind.vla import documents
from unblind.vla.lite import LiteNet
from unblind.vla.prismatic import Prismatic

if TYPE_CHECKING:
    from peft import PeftModel

RANK, ALPHA = 32, 16

WEIGHTS, CONFIG, IDENTITY = "adapter_model.safetensors", "adapter_config.json", "identity.json"
_VISION = "vision_backbone."
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


def target_modules(model: Prismatic, vision: bool) -> list[str]:
    """Return the full names of the modules that get an adapter.

    All linear layers of projector and decoder, the output head included; with ``vision`` also all
    linear layers and dense convolutions of the towers (patch embeddings of a ViT, 1 x 1
    convolutions of an EfficientNet-Lite behind its frozen blocks).

    Args:
        model: the model, not yet wrapped.
        vision: False leaves ``vision_backbone`` out (the paper's Freeze).
    """
    frozen = tuple(_frozen_prefixes(model))
    left_out = frozen if vision else (_VISION,)
    return [
        name
        for name, module in model.named_modules()
        if not name.startswith(left_out) and _is_dense(module)
    ]


def _frozen_prefixes(model: Prismatic) -> Iterator[str]:
    """Yield the beginnings of names inside a Lite tower's frozen part."""
    for name, module in model.named_modules():
        if isinstance(module, LiteNet):
            yield f"{name}.stem"
            yield from (f"{name}.blocks.{index}." for index in range(model.config.frozen_blocks))


def _is_dense(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.groups == 1
    return isinstance(module, nn.Linear)


def trainable_parameters(model: nn.Module) -> int:
    """Return how many weights the optimiser would change."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def add_lora(
    model: Prismatic, *, vision: bool, seed: int, rank: int = RANK, alpha: int = ALPHA
) -> "PeftModel":
    """Wrap ``model`` in place with fresh adapters; its own weights are frozen.

    The wrapped model computes what ``model`` did (B is zero) until it is trained.

    Args:
        model: the model; it is changed in place.
        vision: whether the vision towers get adapters.
        seed: of the adapters' A matrices.
        rank: of the adapters.
        alpha: the adapters' output is scaled by alpha / rank.
    """
    from peft import LoraConfig

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        init_lora_weights="gaussian",
        target_modules=target_modules(model, vision),
    )
    return _wrap(model, config, seed)


def _wrap(model: Prismatic, config: Any, seed: int) -> "PeftModel":
    """Insert adapters; PEFT knows only the global generator, which is lent and restored."""
    from peft import get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return get_peft_model(model, config)


def round_to_half(model: "PeftModel") -> None:
    """Round the adapters in place to what float16 can hold, as they are stored.

    Call before evaluating, so that evaluated and stored weights are the same.
    """
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_" in name:
                weight.copy_(weight.half())


def adapter_weights(model: "PeftModel") -> dict[str, Tensor]:
    """Return the adapters' weights by PEFT's names (no base weights among them)."""
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(model, save_embedding_layers=False)


def _adapted(model: "PeftModel") -> list[str]:
    """Return the full names of the base model's modules that carry an adapter."""
    from peft.tuners.lora import LoraLayer

    modules = model.get_base_model().named_modules()
    return [name for name, module in modules if isinstance(module, LoraLayer)]


# ---- files ------------------------------------------------------------------------------------


def save_adapter(model: "PeftModel", folder: Path | str, base: str) -> None:
    """Write the adapters as a PEFT directory, float16, and which base they belong to.

    The adapters of ``model`` are rounded to float16 in place. ``identity.json`` is written last: a
    folder without it, or whose weights do not match it, is not complete.

    Args:
        model: from :func:`add_lora`.
        folder: made if need be; files of the same names are replaced.
        base: `checkpoint.Checkpoint.identity` of the base.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    folder = Path(folder)
    round_to_half(model)
    halves = {name: weight.half() for name, weight in adapter_weights(model).items()}
    weights.save(folder / WEIGHTS, halves, weights.TORCH)
    settings = model.peft_config["default"].to_dict() | {"inference_mode": True}
    settings["target_modules"] = _adapted(model)  # PEFT shortens long lists to name endings
    files.write_json(folder / CONFIG, settings)
    identity = {"base_sha256": base, "adapter_sha256": files.sha256(folder / WEIGHTS)}
    files.write_json(folder / IDENTITY, identity)


def load_adapter(
    model: Prismatic, source: Path | str, base: str | None = None, trainable: bool = False
) -> "PeftModel":
    """Wrap ``model`` in place with stored adapters.

    Args:
        model: the base model, not yet wrapped.
        source: a PEFT folder, or ``owner/name@commit`` of the hub.
        base: `checkpoint.Checkpoint.identity` of the model, which adapters from
            :func:`save_adapter` must name; None: adapters of others, which name no base.
        trainable: whether the adapters get gradients.

    Raises:
        UnblindError: files are missing or damaged, the adapters are pickles, not finite, of
            another kind, of another base or of another model: the first three differing names are
            given.
    """
    from peft import LoraConfig, set_peft_model_state_dict

    if base is not None:
        check_adapter(source, base)
    folder = hub.place(str(source), (WEIGHTS, CONFIG))
    config = documents.read(folder / CONFIG)
    rank, alpha = _settings(folder / CONFIG, config)
    paths = weights.files(folder, WEIGHTS)
    stored = weights.shapes(paths)
    modules = sorted({name[len(_PREFIX) : -len(_PAIR[0])] for name in stored if _is_pair(name)})
    if not modules:
        documents.refuse(paths[0], [f"none of its {len(stored)} tensors is an adapter"], _REMEDY)
    wanted = shapes(model, modules, rank)
    weights.check(wanted, stored, folder, _REMEDY, unused=lambda name: name == HEAD)
    documents.refuse(folder / CONFIG, _not_targeted(config, modules), _REMEDY)
    tensors = dict(weights.tensors(paths))
    _check_head(model, tensors.pop(HEAD, None), folder)
    settings = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=modules, init_lora_weights=False
    )
    settings.inference_mode = not trainable
    wrapped = _wrap(model, settings, seed=0)  # PEFT draws weights that are replaced at once
    set_peft_model_state_dict(wrapped, tensors)
    return wrapped


def check_adapter(folder: Path | str, base: str) -> None:
    """Check that the files of an adapter of ours are whole and belong to ``base``.

    Raises:
        UnblindError: they are not.
    """
    folder = Path(folder)
    remedy = "pull or train the adapter again"
    try:
        identity = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
        saved, own_base = identity["adapter_sha256"], identity["base_sha256"]
        present = files.sha256(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnblindError(f"adapter {folder} is missing or incomplete", remedy) from error
    if present != saved or not (folder / CONFIG).is_file():
        raise UnblindError(f"adapter {folder} is damaged: {WEIGHTS} is not what was saved", remedy)
    if base != own_base:
        raise UnblindError(
            f"adapter {folder} was trained on another base "
            f"({own_base[:12]}, this one is {base[:12]})",
            "pull the base and the adapters of one commit, or train again on this base",
        )


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

    targets = {key: values[key] for key in _TARGETS if values.get(key)}
    if targets.get("target_modules", _ALL) == _ALL:
        return []
    try:
        config = LoraConfig(**targets)
        lost = [name for name in modules if not check_target_module_exists(config, name)]
    except (TypeError, ValueError, AttributeError, re.error) as error:
        return [f"its target_modules are unreadable ({error})"]
    return [f"target_modules does not name {name}, of which it stores an adapter" for name in lost]


def _is_pair(name: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(_PAIR)


def shapes(model: Prismatic, modules: list[str], rank: int) -> dict[str, weights.Shape]:
    """Return names and shapes of the adapters of modules; those the model lacks are left out.

    Their sizes sum up to rank * (inputs + outputs) of each module; a convolution's inputs are
    channels times kernel area.
    """
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


def _check_head(model: Prismatic, stored: Tensor | None, folder: Path) -> None:
    """Refuse adapters whose stored output head is not the model's."""
    own = model.language_model.lm_head.weight.detach()
    if stored is None:
        return
    # Either may have been rounded to the precision of the other.
    same = stored.shape == own.shape and (
        torch.equal(stored.to(own), own) or torch.equal(stored, own.to(stored))
    )
    if not same:
        name = HEAD.removeprefix(_PREFIX)
        documents.refuse(folder, [f"{name} is not that of the model"], _REMEDY)


def merge(model: "PeftModel") -> Prismatic:
    """Return the base model with the adapters added to its weights; ``model`` is used up.

    The product of an adapter's two factors is computed in float32 and rounded once; the release's
    PEFT computed it in bfloat16.
    """
    return model.merge_and_unload()
