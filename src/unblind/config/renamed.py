"""Keys that no longer exist, and what to write instead."""

from collections.abc import Mapping
from typing import Any

from unblind.config.kinds import RECIPE

#: Keys that no longer exist, and the keys that replaced them.
OLD_KEYS: Mapping[str, str] = {
    "training.align.coefficient": "training.align.lambda",
    "openvla.base": "base.source",
    "openvla.unnorm_key": "base.unnorm_key",
    "openvla.teacher": "training.align.teacher_weights",
    "openvla.temperature": "rollout.temperature",
    **{
        f"openvla.{key}": f"training.{key}"
        for key in (*RECIPE, "gradient_checkpointing", "checkpoint_steps", "device", "gpus")
    },
    "openvla": "base.source",
}


def renamed(values: Mapping[str, Any]) -> list[str]:
    """Return what to say of each key of nested values that no longer exists."""
    stated = [old for old in OLD_KEYS if _states(values, old)]
    return [
        f"'{old}' is now '{OLD_KEYS[old]}'"
        for old in stated
        if not any(longer.startswith(f"{old}.") for longer in stated)
    ]


def _states(values: Any, key: str) -> bool:
    """Return whether nested values have a dotted key."""
    for name in key.split("."):
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True
