"""Published checkpoints in OpenVLA's layout as models: read strictly, without their own code.

``openvla/openvla-7b``, its warm-up (merged) and the Prismatic VLM that it was trained from have
one layout: ``config.json``, sharded safetensors, ``tokenizer.json``, ``preprocessor_config.json``,
and, fine-tuned, ``dataset_statistics.json``. OpenVLA-7B has 982 tensors with 7,541,237,184
weights; one part of a name differs from timm's (`unblind.vla.checkpoint.rename`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unblind import hub, weights
from unblind.errors import UnblindError, note
from unblind.openvla import config, pixels, statistics, text
from unblind.openvla.config import HubConfig
from unblind.openvla.pixels import Pixels
from unblind.openvla.text import LlamaVocabulary
from unblind.vla.checkpoint import make_codec, rename
from unblind.vla.prismatic import Prismatic, PrismaticConfig
from unblind.vla.tokens import ActionCodec

#: The base of the paper at a full commit of the hub.
OPENVLA_7B = "openvla/openvla-7b@31f090d05236101ebfc381b61c674dd4746d4ce0"
SMALL_FILES = (config.FILE, text.FILE, pixels.FILE, statistics.FILE)
#: How files begin in which OpenVLA-OFT keeps what it has beside the language model: heads that
#: regress or diffuse actions, inputs for the robot's state, and a changed vision backbone (its
#: ``vla-scripts/finetune.py``).
_OTHER_HEADS = (
    *("action_head--", "noisy_action_projector--", "proprio_projector--", "vision_backbone--"),
)
_ADAPTER = "adapter_config.json"
_AGAIN = "fetch the checkpoint again, or use the config.json that belongs to it"


@dataclass(frozen=True)
class OpenVla:
    """A published model and what belongs to it.

    Attributes:
        model: in evaluation mode, without gradients.
        config: what its config.json says.
        vocabulary: its tokenizer.
        pixels: how pictures become its input.
        statistics: action statistics by data set (may be empty).
        folder: where it was read from.
    """

    model: Prismatic
    config: HubConfig
    vocabulary: LlamaVocabulary
    pixels: Pixels
    statistics: Mapping[str, Any]
    folder: Path

    def codec(self, unnorm_key: str | None = None) -> ActionCodec:
        """Return actions to tokens and back, with the statistics of one data set.

        Raises:
            UnblindError: see `statistics.choose`.
        """
        chosen = statistics.choose(self.statistics, unnorm_key, self.folder)
        return make_codec(chosen, self.model.config)


def load(
    source: str | Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
) -> OpenVla:
    """Read a checkpoint: a folder, or ``owner/name@commit`` of the hub.

    Args:
        source: for example `OPENVLA_7B`.
        device: where the model shall lie; files are read tensor by tensor.
        dtype: of the weights (published: bfloat16).

    Raises:
        UnblindError: the hub cannot be reached, a file is missing or damaged, the weights are
            pickles or not finite, the repository wants its own code run, or the checkpoint is
            another model, has another vocabulary, other vision towers or another head.
    """
    folder = place(source)
    settings = config.read(folder)
    sizes = settings.model
    size = sizes.vocab_size - sizes.padded
    vocabulary = LlamaVocabulary.load(folder / text.FILE, size, settings.pad)
    prepared = Pixels.read(folder, sizes.image_size, len(sizes.towers))
    numbers = statistics.read(folder, settings.statistics)
    model = blank(sizes)
    load_weights(model, folder, device, dtype)
    return OpenVla(model, settings, vocabulary, prepared, numbers, folder)


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


def blank(sizes: PrismaticConfig) -> Prismatic:
    """Return a model without memory for its weights (on torch's meta device)."""
    with torch.device("meta"):
        return Prismatic(sizes).eval().requires_grad_(False)


def published_name(name: str) -> str:
    """Return OpenVLA's name of one of our weights (the inverse of `rename`)."""
    return name.replace(".gamma", ".scale_factor")


def shapes(model: Prismatic) -> dict[str, weights.Shape]:
    """Return the published names of a model's weights with their shapes."""
    return {published_name(name): tuple(t.shape) for name, t in model.state_dict().items()}


def load_weights(
    model: Prismatic, folder: Path, device: torch.device | str, dtype: torch.dtype
) -> None:
    """Fill a :func:`blank` model with a checkpoint's weights, all of them and no others.

    Names and shapes are compared before any weight is read.

    Raises:
        UnblindError: see `weights.files` and `weights.check`.
    """
    paths = weights.files(folder)
    wanted, found = shapes(model), weights.shapes(paths)
    weights.check(wanted, found, folder, _remedy(wanted, found))
    state = {
        rename(name): tensor.to(device, dtype, copy=True) for name, tensor in weights.tensors(paths)
    }
    model.load_state_dict(state, strict=True, assign=True)
    restore_rotations(model, device)


def restore_rotations(model: Prismatic, device: torch.device | str) -> None:
    """Compute the decoder's rotary frequencies, which no checkpoint holds."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    decoder = model.language_model
    decoder.model.rotary_emb = LlamaRotaryEmbedding(decoder.config).to(device)


def _remedy(wanted: Mapping[str, weights.Shape], found: Mapping[str, weights.Shape]) -> str:
    """Return what to do about differences, by the part of the model in which they are."""
    differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if any(name.endswith(("embed_tokens.weight", "lm_head.weight")) for name in differing):
        rows = wanted["language_model.lm_head.weight"][0]
        return f"use a checkpoint with Llama-2's vocabulary, padded to {rows} ids"
    if any(name.startswith("vision_backbone.") for name in differing):
        return "use a checkpoint with the vision towers that its config.json names"
    return _AGAIN


def check_device(device: str) -> torch.device:
    """Return a device that can be used.

    Raises:
        UnblindError: it is no device, or this machine has none of its kind.
    """
    try:
        chosen = torch.device(device)
        if chosen.type not in ("cpu", "cuda"):
            raise RuntimeError("not supported")
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UnblindError(f"cannot use device '{device}': {reason}", "use cpu or cuda") from None
    return chosen
