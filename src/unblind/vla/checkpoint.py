"""A model as a directory: sizes, weights by OpenVLA's names, tokenizer, action statistics."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unblind import files, weights
from unblind.errors import UnblindError
from unblind.vla.prismatic import Prismatic, PrismaticConfig
from unblind.vla.text import Vocabulary
from unblind.vla.tokens import ActionCodec, ActionNormalizer, ActionTokenizer, Fidelity

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TOKENIZER, STATISTICS = "tokenizer.json", "statistics.json"
ACTION_WIDTH = 7
_REMEDY = "fetch it again with `unblind base pull`, or make it with rebuild_base: true"


@dataclass(frozen=True)
class Checkpoint:
    """A model and what belongs to it.

    Attributes:
        model: in evaluation mode, float32.
        vocabulary: its tokenizer.
        codec: actions to tokens and back.
        sha256: of the file of weights; adapters name it.
    """

    model: Prismatic
    vocabulary: Vocabulary
    codec: ActionCodec
    sha256: str


def make_codec(
    normalizer: ActionNormalizer, config: PrismaticConfig, fidelity: Fidelity = "corrected"
) -> ActionCodec:
    """Return the codec of a model: actions are the last ids before the padding."""
    return ActionCodec(normalizer, ActionTokenizer(config.vocab_size - config.padded), fidelity)


def save(
    folder: Path, model: Prismatic, vocabulary: Vocabulary, statistics: Mapping[str, Any]
) -> None:
    """Write a checkpoint; weights are rounded to float16.

    Args:
        folder: is created.
        model: any precision.
        vocabulary: its tokenizer.
        statistics: `ActionNormalizer.to_json`.
    """
    folder = Path(folder)
    files.write_json(folder / CONFIG, model.config.to_json())
    files.write_json(folder / STATISTICS, dict(statistics))
    vocabulary.save(folder / TOKENIZER)
    save_weights(folder / WEIGHTS, model)


def save_weights(path: Path, model: torch.nn.Module) -> None:
    """Write all weights as float16 safetensors."""
    halves = {name: t.detach().to(torch.float16) for name, t in model.state_dict().items()}
    weights.save(path, halves)


def load(folder: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UnblindError: a file is missing, truncated or belongs to another model.
    """
    folder = Path(folder)
    missing = [n for n in (CONFIG, WEIGHTS, TOKENIZER, STATISTICS) if not (folder / n).is_file()]
    if missing:
        raise UnblindError(f"no model in {folder}: {', '.join(missing)} missing", _REMEDY)
    config = PrismaticConfig.from_json((folder / CONFIG).read_text(encoding="utf-8"))
    model = Prismatic(config)
    load_weights(model, folder / WEIGHTS)
    normalizer = _normalizer(folder / STATISTICS)
    vocabulary = Vocabulary.load(folder / TOKENIZER)
    if vocabulary.size != config.vocab_size - config.padded:
        raise UnblindError(
            f"{folder / TOKENIZER} has {vocabulary.size} words, the model "
            f"{config.vocab_size - config.padded}",
            _REMEDY,
        )
    codec = make_codec(normalizer, config)
    return Checkpoint(model.eval(), vocabulary, codec, files.sha256(folder / WEIGHTS))


def _normalizer(path: Path) -> ActionNormalizer:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnblindError(f"{path} is unreadable: {error}", _REMEDY) from None
    normalizer = ActionNormalizer.from_json(values, path)
    if len(normalizer.mask) != ACTION_WIDTH:
        raise UnblindError(
            f"{path} is of {len(normalizer.mask)} dimensions, not {ACTION_WIDTH}", _REMEDY
        )
    return normalizer


def load_weights(model: Prismatic, path: Path) -> None:
    """Fill a model with the weights of a file, all of them and no others.

    Raises:
        UnblindError: the file is truncated, names or shapes differ (the first three are named), or
            a tensor is not finite.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {rename(name): shape for name, shape in weights.shapes([path]).items()}
    weights.check(wanted, found, path, "use the file that belongs to config.json")
    tensors = {rename(name): tensor.float() for name, tensor in weights.tensors([path])}
    model.load_state_dict(tensors, strict=True)


def rename(name: str) -> str:
    """Return our name of one of OpenVLA's weights: its LayerScale has another name in timm."""
    return name.replace(".scale_factor", ".gamma")
