"""One picture and one instruction to one action."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unblind.config import Config
from unblind.errors import UnblindError, note
from unblind.rollout.factory import load_policy
from unblind.rollout.picture import read_picture
from unblind.rollout.trained import model_files, trained

if TYPE_CHECKING:
    from unblind.vla.policy import Policy

UNITS = {"x": "m", "y": "m", "z": "m", "roll": "rad", "pitch": "rad", "yaw": "rad"}
GRIPPER = {1.0: "open", -1.0: "close"}


@dataclass(frozen=True)
class Prediction:
    """What a model would do next.

    Attributes:
        action: (7,) x, y, z in m, roll, pitch, yaw in rad, gripper 1 (open) or -1 (close).
        tokens: the seven token ids that say so.
        unknown: words of the instruction that the model has never seen.
    """

    action: np.ndarray
    tokens: tuple[int, ...]
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        """Return a line for each number: name, value with unit, token id."""
        *motion, gripper = self.action.tolist()
        cells = [f"{value:+.5f} {unit}" for value, unit in zip(motion, UNITS.values(), strict=True)]
        rows = zip((*UNITS, "gripper"), (*cells, GRIPPER[gripper]), self.tokens, strict=True)
        return "\n".join(f"{name:<8} {value:<14} token {token}" for name, value, token in rows)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: each number with its unit."""
        *motion, gripper = self.action.tolist()
        action: dict[str, Any] = {
            name: {"value": round(value, 6), "unit": unit}
            for (name, unit), value in zip(UNITS.items(), motion, strict=True)
        }
        action["gripper"] = {"value": gripper, "command": GRIPPER[gripper]}
        unknown = list(self.unknown)
        return {"action": action, "tokens": list(self.tokens), "unknown_words": unknown}


def predict(config: Config, run: str, seed: int, image: Path, instruction: str) -> Prediction:
    """Return a run's first action for a picture of any size.

    Args:
        config: the whole configuration.
        run: a run with a trained policy.
        seed: which of its trainings.
        image: file of a picture.
        instruction: such as "put carrot on plate".

    Raises:
        UnblindError: the file is no picture, the run is unknown, scripted or not trained, the
            base is missing, or the instruction is too long for the model.
    """
    picture = read_picture(image)
    check_instruction(instruction)
    if trained(config, run, seed) is None:
        raise UnblindError(f"run '{run}' is scripted: it looks at no picture", "choose a model")
    model_files(config, run, seed)
    return ask(load_policy(config, run, seed), picture, instruction, (seed, 0, 0))


def predict_with_base(base: Path, image: Path, instruction: str) -> Prediction:
    """Return the likeliest action of a base model for a picture of any size.

    Args:
        base: folder of the model, for example a checkout's ``results/base``.
        image: file of a picture.
        instruction: such as "put carrot on plate".

    Raises:
        UnblindError: the file is no picture, the base is missing or damaged, or the instruction
            is too long for the model.
    """
    from unblind.vla import policy

    picture = read_picture(image)
    check_instruction(instruction)
    return ask(policy.load(base, width=1), picture, instruction, (0,))


def ask(
    policy: "Policy", picture: np.ndarray, instruction: str, key: tuple[int, ...]
) -> Prediction:
    """Return what a model does about a picture (H, W, 3) uint8; ``key`` seeds sampled actions."""
    tokens = policy.tokens(picture[None], [instruction], [key])
    unknown = policy.loaded.vocabulary.unknown_words(instruction)
    return Prediction(policy.codec.decode(tokens)[0], tuple(tokens[0].tolist()), unknown)


def check_instruction(instruction: str) -> None:
    """Note an instruction that says nothing: a model acts on it all the same."""
    if not instruction.strip():
        note("the instruction is empty: the model acts by the picture alone")
