"""Records by name: one for each condition, and for each in which a model is told something else."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from unblind.config import Arm, Config
from unblind.errors import UnblindError
from unblind.sim import conditions


@dataclass(frozen=True)
class ArmRecord:
    """A record in which a model is told something else.

    Attributes:
        condition: whose episodes it holds.
        arm: what it is told (`unblind.rollout.told`).
    """

    condition: str
    arm: Arm


def arms(config: Config) -> dict[str, ArmRecord]:
    """Return the records of instruction arms that a study has of each model, by name.

    Raises:
        UnblindError: ``rollout.arms`` names no condition, or one without distractors to tell of.
    """
    found = {}
    for arm, names in config.rollout.arms.items():
        for name in names:
            condition = conditions.get(name)
            scene = condition.space(condition.split)
            if arm == "told_other" and not (scene.distractors or scene.distractor_plates):
                raise UnblindError(
                    f"rollout.arms.told_other names {name}, where nothing else could be meant",
                    "name multi_carrot or multi_plate",
                )
            found[f"{condition.name}_{arm}"] = ArmRecord(condition.name, arm)
    return found


def condition_of(name: str) -> str:
    """Return the condition whose episodes a record of this name holds."""
    for arm in get_args(Arm):
        name = name.removesuffix(f"_{arm}")
    return name


def each_record(config: Config, patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield file patterns, those with ``{condition}`` or ``{told}`` once for each record."""
    names = {
        "{condition}": [condition.name for condition in conditions.CONDITIONS],
        "{told}": arms(config),
    }
    for pattern in patterns:
        key = next((key for key in names if key in pattern), None)
        yield from (pattern.replace(key, name) for name in names[key]) if key else [pattern]
