"""The trained model as a policy: pictures and instructions in, executable actions out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from unblind.rollout.policies import Observation
from unblind.vla import checkpoint, lora
from unblind.vla.decode import decode
from unblind.vla.images import to_model
from unblind.vla.text import UNKNOWN, action_prompt

_TOKENS = 7
#: Prompts are padded to this many tokens or its next multiple: every batch has the same shape.
_LENGTH = 16


class VlaPolicy:
    """Greedy decoding of seven action tokens a step, in batches of one fixed width.

    The width is fixed because the last digits of a matrix product may depend on its shape: an
    episode's actions must not depend on how many others run beside it.

    Args:
        loaded: base model, tokenizer and action statistics; adapters already merged.
        width: pictures in a batch.

    Attributes:
        codec: actions to tokens and back.
    """

    needs_images = True

    def __init__(self, loaded: checkpoint.Checkpoint, width: int = 8) -> None:
        self._model, self._vocabulary = loaded.model.eval(), loaded.vocabulary
        self.codec, self._width = loaded.codec, width

    def prompt(self, instruction: str) -> tuple[int, ...]:
        """Return the token ids of the prompt for an instruction."""
        return self._vocabulary.encode(action_prompt(instruction))

    def unknown_words(self, instruction: str) -> tuple[str, ...]:
        """Return the words of an instruction that the model has no token for."""
        words = instruction.split()
        return tuple(word for word in words if UNKNOWN in self._vocabulary.encode(word))

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return (N, 7) actions: m, rad, and -1 or 1 for the gripper."""
        return np.concatenate(
            [
                self._act(observations[start : start + self._width])
                for start in range(0, len(observations), self._width)
            ]
        )

    def _act(self, observations: Sequence[Observation]) -> np.ndarray:
        images = np.stack([observation.image for observation in observations])
        prompts = [self.prompt(observation.episode.instruction) for observation in observations]
        return self.predict(images, prompts)

    def predict(self, images: np.ndarray, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        """Return (N, 7) actions of at most ``width`` pictures (N, H, W, 3) uint8 and prompts."""
        return self.codec.decode(self.tokens(images, prompts)).astype(np.float32)

    def tokens(self, images: np.ndarray, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the (N, 7) action tokens of at most ``width`` pictures."""
        missing = self._width - len(prompts)
        padded = np.concatenate([images, np.repeat(images[:1], missing, axis=0)])
        longest = max(len(prompt) for prompt in prompts)
        ids = decode(
            self._model,
            to_model(padded, self._model.config.image_size),
            [*prompts, *[prompts[0]] * missing],
            _TOKENS,
            self._vocabulary.actions,
            -(-longest // _LENGTH) * _LENGTH,
        )
        return ids[: len(prompts)].numpy()


def load_policy(base: Path, adapter: Path | None, width: int = 8) -> VlaPolicy:
    """Return the policy of a base model, or of a run's adapter on it.

    Args:
        base: folder of the base model.
        adapter: folder of a run, None for the base itself.
        width: pictures in a batch.

    Raises:
        UnblindError: something is missing, damaged, or belongs to another base.
    """
    torch.set_num_threads(1)
    loaded = checkpoint.load(base)
    if adapter is not None:
        wrapped = lora.load_adapter(loaded.model, adapter, base / checkpoint.WEIGHTS)
        loaded = checkpoint.Checkpoint(
            lora.merge(wrapped), loaded.vocabulary, loaded.codec, loaded.sha256
        )
    return VlaPolicy(loaded, width)
