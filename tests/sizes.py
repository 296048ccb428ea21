"""How many episodes tests evaluate."""


def episodes(each: int) -> dict[str, int]:
    """Return overrides that give every condition the same number of episodes."""
    return {"rollout.episodes": each, "rollout.in_distribution_episodes": each}
