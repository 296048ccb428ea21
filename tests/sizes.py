"""How many episodes tests evaluate."""

from collections.abc import Iterable
from typing import Any


def episodes(each: int) -> dict[str, int]:
    """Return overrides that give every condition the same number of episodes."""
    return {"rollout.episodes": each, "rollout.in_distribution_episodes": each}


def of_rows(runs: Iterable[str], each: int) -> dict[str, Any]:
    """Return overrides that give rows of ablations, Align aside, so many episodes of their own."""
    own = {"episodes": each, "in_distribution_episodes": each}
    return {f"runs.{run}.rollout": own for run in runs if run != "align"}
