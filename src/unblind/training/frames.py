"""What is fine-tuned on: the labelled frames of demonstrations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unblind import png
from unblind.demos import shards
from unblind.demos.labels import Labels, Rule, apply
from unblind.errors import UnblindError
from unblind.vla.batch import Turn
from unblind.vla.text import EOS, Vocabulary
from unblind.vla.tokens import ActionCodec

if TYPE_CHECKING:
    from unblind.config import ActionLoss


class Order:
    """Endless shuffled passes over ``size`` items, each in an order of its own seed."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._pass, self._items = -1, np.empty(0, int)

    def __getitem__(self, position: int) -> int:
        number, place = divmod(position, self._size)
        if number != self._pass:
            self._items = np.random.default_rng([self._seed, number]).permutation(self._size)
            self._pass = number
        return int(self._items[place])


@dataclass(frozen=True)
class ActionWeights:
    """Weights of the loss on action tokens; all 1 is the plain cross-entropy.

    The gripper's token decides an episode on the few frames around the grasp.

    Attributes:
        gripper_reach: gripper token on the last four frames before closing.
        gripper_lift: gripper token on the closing frame and the six after it, and where the
            gripper is opened again because it holds nothing.
        still_motion: motion tokens on frames whose label stands still.
    """

    gripper_reach: float
    gripper_lift: float
    still_motion: float

    @classmethod
    def read(cls, loss: "ActionLoss") -> "ActionWeights":
        """Return the weights that the configuration asks for."""
        return cls(loss.gripper_reach, loss.gripper_lift, loss.still_motion)

    def of(self, frame: int, closing: int, action: np.ndarray) -> tuple[float, ...]:
        """Return the weights of the 7 tokens and EOS of the label at ``frame``."""
        after = frame - closing
        gripper = self.gripper_lift if 0 <= after <= 6 else 1.0
        if -4 <= after < 0:
            gripper = self.gripper_reach
        still = not np.any(np.abs(action[:6]) > 1e-4)
        motion = self.still_motion if still else 1.0
        return (*[motion] * 6, gripper, 1.0)


@dataclass(frozen=True)
class Labelled:
    """Which frames of a set of demonstrations are learned from.

    Attributes:
        folder: of the demonstrations.
        split: ``train`` or ``held_out``.
        rule: which steps become labels (`labels.apply`).
        shard: file name of the only shard that is read; None: all of them.
    """

    folder: Path
    split: str
    rule: Rule
    shard: str | None = None

    def parts(self) -> list["Labelled"]:
        """Return the same frames shard by shard.

        Raises:
            UnblindError: the manifest is missing or unreadable.
        """
        names = shards.load_manifest(self.folder)["shards"]
        return [replace(self, shard=name) for name in names if self._has(name)]

    def _has(self, name: str) -> bool:
        return name.rsplit("-", 1)[0] == self.split and self.shard in (None, name)

    def episodes(self, images: bool) -> Iterator[tuple[dict, Labels]]:
        """Yield episodes (see `shards.read`) with their labels, one shard in memory at a time.

        Raises:
            UnblindError: a shard is missing or damaged.
        """
        for name, checksum in shards.load_manifest(self.folder)["shards"].items():
            if self._has(name):
                path = Path(self.folder) / name
                shards.verify(path, checksum)
                for episode in shards.read(path, images):
                    actions, executed = episode["actions"], episode["executed"]
                    yield episode, apply(self.rule, actions, executed, episode["stages"])


class Pictures:
    """The pictures of labelled frames, (H, W, 3) uint8 RGB, in order and one by one."""

    def __init__(self, labelled: Labelled) -> None:
        """Count them.

        Raises:
            UnblindError: a shard is missing or damaged, or there is no frame.
        """
        self._labelled = labelled
        self._count = sum(len(labels.frames) for _, labels in labelled.episodes(images=False))
        if not self._count:
            raise no_frame(labelled)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[np.ndarray]:
        for episode, labels in self._labelled.episodes(images=True):
            for frame in labels.frames:
                yield png.decode(episode["images"][frame])


class Frames:
    """Prompts and actions of labelled frames, in an endless order that the seed decides.

    Args:
        labelled: which frames.
        vocabulary: of the model.
        codec: actions to tokens.
        weights: of the loss.
        seed: of the order.

    Raises:
        UnblindError: a shard is missing or damaged, or there is no frame.
    """

    def __init__(
        self,
        labelled: Labelled,
        vocabulary: Vocabulary,
        codec: ActionCodec,
        weights: ActionWeights,
        seed: int,
    ) -> None:
        self.turns: list[Turn] = []
        for episode, labels in labelled.episodes(images=False):
            self.turns += action_turns(episode, labels, vocabulary, codec, weights)
        if not self.turns:
            raise no_frame(labelled)
        self._order = Order(len(self.turns), seed)

    def __len__(self) -> int:
        return len(self.turns)

    def rows(self, positions: Sequence[int]) -> list[int]:
        """Return which frames stand at positions of the stream."""
        return [self._order[position] for position in positions]

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest prompt with all but the last token of its answer."""
        return max(len(turn.prompt) + len(turn.answer) - 1 for turn in self.turns)


def action_turns(
    episode: dict,
    labels: Labels,
    vocabulary: Vocabulary,
    codec: ActionCodec,
    weights: ActionWeights,
) -> list[Turn]:
    """Return the instruction with the action of each labelled frame of an episode."""
    first = int(labels.frames[0]) if len(labels.frames) else 0
    closed = episode["actions"][first:, 6] < 0
    closing = first + (int(np.argmax(closed)) if closed.any() else len(closed))
    reopens = [stage == "reopen" for stage in episode["stages"]]
    prompt = vocabulary.action_prompt(episode["instruction"])
    tokens = codec.encode(labels.actions)
    return [
        Turn(
            prompt,
            (*ids.tolist(), EOS),
            weights.of(int(frame), int(frame) if reopens[frame] else closing, action),
            "action",
        )
        for frame, action, ids in zip(labels.frames, labels.actions, tokens, strict=True)
    ]


def no_frame(labelled: Labelled) -> UnblindError:
    """Return the error of a set without a labelled frame."""
    cause = f"{labelled.folder} has no frame of '{labelled.split}'"
    return UnblindError(cause, "collect demonstrations")
