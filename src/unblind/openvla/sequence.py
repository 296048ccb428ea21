"""Sequences [BOS][visual tokens][text] whose texts are padded on the left.

BOS and the visual tokens stay at the start, the padding stands between them and the text, and
position ids count unpadded tokens only, as in the release's batched evaluation
(``processing_prismatic.py``): so every row ends at the same place, and equals the row without
padding.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from unblind.vla.prismatic import Prismatic

if TYPE_CHECKING:
    from transformers import Cache
    from transformers.modeling_outputs import BaseModelOutputWithPast


class Prompts(NamedTuple):
    """Texts of equal length.

    Attributes:
        ids: (B, T) token ids, without BOS.
        seen: (B, T) bool, False where there is padding; None if there is none.
    """

    ids: Tensor
    seen: Tensor | None


def pad_left(
    prompts: Sequence[Sequence[int]],
    pad: int,
    device: torch.device | str = "cpu",
    length: int | None = None,
) -> Prompts:
    """Return prompts as one batch.

    Args:
        prompts: token ids, at least one each.
        pad: id of the padding.
        device: of the result.
        length: pads to this many tokens; default: the longest prompt.
    """
    lengths = [len(prompt) for prompt in prompts]
    longest = max(*lengths, length or 0)
    ids = [[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    seen = None
    if min(lengths) < longest:
        counts = torch.tensor(lengths, device=device)
        seen = torch.arange(longest, device=device) >= longest - counts[:, None]
    return Prompts(torch.tensor(ids, device=device), seen)


def places(seen: Tensor) -> Tensor:
    """Return position ids (B, N) that count the unpadded tokens of (B, N) bool."""
    return seen.long().cumsum(1) - 1


def run(
    model: Prismatic,
    pixels: Tensor,
    prompts: Prompts,
    layers: bool = False,
    cache: "Cache | None" = None,
) -> "BaseModelOutputWithPast":
    """Run the decoder over whole sequences.

    Args:
        model: the model.
        pixels: (B, 3 towers, S, S) pixel values in the model's precision.
        prompts: texts on the model's device.
        layers: also return the hidden states after every block.
        cache: a transformers cache to fill, or None.

    Returns:
        transformers' output: ``last_hidden_state`` (B, 1 + n + T, hidden), normed, and with
        ``layers`` also ``hidden_states``.
    """
    prefix = model.prefix(pixels)
    embedded = model.language_model.get_input_embeddings()(prompts.ids)
    mask = positions = None
    if prompts.seen is not None:
        seen = everything_seen(prompts, prefix.shape[1])
        causal = torch.ones(seen.shape[1], seen.shape[1], dtype=torch.bool, device=seen.device)
        mask, positions = (causal.tril() & seen[:, None])[:, None], places(seen)
    return model.language_model.model(
        inputs_embeds=torch.cat([prefix, embedded], dim=1),
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=cache is not None,
        output_hidden_states=layers,
    )


def everything_seen(prompts: Prompts, start: int) -> Tensor:
    """Return which positions of whole sequences are no padding, (B, start + T) bool."""
    seen = torch.ones_like(prompts.ids, dtype=torch.bool) if prompts.seen is None else prompts.seen
    return torch.cat([seen.new_ones(len(seen), start), seen], dim=1)
