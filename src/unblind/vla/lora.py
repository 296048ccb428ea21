"""Low-rank adapters of the three methods: where they sit, their files, merging.

Rank 32, alpha 16, no dropout, Gaussian A and zero B, on all linear layers, are the paper's (table
9; released file ``finetune_align.py``). The release names its target "all-linear", which under its
PEFT version also catches the output head and the towers' patch embeddings; here every module is
listed by its full name. Adapters are float32; the release's are bfloat16.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unblind import files, weights
from unblind.errors import UnblindError
from unblind.vla.lite import LiteNet
from unblind.vla.prismatic import Prismatic

if TYPE_CHECKING:
    from peft import PeftModel

RANK, ALPHA = 32, 16

WEIGHTS, CONFIG, IDENTITY = "adapter_model.safetensors", "adapter_config.json", "identity.json"
_VISION = "vision_backbone."


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
    names = []
    for name, module in model.named_modules():
        wanted = vision and not name.startswith(frozen) if name.startswith(_VISION) else True
        if wanted and _is_dense(module):
            names.append(name)
    return names


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


def lora_parameters(model: Prismatic, rank: int, vision: bool) -> int:
    """Return the number of adapter weights by formula: the sum of rank * (inputs + outputs).

    A convolution's inputs are channels times kernel area.
    """
    total = 0
    for name in target_modules(model, vision):
        outputs, *inputs = model.get_submodule(name).weight.shape
        total += rank * (outputs + torch.Size(inputs).numel())
    return total


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


def save_adapter(model: "PeftModel", folder: Path | str, base: Path | str) -> None:
    """Write the adapters as a PEFT directory, float16, and which base they belong to.

    The adapters of ``model`` are rounded to float16 in place. ``identity.json`` is written last: a
    folder without it, or whose weights do not match it, is not complete.

    Args:
        model: from :func:`add_lora`.
        folder: made if need be; files of the same names are replaced.
        base: the base's ``model.safetensors``.

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
    identity = {"base_sha256": files.sha256(base), "adapter_sha256": files.sha256(folder / WEIGHTS)}
    files.write_json(folder / IDENTITY, identity)


def load_adapter(
    model: Prismatic, folder: Path | str, base: Path | str, trainable: bool = False
) -> "PeftModel":
    """Wrap ``model`` in place with the adapters stored in ``folder``.

    Args:
        model: the base model, with the weights of ``base``.
        folder: from :func:`save_adapter`.
        base: the base's ``model.safetensors``.
        trainable: whether the adapters get gradients.

    Raises:
        UnblindError: the folder is incomplete or damaged, its adapters are not finite, or belong to
            another base or another architecture.
    """
    from peft import LoraConfig, set_peft_model_state_dict

    folder = Path(folder)
    check_adapter(folder, base)
    config = LoraConfig.from_pretrained(folder)
    config.inference_mode = not trainable
    stored = {name: weight.float() for name, weight in weights.tensors([folder / WEIGHTS])}
    missing = set(config.target_modules) - {name for name, _ in model.named_modules()}
    if missing:
        raise _misfit(folder, f"the model has no module {min(missing)}")
    wrapped = _wrap(model, config, seed=0)
    own = {name: weight.shape for name, weight in adapter_weights(wrapped).items()}
    if own != {name: weight.shape for name, weight in stored.items()}:
        raise _misfit(folder, "names or shapes of its weights differ from the model's")
    set_peft_model_state_dict(wrapped, stored)
    return wrapped


def _misfit(folder: Path, reason: str) -> UnblindError:
    return UnblindError(f"adapter {folder} does not fit: {reason}", "train it again on this base")


def check_adapter(folder: Path | str, base: Path | str) -> None:
    """Check that an adapter's files are whole and belong to ``base``.

    Raises:
        UnblindError: they are not, or the base is missing.
    """
    folder = Path(folder)
    remedy = "pull or train the adapter again"
    try:
        identity = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
        wanted = identity["adapter_sha256"], identity["base_sha256"]
        found = files.sha256(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnblindError(f"adapter {folder} is missing or incomplete", remedy) from error
    if found != wanted[0] or not (folder / CONFIG).is_file():
        raise UnblindError(f"adapter {folder} is damaged: {WEIGHTS} is not what was saved", remedy)
    try:
        present = files.sha256(base)
    except OSError as error:
        raise UnblindError(f"no base at {base}", "dvc pull, or rebuild the base") from error
    if present != wanted[1]:
        raise UnblindError(
            f"adapter {folder} was trained on another base "
            f"({wanted[1][:12]}, this one is {present[:12]})",
            "pull the base and the adapters of one commit, or train again on this base",
        )


def merge(model: "PeftModel") -> Prismatic:
    """Return the base model with the adapters added to its weights; ``model`` is used up."""
    return model.merge_and_unload()
