"""What a set of demonstrations holds: attempts, failures, frames and statistics of its actions."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from unblind import files
from unblind.config import Config
from unblind.demos import labels, shards
from unblind.errors import UnblindError
from unblind.sim import conditions


def describe(
    config: Config, part: dict[str, Any], folder: Path, names: list[str]
) -> dict[str, Any]:
    """Describe a finished set: counts, failures, action statistics, checksums, episodes.

    Statistics are those of the training labels after the no-op filter, as a policy sees them.
    """
    log, episodes, checksums = [], {}, {}
    kept, frames = [], {"raw": 0, "kept": 0}
    for name in names:
        path = folder / name
        log += [entry for slot in shards.attempts(path) for entry in slot]
        split = name.rsplit("-", 1)[0]
        numbers = episodes.setdefault(split, [])
        for episode in shards.read(path, images=False):
            numbers.append(episode["episode_id"])
            labelled = labels.apply(
                config.demos.noop_filter,
                episode["actions"],
                episode["executed"],
                episode["stages"],
            )
            frames["raw"] += len(episode["actions"])
            frames["kept"] += len(labelled.actions)
            if split == "train":
                kept.append(labelled.actions)
        checksums[name] = files.sha256(path)
    return {
        "scale": config.scale,
        "seed": config.seed,
        "config": part,
        **tally(log),
        "frames": frames,
        "noop_filter": config.demos.noop_filter,
        "statistics": action_statistics(np.concatenate(kept)),
        "episodes": episodes,
        "shards": checksums,
    }


def tally(log: list[dict[str, Any]]) -> dict[str, Any]:
    """Count attempts, successes and failures by object and stage."""
    by_object = {}
    for name in dict.fromkeys([*conditions.OBJECTS, *(entry["object"] for entry in log)]):
        mine = [entry for entry in log if entry["object"] == name]
        if mine:
            failed = Counter(e["failed_stage"] for e in mine if not e["success"])
            by_object[name] = {
                "attempts": len(mine),
                "successes": sum(e["success"] for e in mine),
                "failures": dict(sorted(failed.items())),
            }
    successes = sum(entry["success"] for entry in log)
    return {"attempts": len(log), "successes": successes, "by_object": by_object}


def action_statistics(actions: np.ndarray) -> dict[str, list[float]]:
    """Return q01, q99, minimum and maximum of (N, 7) actions, for normalisation.

    Raises:
        UnblindError: there is no action.
    """
    if not len(actions):
        raise UnblindError(
            "no action is left to take statistics of", "change demos.noop_filter or collect more"
        )
    low, high = np.quantile(actions.astype(np.float64), [0.01, 0.99], axis=0)
    return {
        "q01": low.tolist(),
        "q99": high.tolist(),
        "minimum": actions.min(0).tolist(),
        "maximum": actions.max(0).tolist(),
    }
