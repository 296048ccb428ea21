"""What is said about pictures and frames of demonstrations, as turns of the model's tokens."""

from collections.abc import Sequence

import numpy as np

from unblind.sim import camera
from unblind.training.frames import ActionWeights, Labelled, Order, action_turns, no_frame
from unblind.vla.batch import Turn
from unblind.vla.text import Vocabulary, location
from unblind.vla.tokens import ActionCodec


class Demonstrations:
    """Labelled frames: instructions with their actions, and questions about where things are.

    The seed decides an endless order; see `frames.Frames` for the same without questions.

    Args:
        labelled: which frames.
        vocabulary: of the model.
        codec: actions to tokens.
        weights: of the loss.
        asked: how many of a frame's questions are asked beside the action.
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
        asked: int,
        seed: int,
    ) -> None:
        self._vocabulary, self._asked = vocabulary, asked
        self.actions: list[Turn] = []
        self.questions: list[tuple[tuple[str, str], ...]] = []
        for episode, labels in labelled.episodes(images=False):
            self.actions += action_turns(episode, labels, vocabulary, codec, weights)
            places = _places(episode)
            self.questions += [places[frame] for frame in labels.frames]
        if not self.actions:
            raise no_frame(labelled)
        self._order = Order(len(self.actions), seed)

    def __len__(self) -> int:
        return len(self.actions)

    def rows(self, positions: Sequence[int]) -> list[int]:
        """Return which frames stand at positions of the stream."""
        return [self._order[position] for position in positions]

    def turns(self, row: int, rng: np.random.Generator) -> list[Turn]:
        """Return a frame's action and some of its questions."""
        questions = self.questions[row]
        asked = rng.permutation(len(questions))[: self._asked]
        return [self.actions[row], *(ask(self._vocabulary, *questions[k]) for k in asked)]


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
