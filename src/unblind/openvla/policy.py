"""A published model at work: pictures and instructions to actions, pictures and questions to words.

It knows no simulator. Batches have one width and prompts one of few lengths, because the last
digits of a matrix product may depend on its shape: what is done about one picture must not depend
on how many others stand beside it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unblind.errors import UnblindError
from unblind.openvla.checkpoint import OpenVla
from unblind.openvla.decode import Sampling, decode, draws
from unblind.openvla.sequence import pad_left
from unblind.openvla.text import EOS
from unblind.vla.text import question_prompt
from unblind.vla.tokens import ActionCodec

_TOKENS = 7
#: Prompts are padded to this many tokens or its next multiple.
_LENGTH = 16


class Policy:
    """Seven action tokens a step, for batches of pictures.

    Args:
        loaded: from `checkpoint.load`, adapters already merged.
        unnorm_key: data set whose action statistics hold; None where there is only one.
        sampling: None: greedy; ``Sampling()``: as the release evaluates.
        width: pictures in a batch.

    Raises:
        UnblindError: there are no such statistics.

    Attributes:
        codec: actions to tokens and back.
    """

    def __init__(
        self,
        loaded: OpenVla,
        unnorm_key: str | None = None,
        sampling: Sampling | None = None,
        width: int = 8,
    ) -> None:
        self.codec: ActionCodec = loaded.codec(unnorm_key)
        self._loaded, self._sampling, self._width = loaded, sampling, width

    def act(
        self,
        images: np.ndarray,
        instructions: Sequence[str],
        keys: Sequence[Sequence[int]] | None = None,
    ) -> np.ndarray:
        """Return (N, 7) float32 actions: m, rad, and -1 or 1 for the gripper.

        Args:
            images: (N, H, W, 3) uint8, RGB, as the camera gives them.
            instructions: one a picture.
            keys: whole numbers from 0 that name each row's random stream, if actions are sampled.

        Raises:
            UnblindError: their numbers differ, keys are missing, an instruction is too long for
                the model, or its scores are not finite.
        """
        return self.codec.decode(self.tokens(images, instructions, keys)).astype(np.float32)

    def tokens(
        self,
        images: np.ndarray,
        instructions: Sequence[str],
        keys: Sequence[Sequence[int]] | None = None,
    ) -> np.ndarray:
        """Return the (N, 7) action tokens; see :meth:`act`."""
        if len(images) != len(instructions) or (self._sampling and len(keys or ()) != len(images)):
            raise UnblindError(
                f"{len(images)} pictures, {len(instructions)} instructions and "
                f"{len(keys or ())} keys",
                "give one instruction, and one key if actions are sampled, for every picture",
            )
        numbers = draws(keys, _TOKENS) if self._sampling else None
        prompts = [self._loaded.vocabulary.action_prompt(text) for text in instructions]
        self._loaded.model.check_length(prompts, _TOKENS)
        parts = []
        for start in range(0, len(images), self._width):
            rows = slice(start, start + self._width)
            random = None if numbers is None else numbers[rows]
            parts.append(self._batch(images[rows], prompts[rows], random))
        return torch.cat(parts).numpy()

    def _batch(self, images: np.ndarray, prompts: list, numbers: Tensor | None) -> Tensor:
        """Return the tokens of at most ``width`` pictures."""
        count, loaded = len(images), self._loaded
        rows = np.arange(self._width) % count  # repeats fill the batch
        longest = max(len(prompt) for prompt in prompts)
        weight = loaded.model.language_model.lm_head.weight
        ids = decode(
            loaded.model,
            loaded.pixels.evaluation(images[rows], weight.device, weight.dtype),
            pad_left(
                [prompts[row] for row in rows],
                loaded.vocabulary.pad,
                weight.device,
                -(-longest // _LENGTH) * _LENGTH,
            ),
            _TOKENS,
            loaded.vocabulary.actions,
            self._sampling,
            None if numbers is None else numbers[torch.from_numpy(rows)],
        )
        return ids[:count].cpu()


def answer(
    loaded: OpenVla, images: np.ndarray, questions: Sequence[str], tokens: int = 128
) -> list[str]:
    """Return what a vision-language model answers, greedily (released ``ask_vlm``: 128 tokens).

    Args:
        loaded: from `checkpoint.load`, for example the Prismatic VLM.
        images: (N, H, W, 3) uint8, RGB.
        questions: one a picture.
        tokens: longest answer.

    Raises:
        UnblindError: a question is too long for the model, or its scores are not finite.
    """
    weight = loaded.model.language_model.lm_head.weight
    prompts = [loaded.vocabulary.encode(question_prompt(question)) for question in questions]
    loaded.model.check_length(prompts, tokens)
    ids = decode(
        loaded.model,
        loaded.pixels.evaluation(images, weight.device, weight.dtype),
        pad_left(prompts, loaded.vocabulary.pad, weight.device),
        tokens,
        range(loaded.vocabulary.size),
        stop=EOS,
    )
    return [loaded.vocabulary.decode(row) for row in ids.cpu().tolist()]
