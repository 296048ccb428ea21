"""Decoding with a cache: greedy, or sampled as the release evaluates.

transformers' ``generate`` is not used: under its present versions OpenVLA's own code would skip
the vision tower silently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from unblind.errors import UnblindError
from unblind.vla.batch import Turn, collate
from unblind.vla.prismatic import Prismatic


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; without it the likeliest is taken.

    Attributes:
        temperature: divides the scores (0.6: the release's evaluation, ``vla_temperature_eval``).
        top: draw among this many likeliest tokens only; 0: among all. The release does not set
            it, which means 50: the default of transformers' ``generate``.
    """

    temperature: float = 0.6
    top: int = 50

    def __post_init__(self) -> None:
        """Raise UnblindError where nothing could be drawn."""
        if not self.temperature > 0 or self.top < 0:
            raise UnblindError(
                f"cannot sample at temperature {self.temperature} among {self.top} tokens",
                "give a temperature above 0, or decode greedily",
            )


def draws(keys: Sequence[Sequence[int]], tokens: int) -> Tensor:
    """Return uniform numbers (B, tokens) in [0, 1), float64, for :func:`decode`.

    Every row has a stream of its own, so that what is drawn for one picture depends neither on
    the pictures beside it nor on the device.

    Args:
        keys: whole numbers from 0 that name each row's stream, for example (seed, episode, step).
        tokens: numbers in a row.
    """
    rows = [np.random.default_rng(list(key)).random(tokens) for key in keys]
    return torch.from_numpy(np.stack(rows))


@torch.no_grad()
def decode(
    model: Prismatic,
    pixels: Tensor,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    allowed: range,
    length: int | None = None,
    sampling: Sampling | None = None,
    numbers: Tensor | None = None,
    stop: int | None = None,
) -> Tensor:
    """Return the tokens that follow each prompt, on the device of ``pixels``.

    Args:
        model: in evaluation mode.
        pixels: (B, 3 towers, S, S) pixel values in the model's precision.
        prompts: token ids without BOS, one prompt a picture.
        tokens: how many to decode.
        allowed: the ids to choose from.
        length: pads prompts to this many positions, so that a batch always has the same shape.
        sampling: None: greedy.
        numbers: (B, tokens) uniform numbers from :func:`draws`, needed with ``sampling``.
        stop: ends early once every row has had this id (rows go on until then).

    Returns:
        (B, at most ``tokens``) ids.

    Raises:
        UnblindError: there is nothing to sample with, a prompt is too long for the model, or its
            scores are not finite.
    """
    if sampling is not None and numbers is None:
        raise UnblindError("sampling needs random numbers", "pass those of decode.draws")
    model.check_length(prompts, tokens)
    sequences = _Sequences(model, pixels, prompts, length)
    chosen: list[Tensor] = []
    for step in range(tokens):
        scores = model.scores(sequences.state, allowed)
        number = None if sampling is None else numbers[:, step]
        chosen.append(_choose(scores, sampling, number) + allowed.start)
        if step + 1 == tokens or _all_stopped(chosen, stop):
            break
        sequences.append(chosen[-1])
    return torch.stack(chosen, dim=1)


class _Sequences:
    """Sequences that grow by one token a step, with the keys and values of all before it.

    Attributes:
        state: (B, hidden) normed states of the last tokens.
    """

    def __init__(
        self,
        model: Prismatic,
        pixels: Tensor,
        prompts: Sequence[Sequence[int]],
        length: int | None,
    ) -> None:
        turns = [[Turn(tuple(prompt), (0,), (0.0,))] for prompt in prompts]
        text = collate(turns, length, pixels.device).text
        self._decoder, self._cache = model.language_model, DynamicCache()
        low = model.vision_backbone.low(pixels)
        (states,) = model.hidden(low, text, cache=self._cache)
        written = text.branches >= 0
        start = states.shape[1] - written.shape[1]
        self._next = start + written.sum(1)
        self.state = states[torch.arange(len(prompts), device=states.device), self._next - 1]
        # New tokens stand behind the padding in the cache; the mask hides the padding from them.
        self._seen = torch.cat([written.new_ones(len(prompts), start), written], dim=1)

    def append(self, ids: Tensor) -> None:
        """Add a token (B,) to each sequence."""
        self._seen = torch.cat([self._seen, self._seen.new_ones(len(ids), 1)], dim=1)
        self.state = self._decoder.model(
            inputs_embeds=self._decoder.get_input_embeddings()(ids)[:, None],
            attention_mask=self._seen[:, None, None],
            position_ids=self._next[:, None],
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state[:, 0]
        self._next = self._next + 1


def _all_stopped(chosen: list[Tensor], stop: int | None) -> bool:
    if stop is None:
        return False
    return bool((torch.stack(chosen, dim=1) == stop).any(1).all())


def _choose(scores: Tensor, sampling: Sampling | None, number: Tensor | None) -> Tensor:
    """Return one index a row of scores (B, n)."""
    if sampling is None:
        return scores.argmax(-1)
    scores = scores.float() / sampling.temperature
    if 0 < sampling.top < scores.shape[-1]:
        least = scores.topk(sampling.top).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    share = scores.double().softmax(-1).cumsum(-1)
    # The first index whose cumulated share exceeds the number; shares of rounding end below 1.
    index = torch.searchsorted(share, number.to(share)[:, None] * share[:, -1:], right=True)
    return index[:, 0]
