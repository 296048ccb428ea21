"""Greedy decoding with a cache, for a batch of pictures with prompts of different lengths.

transformers' ``generate`` is not used: under its present versions OpenVLA's own code would skip
the vision tower silently.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from unblind.vla.layout import Turn, collate
from unblind.vla.prismatic import Prismatic, attention_mask


@torch.no_grad()
def decode(
    model: Prismatic,
    images: Tensor,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    allowed: range,
    length: int | None = None,
) -> Tensor:
    """Return the most likely tokens that follow each prompt.

    Args:
        model: in evaluation mode.
        images: (B, 3, S, S) in [0, 1].
        prompts: token ids, one prompt a picture.
        tokens: how many to decode.
        allowed: the ids to choose from.
        length: pads prompts to this many positions, so that a batch always has the same shape.

    Returns:
        (B, tokens) ids.

    Raises:
        UnblindError: a prompt is too long for the model, or its scores are not finite.
    """
    model.check_length(prompts, tokens)
    text = collate([[Turn(tuple(p), (0,), (0.0,))] for p in prompts], length).text
    prefix = model.prefix(model.vision_backbone.low(images))
    embed = model.language_model.get_input_embeddings()
    start = prefix.shape[1]
    lengths = (text.branches >= 0).sum(1)
    batch = len(prompts)
    cache = DynamicCache()
    states = model.language_model.model(
        inputs_embeds=torch.cat([prefix, embed(text.ids)], dim=1),
        attention_mask=attention_mask(start, text),
        position_ids=torch.cat(
            [torch.arange(start).expand(batch, -1), start + text.positions], dim=1
        ),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    state = states[torch.arange(batch), start + lengths - 1]
    # New tokens stand behind the padding in the cache; the mask hides the padding from them.
    seen = torch.cat([torch.ones(batch, start, dtype=torch.bool), text.branches >= 0], dim=1)
    chosen: list[Tensor] = []
    for step in range(tokens):
        chosen.append(model.scores(state, allowed).argmax(-1) + allowed.start)
        if step + 1 == tokens:
            break
        seen = torch.cat([seen, torch.ones(batch, 1, dtype=torch.bool)], dim=1)
        state = model.language_model.model(
            inputs_embeds=embed(chosen[-1])[:, None],
            attention_mask=seen[:, None, None],
            position_ids=(start + lengths + step)[:, None],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, 0]
    return torch.stack(chosen, dim=1)
