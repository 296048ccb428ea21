"""What is trained on: pictures at the model's size, each with its prompt and action tokens.

Pictures are resized once for all runs (Lanczos, as the released loader resizes before it
augments) and lie in one file, row by row in the order of the labelled frames.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unblind import files
from unblind.errors import UnblindError
from unblind.openvla import lanczos
from unblind.openvla.text import EOS, LlamaVocabulary
from unblind.progress import Progress
from unblind.sim import labels, shards
from unblind.training import features
from unblind.training.data import Order, picture
from unblind.vla.tokens import ActionCodec

#: CPU-seconds to decode and resize a picture of 640 x 480 (measured on one core of an AMD EPYC).
_UNIT_CPU_S = 0.06


def write_pictures(folder: Path, split: str, rule: labels.Rule, size: int, path: Path) -> None:
    """Write the labelled frames of a split, (N, size, size, 3) uint8, as .npy.

    Args:
        folder: of the demonstrations.
        split: ``train`` or ``held_out``.
        rule: which steps become labels.
        size: side of the model's square picture, pixels.
        path: file to write.

    Raises:
        UnblindError: a shard is missing or damaged, there is no frame, or the disk is full.
    """
    count = sum(len(found.frames) for _, found in _labelled(folder, split, rule, images=False))
    if not count:
        raise UnblindError(f"{folder} has no frame of '{split}'", "collect demonstrations")
    progress, row = Progress(f"frames for {path.name}", count, _UNIT_CPU_S, 15.0), 0
    with files.atomic_path(path) as temporary:
        stored = np.lib.format.open_memmap(temporary, "w+", np.uint8, (count, size, size, 3))
        for episode, found in _labelled(folder, split, rule, images=True):
            for frame in found.frames:
                stored[row] = lanczos.resize(picture(episode["images"][frame])[None], size)[0]
                row += 1
            progress.advance(len(found.frames))
        stored.flush()


def _labelled(
    folder: Path, split: str, rule: labels.Rule, images: bool
) -> Iterator[tuple[dict, labels.Labels]]:
    """Yield episodes with their labels, one shard in memory at a time."""
    for name, checksum in shards.load_manifest(folder)["shards"].items():
        if name.rsplit("-", 1)[0] == split:
            path = Path(folder) / name
            shards.verify(path, checksum)
            for episode in shards.read(path, images):
                yield episode, labels.apply(rule, episode["actions"], episode["executed"])


class Rows(NamedTuple):
    """One process's part of a batch.

    Attributes:
        pictures: (b, S, S, 3) uint8.
        prompts: token ids of each prompt, without BOS.
        answers: (b, 8) int64: seven action tokens and EOS.
        positions: where they stand in the stream, which seeds their augmentation.
    """

    pictures: np.ndarray
    prompts: list[tuple[int, ...]]
    answers: np.ndarray
    positions: list[int]


class Frames:
    """Labelled frames of demonstrations, in an endless order that the seed decides.

    Args:
        folder: of the demonstrations.
        split: ``train`` or ``held_out``.
        pictures: file of :func:`write_pictures`.
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
        vocabulary: LlamaVocabulary,
        codec: ActionCodec,
        rule: labels.Rule,
        seed: int,
    ) -> None:
        self.prompts: list[tuple[int, ...]] = []
        answers: list[np.ndarray] = []
        for episode, found in _labelled(folder, split, rule, images=False):
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
