"""Where training examples come from: pictures with turns, drawn by position and seed alone.

A source answers for position k of its own endless stream; which example that is depends on the
seed and k, so training can go on from any step, in any number of processes, with the same data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from unblind.sim import camera, labels, shards
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
        gripper_lift: gripper token on the closing frame and the six after it.
        still_motion: motion tokens on frames whose label stands still.
    """

    gripper_reach: float
    gripper_lift: float
    still_motion: float

    def of(self, frame: int, closing: int, action: np.ndarray) -> tuple[float, ...]:
        """Return the weights of the 7 tokens and EOS of the label at ``frame``."""
        after = frame - closing
        gripper = self.gripper_lift if 0 <= after <= 6 else 1.0
        if -4 <= after < 0:
            gripper = self.gripper_reach
        still = not np.any(np.abs(action[:6]) > 1e-4)
        motion = self.still_motion if still else 1.0
        return (*[motion] * 6, gripper, 1.0)


class Frame(NamedTuple):
    """One labelled step of a demonstration.

    Attributes:
        image: PNG bytes.
        turn: the instruction and its action.
        questions: what may be asked besides, as prompt and answer texts.
        stage: the planner's stage.
    """

    image: bytes
    turn: Turn
    questions: tuple[tuple[str, str], ...]
    stage: str


class Demonstrations:
    """Labelled frames of demonstrations, with questions about where things are.

    Args:
        folder: of a demonstration set.
        split: ``train`` or ``held_out``.
        vocabulary: of the model.
        codec: actions to tokens.
        rule: which steps become labels (`labels.apply`).
        weights: of the loss.
        questions: how many of a frame's questions are asked beside the action.
        seed: of the order.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        vocabulary: Vocabulary,
        codec: ActionCodec,
        rule: labels.Rule,
        weights: ActionWeights,
        questions: int,
        seed: int,
    ) -> None:
        self._vocabulary, self._codec, self._weights = vocabulary, codec, weights
        self._rule, self._questions = rule, questions
        self.frames = [
            frame for episode in shards.load(folder, split) for frame in self._frames(episode)
        ]
        self._order = Order(len(self.frames), seed)

    def _frames(self, episode: dict) -> list[Frame]:
        actions = episode["actions"]
        labelled = labels.apply(self._rule, actions, episode["executed"])
        closing = int(np.argmax(actions[:, 6] < 0)) if (actions[:, 6] < 0).any() else len(actions)
        prompt = self._vocabulary.action_prompt(episode["instruction"])
        tokens = self._codec.encode(labelled.actions)
        places = _places(episode)
        frames = []
        for frame, action, ids in zip(labelled.frames, labelled.actions, tokens, strict=True):
            weights = self._weights.of(int(frame), closing, action)
            turn = Turn.of(prompt, ids.tolist())
            turn = Turn(turn.prompt, turn.answer, weights, "action")
            frames.append(
                Frame(episode["images"][frame], turn, places[frame], episode["stages"][frame])
            )
        return frames

    def index(self, position: int) -> int:
        """Return which frame stands at a position of the stream."""
        return self._order[position]

    def draw(self, position: int, rng: np.random.Generator) -> Example:
        """Return a frame, its action and some of its questions."""
        frame = self.frames[self.index(position)]
        turns = [frame.turn]
        if self._questions:
            asked = rng.permutation(len(frame.questions))[: self._questions]
            turns += [ask(self._vocabulary, *frame.questions[k]) for k in asked]
        return Example(picture(frame.image), turns)


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
    from unblind.sim import conditions, pretraining

    return _parse(instruction, (*pretraining.TEMPLATES, *conditions.TEMPLATES))


def _parse(instruction: str, templates: Sequence[str]) -> tuple[str, str]:
    import re

    for template in templates:
        pattern = re.escape(template).replace(r"\{object\}", "(?P<object>.+?)")
        pattern = pattern.replace(r"\{plate\}", "(?P<plate>.+)")
        if found := re.fullmatch(pattern, instruction):
            return found["object"], found["plate"]
    raise ValueError(f"no template makes {instruction!r}")


def picture(data: bytes) -> np.ndarray:
    """Return PNG bytes as (H, W, 3) uint8 RGB."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


class Questions:
    """Generated pictures with questions (`training.vlm_data`)."""

    def __init__(
        self, folder: Path, split: str, vocabulary: Vocabulary, turns: int, seed: int
    ) -> None:
        from unblind.training import vlm_data

        self._rows = vlm_data.read(folder, split)
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
        return Example(picture(row["image"]), turns)


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
