"""From prompts and answers to padded batches: who is asked, what is learned, with what weight.

Texts are padded on the right; `unblind.vla.prismatic.attention_mask` hides the padding from all
else, so a row computes what it would alone. The release pads prompts on the left, which is
another way to write the same mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from unblind.vla.prismatic import Text
from unblind.vla.text import EOS

#: Stands where there is no text; any id would do, for nothing sees it.
PAD = 0


@dataclass(frozen=True)
class Turn:
    """A prompt and what follows it.

    Attributes:
        prompt: token ids.
        answer: token ids, EOS included.
        weights: of the loss, one for each token of the answer.
        family: what the answer is, for logs.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    weights: tuple[float, ...]
    family: str = "question"

    @classmethod
    def of(cls, prompt: Sequence[int], answer: Sequence[int], weight: float = 1.0) -> "Turn":
        """Return a turn that learns the answer and EOS with one weight."""
        answer = (*answer, EOS)
        return cls(tuple(prompt), answer, (weight,) * len(answer))


class Batch(NamedTuple):
    """Texts of several pictures with their targets.

    Attributes:
        text: what the decoder reads; the last token of an answer is not fed.
        rows: (M,) picture of each target.
        places: (M,) position in the text at which it is predicted.
        targets: (M,) token ids.
        weights: (M,) weights of the loss.
        orders: (M,) number of the target within its answer.
        is_action: (M,) whether it belongs to an action.
    """

    text: Text
    rows: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    orders: Tensor
    is_action: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Return the same batch on a device."""
        text, *columns = self
        moved = Text(*(tensor.to(device) for tensor in text))
        return type(self)(moved, *(tensor.to(device) for tensor in columns))


def collate(
    examples: Sequence[Sequence[Turn]],
    length: int | None = None,
    device: torch.device | str = "cpu",
) -> Batch:
    """Return a batch of pictures with their turns, each turn a branch of its own.

    Args:
        examples: turns of each picture.
        length: text positions; default: as many as needed.
        device: of the result.
    """
    needed = max(sum(len(t.prompt) + len(t.answer) - 1 for t in turns) for turns in examples)
    shape = (len(examples), length or needed)
    ids, positions, branches = np.full(shape, PAD), np.zeros(shape, int), np.full(shape, -1)
    columns: list[tuple] = []
    for row, turns in enumerate(examples):
        start = 0
        for number, turn in enumerate(turns):
            fed = (*turn.prompt, *turn.answer[:-1])
            end = start + len(fed)
            ids[row, start:end] = fed
            positions[row, start:end] = np.arange(len(fed))
            branches[row, start:end] = number
            first = start + len(turn.prompt) - 1
            columns += [
                (row, first + k, token, weight, k, turn.family == "action")
                for k, (token, weight) in enumerate(zip(turn.answer, turn.weights, strict=True))
            ]
            start = end
    rows, places, targets, weights, orders, is_action = (
        torch.tensor(column) for column in zip(*columns, strict=True)
    )
    text = Text(*(torch.from_numpy(array) for array in (ids, positions, branches)))
    return Batch(text, rows, places, targets, weights.float(), orders, is_action).to(device)
