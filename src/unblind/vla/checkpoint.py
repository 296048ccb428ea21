"""A model as a folder: sizes, weights, tokenizer, pixel values and action statistics.

There are two layouts. The hub's is that of ``openvla/openvla-7b``, its warm-up (merged) and the
Prismatic VLM that it was trained from: ``config.json``, sharded bfloat16 safetensors,
``tokenizer.json``, ``preprocessor_config.json`` and, fine-tuned, ``dataset_statistics.json``.
mini's is that of the base in this repository: ``config.json`` with all sizes, one file of float16
weights, ``tokenizer.json`` and ``statistics.json``. Both are data alone: no code of a repository
is run and no pickle opened.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unblind import files, hub, weights
from unblind.errors import UnblindError, near, note
from unblind.vla import documents, hub_config, loading, pixels, text
from unblind.vla.pixels import Pixels
from unblind.vla.prismatic import Prismatic, PrismaticConfig
from unblind.vla.text import Vocabulary
from unblind.vla.tokens import (
    ACTION_WIDTH,
    ActionCodec,
    ActionNormalizer,
    ActionTokenizer,
    Fidelity,
)

#: The base of the paper at a full commit of the hub.
OPENVLA_7B = "openvla/openvla-7b@31f090d05236101ebfc381b61c674dd4746d4ce0"
CONFIG, WEIGHTS, TOKENIZER = hub_config.FILE, weights.SINGLE, text.FILE
#: Action statistics in mini's layout, and by data set in the hub's; a run of fine-tuning writes
#: those of its own data beside its adapter.
STATISTICS, HUB_STATISTICS = "statistics.json", "dataset_statistics.json"
#: Name that statistics of one's own demonstrations have, as in the release.
OWN_STATISTICS = "sft"
#: What belongs to published weights, in the hub's layout.
SMALL_FILES = (CONFIG, TOKENIZER, pixels.FILE, HUB_STATISTICS)
#: How files begin in which OpenVLA-OFT keeps what it has beside the language model: heads that
#: regress or diffuse actions, inputs for the robot's state, and a changed vision backbone (its
#: ``vla-scripts/finetune.py``).
_OTHER_HEADS = (
    *("action_head--", "noisy_action_projector--", "proprio_projector--", "vision_backbone--"),
)
_ADAPTER = "adapter_config.json"
_SHARD_BYTES = 5 * 10**9
_REMEDY = "fetch it again with `unblind base pull`, or make it with rebuild_base: true"


@dataclass(frozen=True)
class Checkpoint:
    """A model and what belongs to it.

    Attributes:
        model: in evaluation mode, without gradients.
        vocabulary: its tokenizer.
        pixels: how pictures become its input.
        statistics: action statistics by data set, in the release's form (may be empty).
        folder: where it was read from.
        record: a file that stands for weights which are too large to be hashed each time.
    """

    model: Prismatic
    vocabulary: Vocabulary
    pixels: Pixels
    statistics: Mapping[str, Any]
    folder: Path
    record: Path | None = None

    @cached_property
    def identity(self) -> str:
        """Name of these weights in adapters: SHA-256 of the record, or of the weights' file.

        Of several files it is the SHA-256 of all their SHA-256, in the order of their names.

        Raises:
            UnblindError: there are no weights in the folder.
        """
        paths = [self.record] if self.record else weights.files(self.folder)
        sums = [files.sha256(path) for path in paths]
        return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()

    def codec(self, unnorm_key: str | None = None, fidelity: Fidelity = "corrected") -> ActionCodec:
        """Return actions to tokens and back, with the statistics of one data set.

        Args:
            unnorm_key: the data set, by the release's word; None where there is only one.
            fidelity: how actions are normalised.

        Raises:
            UnblindError: see :func:`choose_statistics`.
        """
        normalizer = choose_statistics(self.statistics, unnorm_key, self.folder)
        return make_codec(normalizer, self.model.config, fidelity)


def make_codec(
    normalizer: ActionNormalizer, config: PrismaticConfig, fidelity: Fidelity = "corrected"
) -> ActionCodec:
    """Return the codec of a model: actions are the last ids before the padding."""
    return ActionCodec(normalizer, ActionTokenizer(config.vocab_size - config.padded), fidelity)


def load(
    source: str | Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    record: Path | None = None,
) -> Checkpoint:
    """Read a checkpoint in either layout.

    Args:
        source: a folder, or ``owner/name@commit`` of the hub, for example `OPENVLA_7B`.
        device: where the model shall lie.
        dtype: of the weights; None: bfloat16 as published, or float32 in mini's layout.
        record: see :class:`Checkpoint`.

    Raises:
        UnblindError: there is no such folder, the hub cannot be reached, a file is missing or
            damaged, the weights are pickles or not finite, the repository wants its own code run,
            or the checkpoint is another model, has another vocabulary, other vision towers or
            another head.
    """
    folder = place(source)
    read = _read_hub if _is_hub(folder) else _read_mini
    sizes, own_dtype, *parts = read(folder)
    model = loading.blank(sizes)
    loading.load_weights(model, weights.files(folder), device, dtype or own_dtype)
    return Checkpoint(model, *parts, folder, record)


def place(source: str | Path) -> Path:
    """Return the folder of a checkpoint, fetched if need be: data alone.

    Raises:
        UnblindError: its actions do not come from tokens, or see `hub.place`.
    """
    _refuse_other_heads(source, hub.names(str(source)))
    folder = hub.place(str(source), (*weights.PATTERNS, *SMALL_FILES))
    names = hub.names(str(folder))
    _refuse_other_heads(source, names)  # what was fetched by others into the hub's cache
    if _ADAPTER in names:
        note(f"{source} also holds a LoRA adapter, which is not applied unless it is named")
    return folder


def _refuse_other_heads(source: object, names: Iterable[str]) -> None:
    """Refuse a checkpoint with parts that the tokens' head knows nothing of."""
    parts = [name for name in names if Path(name).name.startswith(_OTHER_HEADS)]
    if parts:
        raise UnblindError(
            f"{source} is no plain OpenVLA: it also holds {', '.join(parts[:3])}, so its actions "
            "do not come from tokens, as with OpenVLA-OFT",
            "use a checkpoint that was trained to answer with action tokens",
        )


