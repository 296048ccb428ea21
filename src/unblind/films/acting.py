"""Episodes acted again: what the camera saw, what was done, and whether it succeeded."""

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unblind import workers
from unblind.config import Config
from unblind.errors import UnblindError, near
from unblind.progress import Progress
from unblind.rollout.factory import load_policy, make_policy
from unblind.rollout.policies import SCRIPTED, Observation, OracleActor, Policy
from unblind.rollout.trained import model_files
from unblind.sim.episodes import Episode
from unblind.study import jobs

if TYPE_CHECKING:
    from unblind.vla.checkpoint import Checkpoint

#: Scenes that act at once: what a model computes for one picture serves as many.
SCENES = 16


@dataclass(frozen=True, eq=False)
class Actor:
    """Who acts.

    Attributes:
        name: one of ``config.runs``, or a scripted policy.
        label: what people call it.
        seed: of the policy and of its training.
        policy: None for the planner, which has an actor in each scene.
        model: the policy's checkpoint; None where there is no model.
    """

    name: str
    label: str
    seed: int
    policy: Policy | None
    model: "Checkpoint | None" = None


@dataclass(frozen=True, eq=False)
class Take:
    """An episode as somebody has done it in T steps.

    Attributes:
        episode: which.
        pictures: (T + 1, H, W, 3) uint8, before the first step and after each.
        actions: (T, 7) float32, m, rad, and -1 or 1 for the gripper.
        successes: (T + 1,) bool: whether the object stood on the plate.
    """

    episode: Episode
    pictures: np.ndarray
    actions: np.ndarray
    successes: np.ndarray

    @property
    def success(self) -> bool:
        """Whether the episode ended in success: ``success_final`` of a record."""
        return bool(self.successes[-1])


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage: a tenth of the time in which the libraries of a film are loaded."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def label(config: Config, name: str) -> str:
    """Return what people call a run or a scripted policy."""
    return config.runs[name].label if name in config.runs else name.capitalize()


def is_model(config: Config, name: str) -> bool:
    """Tell whether a name that `check` accepts is a run of a model."""
    return name in config.runs and jobs.rollout_stage(config, name) == "rollout"


def check(config: Config, names: Sequence[str], seed: int) -> None:
    """Refuse, before anything is loaded, who cannot act.

    Args:
        config: the whole configuration.
        names: of `actor`.
        seed: likewise.

    Raises:
        UnblindError: a name is unknown, acts behind a socket or not at all, or its model is missing
            or damaged.
    """
    for name in names:
        if name in config.runs:
            model_files(config, name, seed)
        elif name not in SCRIPTED:
            known = tuple(dict.fromkeys((*config.runs, *SCRIPTED)))
            cause = f"unknown run '{name}'{near(name, known)}"
            raise UnblindError(cause, f"choose among: {', '.join(known)}")


def actor(config: Config, name: str, seed: int) -> Actor:
    """Return who acts, as in rollouts with this seed.

    Args:
        config: the whole configuration.
        name: one of ``config.runs``, or ``oracle``, ``random`` or ``noop``.
        seed: of the policy and of its training.

    Raises:
        UnblindError: see `check`; or the adapter belongs to another base.
    """
    check(config, [name], seed)
    told = (name, label(config, name), seed)
    if is_model(config, name):
        from unblind.films import sparing

        policy = load_policy(config, name, seed)
        spared = sparing.SparingPolicy(policy, seed, config.rollout.temperature)
        return Actor(*told, spared, policy.loaded)
    return Actor(*told, make_policy(config, name, seed))


def counted(what: str, steps: int, unit_cpu_s: float = 0.0) -> Callable[[int], None]:
    """Return what tells the user how far actors are, and how long the rest takes.

    Time runs from the first scene on: libraries and the first picture take longer than all steps.

    Args:
        what: the steps' name.
        steps: to be done in all.
        unit_cpu_s: expected CPU-seconds a step, 0 where nothing is known of them.
    """
    progress = Progress(what, steps, unit_cpu_s)

    def advance(done: int) -> None:
        if not done and not progress.n:
            progress.reset()
        progress.advance(done)

    return advance


def act(
    config: Config,
    who: Actor,
    episodes: Sequence[Episode],
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Take]:
    """Let somebody do whole episodes, as in a rollout, and keep every picture that was seen.

    Args:
        config: the whole configuration.
        who: of `actor`.
        episodes: in the order of what is returned.
        advance: is told how many steps were just done; 0 when scenes are there.

    Raises:
        UnblindError: no renderer can be set up, or the catalog lacks files.
    """
    takes = []
    for start in range(0, len(episodes), SCENES):
        takes += _together(config, who, episodes[start : start + SCENES], advance)
    return takes


def _together(
    config: Config, who: Actor, episodes: Sequence[Episode], advance: Callable[[int], None]
) -> list[Take]:
    """Do episodes side by side, so that a model sees all their pictures at once."""
    size = (config.render.width, config.render.height)
    stages = [_Stage(config, episode, size) for episode in episodes]
    planners = [OracleActor(config.demos.euler) for _ in stages if who.policy is None]
    advance(0)
    try:
        for step in range(config.rollout.max_steps):
            if who.policy is None:
                chosen = [one.act(stage.env) for one, stage in zip(planners, stages, strict=True)]
            else:
                seen = [Observation(s.episode, step, s.pictures[-1]) for s in stages]
                chosen = list(who.policy.act(seen))
            for stage, action in zip(stages, chosen, strict=True):
                stage.step(action)
            advance(len(stages))
    finally:
        for stage in stages:
            stage.env.close()
    return [stage.take() for stage in stages]


def show_again(
    config: Config,
    take: Take,
    size: tuple[int, int],
    advance: Callable[[int], None] = lambda steps: None,
) -> np.ndarray:
    """Return the pictures of an episode at another size, (T + 1, height, width, 3) uint8.

    Args:
        config: the whole configuration.
        take: whose actions are done again.
        size: width and height, px.
        advance: see `act`.
    """
    stage = _Stage(config, take.episode, size)
    try:
        for action in take.actions:
            stage.step(action)
            advance(1)
    finally:
        stage.env.close()
    return np.stack(stage.pictures)


class _Stage:
    """A scene with an episode that has begun."""

    def __init__(self, config: Config, episode: Episode, size: tuple[int, int]) -> None:
        from unblind.sim.env import PutOnPlateEnv

        self.episode = episode
        self.env = PutOnPlateEnv(
            catalog=config.catalog,
            width=size[0],
            height=size[1],
            shader=config.render.shader,
            episode=episode,
            obs_mode="rgb",
        )
        workers.settle_in()
        self.pictures: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []
        self._successes: list[bool] = []
        self._note(*self.env.reset(options={"episode": episode}))

    def step(self, action: np.ndarray) -> None:
        """Do one control step."""
        obs, _, _, _, info = self.env.step(action)
        self._actions.append(np.asarray(action, dtype=np.float32))
        self._note(obs, info)

    def _note(self, obs: dict[str, Any], info: dict[str, Any]) -> None:
        self.pictures.append(obs["image"][0].numpy())
        self._successes.append(bool(info["success"]))

    def take(self) -> Take:
        """Return what has been done so far."""
        kept = (self.pictures, self._actions, self._successes)
        return Take(self.episode, *map(np.array, kept))
