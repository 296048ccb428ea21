"""Reading a vision-language model by transformers' own classes: no pickles, no remote code."""

import re
from pathlib import Path
from typing import Any

import torch

from unblind import fetched, hub, weights
from unblind.answerers.families import FAMILIES, PRISMATIC, Family
from unblind.errors import UnblindError
from unblind.machine import torchvision
from unblind.vla import documents

CONFIG = "config.json"
#: What is fetched from the hub: data alone, and no chat template (`families` has the prompts).
PATTERNS = (*weights.PATTERNS, "*.json", "*.txt", "tokenizer.model")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_NAMED = 3  # how many differences an error names


def place(source: str) -> Path:
    """Return the folder of a checkpoint, fetched if need be.

    Args:
        source: a folder, or ``owner/name@commit`` of the hub.

    Raises:
        UnblindError: no commit is named, there is no such folder, or see `hub.place`.
    """
    if not Path(source).is_dir() and _REPOSITORY.fullmatch(source):
        raise UnblindError(
            f"{source} names no commit, and none is known here that could be pinned",
            f"write {source}@COMMIT with the full commit that the repository's page shows, or name "
            "a folder",
        )
    return hub.place(source, PATTERNS)


def check_folder(folder: Path, family: Family) -> list[Path]:
    """Return the files of weights of a checkpoint of a family.

    Raises:
        UnblindError: there is no configuration, it is of another family or of a model that takes no
            pictures, or its weights are missing or pickles.
    """
    if family.lacking:
        raise UnblindError(f"{family.title} cannot be asked: {family.lacking}", "leave the run out")
    path = Path(folder, CONFIG)
    if not path.is_file():
        remedy = "name the folder of a model as transformers saves it"
        raise UnblindError(f"{folder} holds no model: {CONFIG} is missing", remedy)
    found = documents.read(path).get("model_type")
    if found not in {family.model_type, _ours(family)}:
        raise UnblindError(
            f"{path} is of model_type '{found}'{_about(found)}, not '{family.model_type}' as "
            f"{family.title} is",
            f"state its family: {', '.join(FAMILIES)}",
        )
    return weights.files(folder)


def _ours(family: Family) -> str:
    """Return the other type that a family's checkpoints may have: OpenVLA is a Prismatic."""
    return "openvla" if family is FAMILIES[PRISMATIC] else family.model_type


def _about(model_type: Any) -> str:
    """Return what is known of a type of model that is not the one that was asked for."""
    torchvision.guard()
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as takes_pictures,
    )

    own = {family.model_type for family in FAMILIES.values()} | {"openvla"}
    return "" if model_type in own.union(takes_pictures) else ", which takes no pictures"


def describe(folder: Path, family: Family) -> dict[str, Any]:
    """Return the record of a checkpoint: its tensors' number, and its files by checksum.

    Raises:
        UnblindError: see `check_folder`.
    """
    paths = check_folder(folder, family)
    small = sorted(path for path in Path(folder).iterdir() if path.suffix in (".json", ".txt"))
    return {
        "family": family.title,
        "tensors": len(weights.shapes(paths)),
        "files": fetched.described((*paths, *small)),
    }


def check(folder: Path, record: Path) -> None:
    """Check that a folder holds the files of a record (`unblind.fetched.check`)."""
    fetched.check(folder, record, "run: unblind answerer fetch, with the run's name")


def read(
    folder: Path, family: Family, device: torch.device, dtype: torch.dtype, eager: bool
) -> tuple[Any, Any]:
    """Return model and processor of a checkpoint.

    Args:
        folder: of the checkpoint.
        family: of `FAMILIES`, but Prismatic's.
        device: where the model shall lie.
        dtype: of its weights.
        eager: compute attention so that its weights can be seen, which is slower.

    Raises:
        UnblindError: see `check_folder`; a file is unreadable, or weights are missing.
    """
    check_folder(folder, family)
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.utils import logging

    logging.disable_progress_bar()
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(folder, **safe)
        model, told = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            attn_implementation="eager" if eager else "sdpa",
            output_loading_info=True,
            **safe,
        )
    except Exception as error:  # OSError, ValueError, safetensors' own: no common ancestor
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        remedy = "fetch the checkpoint again, with all its small files"
        raise UnblindError(f"cannot read {family.title} in {folder}: {reason}", remedy) from None
    if missing := sorted(told["missing_keys"]):
        raise UnblindError(
            f"{folder} lacks {len(missing)} weights of {family.title}: "
            f"{', '.join(missing[:_NAMED])}",
            "fetch the checkpoint again, or use the config.json that belongs to it",
        )
    return model.to(device).eval().requires_grad_(False), processor
