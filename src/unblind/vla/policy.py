"""A model at work: pictures and instructions to actions, pictures and questions to words.

It knows no simulator. Batches have one width and prompts one of few lengths, because the last
digits of a matrix product may depend on its shape: what is done about one picture must not depend
on how many others stand beside it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unblind.errors import UnblindError
from unblind.vla import checkpoint, lora
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.decode import Sampling, decode, draws
from unblind.vla.prismatic import Prismatic
from unblind.vla.text import EOS
from unblind.vla.tokens import ACTION_WIDTH, ActionCodec

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
        loaded: the checkpoint.
        codec: actions to tokens and back.
    """

    def __init__(
        self,
        loaded: Checkpoint,
        unnorm_key: str | None = None,
        sampling: Sampling | None = None,
        width: int = 8,
    ) -> None:
        self.codec: ActionCodec = loaded.codec(unnorm_key)
        self.loaded, self._sampling, self._width = loaded, sampling, width

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
        numbers = draws(keys, ACTION_WIDTH) if self._sampling else None
        prompts = [self.loaded.vocabulary.action_prompt(text) for text in instructions]
        batches = []
        for start in range(0, len(images), self._width):
            rows = slice(start, start + self._width)
            random = None if numbers is None else numbers[rows]
            batches.append(self._batch(images[rows], prompts[rows], random))
        return torch.cat(batches).numpy()

    def _batch(self, images: np.ndarray, prompts: list, numbers: Tensor | None) -> Tensor:
        """Return the tokens of at most ``width`` pictures."""
        count, longest = len(images), max(len(prompt) for prompt in prompts)
        rows = [*range(count), *[0] * (self._width - count)]  # repeats fill the batch
        ids = decode(
            self.loaded.model,
            _pixels(self.loaded, images[rows]),
            [prompts[row] for row in rows],
            ACTION_WIDTH,
            self.loaded.vocabulary.actions,
            -(-longest // _LENGTH) * _LENGTH,
            self._sampling,
            None if numbers is None else numbers[rows],
        )
        return ids[:count].cpu()


def load(
    base: str | Path | Checkpoint,
    adapter: Path | None = None,
    unnorm_key: str | None = None,
    sampling: Sampling | None = None,
    width: int = 8,
) -> Policy:
    """Return the policy of a base model, or of a run's adapter on it.

    On a CPU it computes with one thread, so that the number of cores decides no digit.

    Args:
        base: a folder, ``owner/name@commit`` of the hub, or a loaded checkpoint, which is used up.
        adapter: folder of a run, None for the base itself. Action statistics that lie in it
            replace the base's.
        unnorm_key: see :class:`Policy`.
        sampling: see :class:`Policy`.
        width: pictures in a batch.

    Raises:
        UnblindError: something is missing, damaged, or belongs to another base.
    """
    loaded = base if isinstance(base, Checkpoint) else checkpoint.load(base)
    if _where(loaded.model)[0].type == "cpu":
        torch.set_num_threads(1)
    if adapter is not None:
        model = lora.merge(lora.load_adapter(loaded.model, adapter, loaded.identity)).eval()
        own = checkpoint.read_statistics(adapter)
        unnorm_key = None if own else unnorm_key
        loaded = replace(loaded, model=model, statistics=own or loaded.statistics)
    return Policy(loaded, unnorm_key, sampling, width)


def answer(
    loaded: Checkpoint, images: np.ndarray, questions: Sequence[str], tokens: int = 128
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
    ids = decode(
        loaded.model,
        _pixels(loaded, images),
        [loaded.vocabulary.question_prompt(question) for question in questions],
        tokens,
        range(loaded.vocabulary.size),
        stop=EOS,
    )
    return [loaded.vocabulary.decode(row) for row in ids.cpu().tolist()]


def _where(model: Prismatic) -> tuple[torch.device, torch.dtype]:
    """Return where a model lies and its precision."""
    weight = model.language_model.lm_head.weight
    return weight.device, weight.dtype


def _pixels(loaded: Checkpoint, images: np.ndarray) -> Tensor:
    return loaded.pixels.evaluation(images, *_where(loaded.model))