def _is_hub(folder: Path) -> bool:
    """Tell whether a folder is in the hub's layout; mini's has none of its own files."""
    if any((folder / name).is_file() for name in (pixels.FILE, weights.INDEX, HUB_STATISTICS)):
        return True
    config = folder / CONFIG
    return config.is_file() and "model_type" in documents.read(config)


def _read_hub(folder: Path) -> tuple[PrismaticConfig, torch.dtype, Vocabulary, Pixels, Mapping]:
    """Return everything but the weights, and their published precision."""
    settings = hub_config.read(folder)
    sizes = settings.model
    vocabulary = text.Llama.load(folder / TOKENIZER, sizes.vocab_size - sizes.padded, settings.pad)
    released = pixels.Released.read(folder, sizes.image_size, len(sizes.towers))
    statistics = {**settings.statistics, **read_statistics(folder)}
    return sizes, torch.bfloat16, vocabulary, released, statistics


def _read_mini(folder: Path) -> tuple[PrismaticConfig, torch.dtype, Vocabulary, Pixels, Mapping]:
    """Return everything but the weights, and the precision in which mini computes."""
    names = (CONFIG, WEIGHTS, TOKENIZER, STATISTICS)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UnblindError(f"no model in {folder}: {', '.join(missing)} missing", _REMEDY)
    sizes = PrismaticConfig.from_json((folder / CONFIG).read_text(encoding="utf-8"))
    vocabulary, ids = text.Words.load(folder / TOKENIZER), sizes.vocab_size - sizes.padded
    if vocabulary.size != ids:
        cause = f"{folder / TOKENIZER} has {vocabulary.size} words, the model {ids}"
        raise UnblindError(cause, _REMEDY)
    normalizer = _mini_normalizer(folder / STATISTICS)
    statistics = {OWN_STATISTICS: normalizer.to_release()}
    return sizes, torch.float32, vocabulary, pixels.Squeezed(sizes.image_size), statistics


