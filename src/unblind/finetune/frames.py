"""What is trained on: pictures at the model's size, each with its prompt and action tokens."""

from pathlib import Path

import numpy as np

from unblind.errors import UnblindError
from unblind.finetune.feed import Rows
from unblind.finetune.pictures import labelled
from unblind.sim import labels
from unblind.training import features
from unblind.training.data import Order
from unblind.vla.text import EOS, Vocabulary
from unblind.vla.tokens import ActionCodec


class Frames:
    """Labelled frames of demonstrations, in an endless order that the seed decides.

    Args:
        folder: of the demonstrations.
        split: ``train`` or ``held_out``.
        pictures: file of :func:`unblind.finetune.pictures.write`.
        vocabulary: of the model.
        codec: actions to tokens.
        rule: which steps become labels.
        seed: of the order.

    Raises:
        UnblindError: a shard is missing or damaged, there is no frame, or the pictures are missing
            or those of other frames.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        pictures: Path,
        vocabulary: Vocabulary,
        codec: ActionCodec,
        rule: labels.Rule,
        seed: int,
    ) -> None:
        self.prompts: list[tuple[int, ...]] = []
        answers: list[np.ndarray] = []
        for episode, found in labelled(folder, split, rule, images=False):
            tokens = codec.encode(found.actions)
            ends = np.full((len(tokens), 1), EOS, tokens.dtype)
            answers.append(np.concatenate([tokens, ends], axis=1))
            prompt = vocabulary.action_prompt(episode["instruction"])
            self.prompts += [prompt] * len(tokens)
        if not answers:
            raise UnblindError(f"{folder} has no frame of '{split}'", "collect demonstrations")
        self._pictures = features.read(pictures, len(self.prompts))
        self.answers = np.concatenate(answers)
        self._order = Order(len(self.prompts), seed)

    def rows(self, step: int, batch: int, part: int, parts: int) -> Rows:
        """Return one of the equal ``parts`` of the batch of a step."""
        positions = [step * batch + k for k in range(part, batch, parts)]
        chosen = [self._order[position] for position in positions]
        return Rows(
            np.stack([self._pictures[row] for row in chosen]),
            [self.prompts[row] for row in chosen],
            self.answers[chosen],
            positions,
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(map(len, self.prompts))
