"""Speed of the trained policy, and where the time of a rollout goes."""

import contextlib
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from unblind.config import Config
from unblind.rollout import loop, worker
from unblind.rollout.policies import Observation, Policy
from unblind.rollout.vla import VlaPolicy
from unblind.sim.episodes import decode, sample_ids
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.text import action_prompt

BATCHES = (1, 8, 16)
_CALLS, _ROUNDS = 5, 5
_EPISODES, _STEPS, _ROLLOUTS = 16, 20, 3
#: What a rollout's time is spent on; the rest of the CPU time is messages and bookkeeping.
PARTS = ("policy", "physics", "rendering", "resets")


class Ledger:
    """CPU-seconds of this process by what they were spent on; an inner part is no outer part's.

    Attributes:
        spent: CPU-seconds by part; what no part claims is ``other``.
    """

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._part, self._since = "other", time.process_time()

    def _charge(self) -> None:
        now = time.process_time()
        self.spent[self._part] += now - self._since
        self._since = now

    @contextlib.contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Charge the block to ``part``."""
        self._charge()
        outer, self._part = self._part, part
        try:
            yield
        finally:
            self._charge()
            self._part = outer

    def take(self) -> Counter[str]:
        """Return what was spent since the last call."""
        self._charge()
        spent, self.spent = self.spent, Counter()
        return spent


class TimedScenes(worker.Scenes):
    """A worker's scenes that account for their time."""

    def __init__(self, setup: worker.Setup) -> None:
        super().__init__(setup)
        self._ledger = Ledger()

    def reset(self, scene: int, episode: Any) -> worker.Reply:
        """Start an episode; its first picture counts as rendering."""
        with self._ledger.on("resets"):
            return super().reset(scene, episode)

    def step(self, scene: int, action: np.ndarray | None) -> worker.Reply:
        """Do one control step; contacts and success count as physics."""
        with self._ledger.on("physics"):
            return super().step(scene, action)

    def spent(self, scene: int, value: Any) -> Counter[str]:
        """Return what was spent since this was asked last."""
        return self._ledger.take()

    def _build(self, episode: Any) -> Any:
        env = super()._build(episode)
        look, ledger = env.get_obs, self._ledger

        def get_obs(*values: Any, **options: Any) -> Any:
            with ledger.on("rendering"):
                return look(*values, **options)

        env.get_obs = get_obs
        return env


class _TimedCrew(loop.Crew):
    """A crew whose workers can be asked how they spent their time."""

    def spent(self) -> Counter[str]:
        """Return what all workers have spent since this was asked last."""
        for member in self._workers:
            member.ask([("spent", 0, None)])
        answers = [member.answers() for member in self._workers]
        return sum((spent for ((_, _, spent),) in answers), Counter())


class _TimedPolicy:
    """A policy whose time goes into a ledger."""

    def __init__(self, policy: Policy, ledger: Ledger) -> None:
        self._policy, self._ledger = policy, ledger
        self.needs_images = policy.needs_images

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        with self._ledger.on("policy"):
            return self._policy.act(observations)


def milliseconds(
    loaded: Checkpoint, images: np.ndarray, instruction: str, rounds: int = _ROUNDS
) -> dict[str, float]:
    """Return CPU-milliseconds of one step of a whole batch, and of one of its episodes.

    Batch sizes take turns; each figure is the median over the rounds.

    Args:
        loaded: the model.
        images: (16, H, W, 3) uint8 pictures.
        instruction: what all are told.
        rounds: how often each batch size has its turn.
    """
    prompt = loaded.vocabulary.encode(action_prompt(instruction))
    policies = {size: VlaPolicy(loaded, size) for size in BATCHES}
    took: dict[int, list[float]] = {size: [] for size in BATCHES}
    for _ in range(rounds):
        for size, policy in policies.items():
            start = time.process_time()
            for _ in range(_CALLS):
                policy.predict(images[:size], [prompt] * size)
            took[size].append(1000 * (time.process_time() - start) / _CALLS)
    medians = {size: statistics.median(values) for size, values in took.items()}
    return {f"batch_{size}_ms": round(ms, 1) for size, ms in medians.items()} | {
        f"batch_{size}_ms_an_episode": round(ms / size, 2) for size, ms in medians.items()
    }


def shares(
    config: Config, policy: Policy, n_workers: int = 2, rounds: int = _ROLLOUTS
) -> dict[str, float]:
    """Return how the cores' time goes in short rollouts, as shares of wall time x cores.

    ``idle`` also holds what other programs take, so the machine should have nothing else to do.
    Episodes are shorter than in the study: resets weigh more here.

    Returns:
        shares of each of `PARTS`, ``other`` and ``idle``, together 1; the cores that were counted.
    """
    config = _short(config, n_workers)
    ledger = Ledger()
    ids = sample_ids("in_distribution", _EPISODES, config.seed)
    episodes = [decode("in_distribution", number) for number in ids]
    setup = worker.Setup(config, images=policy.needs_images, oracle=False)
    cores = min(len(os.sched_getaffinity(0)), n_workers + 1)
    measured = []
    timed = _TimedPolicy(policy, ledger)
    with _TimedCrew(setup, n_workers, timed, TimedScenes) as crew:
        list(crew.run(episodes))  # loads libraries and draws first pictures
        crew.spent(), ledger.take()
        for _ in range(rounds):
            start = time.monotonic()
            list(crew.run(episodes))
            wall = time.monotonic() - start
            measured.append(as_shares(crew.spent() + ledger.take(), wall * cores))
    keys = measured[0]
    medians = {key: statistics.median(row[key] for row in measured) for key in keys}
    total = sum(medians.values())
    return {key: round(value / total, 3) for key, value in medians.items()} | {"cores": cores}


def _short(config: Config, n_workers: int) -> Config:
    """Return the configuration with short episodes, all of them at the same time."""
    sizes = {"max_steps": _STEPS, "scenes": _EPISODES // n_workers}
    return config.model_copy(update={"rollout": config.rollout.model_copy(update=sizes)})


def as_shares(spent: Counter[str], available: float) -> dict[str, float]:
    """Return shares of the available CPU-seconds; what nobody has spent is ``idle``."""
    parts = {part: spent[part] / available for part in (*PARTS, "other")}
    return parts | {"idle": max(0.0, 1 - sum(parts.values()))}