def _mini_normalizer(path: Path) -> ActionNormalizer:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnblindError(f"{path} is unreadable: {error}", _REMEDY) from None
    normalizer = ActionNormalizer.from_json(values, path)
    width = len(normalizer.mask)
    if width != ACTION_WIDTH:
        raise UnblindError(f"{path} is of {width} dimensions, not {ACTION_WIDTH}", _REMEDY)
    return normalizer


# ---- action statistics ------------------------------------------------------------------------


def read_statistics(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's ``dataset_statistics.json``, empty where there is none.

    Raises:
        UnblindError: the file is unreadable.
    """
    path = Path(folder) / HUB_STATISTICS
    return documents.read(path) if path.is_file() else {}


def choose_statistics(
    statistics: Mapping[str, Any], key: str | None, where: object
) -> ActionNormalizer:
    """Return the normaliser of one data set.

    Args:
        statistics: by data set, in the release's form.
        key: the data set (``unnorm_key`` of the release); None where there is only one.
        where: the checkpoint, for messages.

    Raises:
        UnblindError: there is no such data set, none was named where there are several, or its
            numbers are not those of seven dimensions.
    """
    if not statistics:
        raise UnblindError(
            f"{where} has no action statistics", f"put {HUB_STATISTICS} of its training beside it"
        )
    shown = list(statistics)[:8]
    more = f" and {len(statistics) - 8} more" if len(statistics) > 8 else ""
    names = ", ".join(shown) + more
    if key is None and len(statistics) > 1:
        cause = f"{where} has action statistics of {len(statistics)} data sets"
        raise UnblindError(cause, f"name one as unnorm_key: {names}")
    key = next(iter(statistics)) if key is None else key
    if key not in statistics:
        raise UnblindError(
            f"{where} has no action statistics '{key}'{near(key, statistics)}",
            f"unnorm_key can be {names}",
        )
    return ActionNormalizer.from_release(statistics[key], f"{where}: statistics '{key}'")


# ---- writing ----------------------------------------------------------------------------------


def save(
    folder: Path, model: Prismatic, vocabulary: Vocabulary, statistics: Mapping[str, Any]
) -> None:
    """Write a model in mini's layout; weights are rounded to float16.

    Args:
        folder: is created.
        model: any precision.
        vocabulary: its tokenizer.
        statistics: `ActionNormalizer.to_json`.

    Raises:
        UnblindError: the folder cannot be written.
    """
    folder = Path(folder)
    files.write_json(folder / CONFIG, model.config.to_json())
    files.write_json(folder / STATISTICS, dict(statistics))
    vocabulary.save(folder / TOKENIZER)
    weights.save(folder / WEIGHTS, loading.published(model, torch.float16))


def save_hub(folder: Path, loaded: Checkpoint, shard_bytes: int = _SHARD_BYTES) -> None:
    """Write a published model, for example with merged adapters, beside copies of its small files.

    The index of the weights is written last: a folder without it is not complete.

    Args:
        folder: is created.
        loaded: read in the hub's layout; its model's weights are rounded to bfloat16.
        shard_bytes: largest size of one file of weights.

    Raises:
        UnblindError: the folder cannot be written.
    """
    folder = Path(folder)
    for name in SMALL_FILES:
        if (loaded.folder / name).is_file():
            with files.atomic_path(folder / name) as temporary:
                shutil.copyfile(loaded.folder / name, temporary)
    save_shards(folder, loading.published(loaded.model, torch.bfloat16), shard_bytes)


def save_shards(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> None:
    """Write shards and, last, their index.

    Raises:
        UnblindError: the folder cannot be written.
    """
    from huggingface_hub import split_torch_state_dict_into_shards

    split = split_torch_state_dict_into_shards(dict(tensors), max_shard_size=shard_bytes)
    for name, members in split.filename_to_tensors.items():
        shard = {member: tensors[member] for member in members}
        weights.save(folder / name, shard, weights.TORCH)
    if split.is_sharded:
        table = dict(sorted(split.tensor_to_filename.items()))
        files.write_json(folder / weights.INDEX, {"metadata": split.metadata, "weight_map": table})
