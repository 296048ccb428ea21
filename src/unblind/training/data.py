"""Where training examples come from: pictures with turns, drawn by position and seed alone.

A source answers for position k of its own endless stream; which example that is depends on the
seed and k, so training can go on from any step, in any number of processes, with the same data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from unblind import png
from unblind.sim import camera
from unblind.training.frames import ActionWeights, Labelled, Order, action_turns
from unblind.vla.batch import Turn
from unblind.vla.text import Vocabulary, location
from unblind.vla.tokens import ActionCodec


class Example(NamedTuple):
    """A picture (H, W, 3) uint8 and what is asked about it."""

    image: np.ndarray
    turns: list[Turn]


class Source(Protocol):
    """An endless, seeded stream of examples."""

    def draw(self, position: int, rng: np.random.Generator) -> Example:
        """Return the example at ``position``; ``rng`` chooses among its questions."""


class Frame(NamedTuple):
    """One labelled step of a demonstration.

    Attributes:
        image: PNG bytes.
        turn: the instruction and its action.
        questions: what may be asked besides, as prompt and answer texts.
    """

    image: bytes
    turn: Turn
    questions: tuple[tuple[str, str], ...]


class Demonstrations:
    """Labelled frames of demonstrations with their pictures, and questions about where things are.

    Args:
        labelled: which frames.
        vocabulary: of the model.
        codec: actions to tokens.
        weights: of the loss.
        questions: how many of a frame's questions are asked beside the action.
        seed: of the order.
    """

    def __init__(
        self,
        labelled: Labelled,
        vocabulary: Vocabulary,
        codec: ActionCodec,
        weights: ActionWeights,
        questions: int,
        seed: int,
    ) -> None:
        self._vocabulary, self._questions = vocabulary, questions
        self.frames = []
        for episode, labels in labelled.episodes(images=True):
            turns = action_turns(episode, labels, vocabulary, codec, weights)
            questions_of = _places(episode)
            self.frames += [
                Frame(episode["images"][frame], turn, questions_of[frame])
                for frame, turn in zip(labels.frames, turns, strict=True)
            ]
        self._order = Order(len(self.frames), seed)

    def draw(self, position: int, rng: np.random.Generator) -> Example:
        """Return a frame, its action and some of its questions."""
        frame = self.frames[self._order[position]]
        turns = [frame.turn]
        if self._questions:
            asked = rng.permutation(len(frame.questions))[: self._questions]
            turns += [ask(self._vocabulary, *frame.questions[k]) for k in asked]
        return Example(png.decode(frame.image), turns)


def ask(vocabulary: Vocabulary, question: str, answer: str) -> Turn:
    """Return a question and its answer as a turn."""
    return Turn.of(vocabulary.question_prompt(question), vocabulary.encode(answer))


HEIGHT_QUESTION, HOLD_QUESTION = "how high is the gripper", "is the robot holding the"
#: A height above the table, in m, is told as a fraction of this.
HEIGHT_RANGE = 0.25


def place_text(xyz: np.ndarray) -> str:
    """Return the location tokens (row, column) at which the camera sees a world point (3,)."""
    column, row = camera.project(xyz[None])[0] / camera.FRAME
    return location(row) + location(column)


def _places(episode: dict) -> list[tuple[tuple[str, str], ...]]:
    """Return what can be asked at each frame of a demonstration."""
    name, plate = _names(episode["instruction"])
    frames = []
    for object_xyz, plate_xyz, gripper_xyz, held in zip(
        episode["object_xyz"],
        episode["plate_xyz"],
        episode["gripper_xyz"],
        episode["held"],
        strict=True,
    ):
        height = location((gripper_xyz[2] - camera.TABLE_Z) / HEIGHT_RANGE)
        frames.append(
            (
                (f"where is the {name}", place_text(object_xyz)),
                (f"where is the {plate}", place_text(plate_xyz)),
                ("where is the gripper", place_text(gripper_xyz)),
                (HEIGHT_QUESTION, height),
                (f"{HOLD_QUESTION} {name}", "yes" if held else "no"),
            )
        )
    return frames


def _names(instruction: str) -> tuple[str, str]:
    """Return the object and the plate of an instruction made from a known template."""
    from unblind.demos import pretraining
    from unblind.sim import conditions

    return _parse(instruction, (*pretraining.TEMPLATES, *conditions.TEMPLATES))


def _parse(instruction: str, templates: Sequence[str]) -> tuple[str, str]:
    import re

    for template in templates:
        pattern = re.escape(template).replace(r"\{object\}", "(?P<object>.+?)")
        pattern = pattern.replace(r"\{plate\}", "(?P<plate>.+)")
        if found := re.fullmatch(pattern, instruction):
            return found["object"], found["plate"]
    raise ValueError(f"no template makes {instruction!r}")


class Questions:
    """Generated pictures with questions (`unblind.pictures`)."""

    def __init__(
        self, folder: Path, split: str, vocabulary: Vocabulary, turns: int, seed: int
    ) -> None:
        from unblind.pictures import shards

        self._rows = shards.read(folder, split)
        self._vocabulary, self._turns = vocabulary, turns
        self._order = Order(len(self._rows), seed)

    @cached_property
    def rows(self) -> list[dict]:
        """The pictures with all their turns."""
        return self._rows

    def draw(self, position: int, rng: np.random.Generator) -> Example:
        """Return a picture with some of its questions."""
        row = self._rows[self._order[position]]
        asked = rng.permutation(len(row["turns"]))[: self._turns]
        turns = [
            ask(self._vocabulary, row["turns"][k]["question"], row["turns"][k]["answer"])
            for k in asked
        ]
        return Example(png.decode(row["image"]), turns)


@dataclass(frozen=True)
class Share:
    """A source and how many examples of each batch come from it."""

    source: Source
    count: int


def batch(
    shares: Sequence[Share], step: int, shard: int, n_shards: int, seed: int
) -> list[Example]:
    """Return the part ``shard`` of ``n_shards`` of the batch of ``step``."""
    rng = np.random.default_rng([seed, step, shard])
    examples = []
    for share in shares:
        mine = range(shard, share.count, n_shards)
        examples += [share.source.draw(step * share.count + k, rng) for k in mine]
    return examples


def jitter(image: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Return the picture with its brightness, contrast and colour balance changed at random.

    Args:
        image: (H, W, 3) uint8.
        rng: draws the change.
        amount: largest relative change.
    """
    if not amount:
        return image
    contrast = 1 + rng.uniform(-amount, amount)
    gain = 1 + rng.uniform(-amount, amount, 3)
    values = ((image.astype(np.float32) - 128) * contrast + 128) * gain.astype(np.float32)
    return np.clip(values, 0, 255).astype(np.uint8)
