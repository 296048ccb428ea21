"""Who acts: scripted policies and the interface that trained ones share.

A policy lives in the parent process and answers for a batch of scenes (`Policy`), unless it needs
the simulator's own state, as the planner does: then each scene gets an actor of its own inside
the worker (`SceneActor`), and the parent sends no actions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from unblind.sim.episodes import Episode

if TYPE_CHECKING:
    from unblind.sim.planner import Command

#: Policies that need no model.
SCRIPTED = ("oracle", "random", "noop")


@dataclass(frozen=True)
class Observation:
    """What a policy may know.

    Attributes:
        episode: for its instruction and its id (seeds); a trained policy reads the instruction.
        step: control steps so far.
        image: (H, W, 3) uint8, None for policies that look at nothing.
        target: (H, W) bool, where it shows the object; no policy may act by it.
    """

    episode: Episode
    step: int
    image: np.ndarray | None
    target: np.ndarray | None = None


class Policy(Protocol):
    """Acts for a batch of scenes at once."""

    needs_images: bool

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return (N, 7) float32 actions."""


class SceneActor(Protocol):
    """Acts in one scene, inside its worker, with the simulator's state at hand."""

    def act(self, env: Any) -> np.ndarray:
        """Return the (7,) float32 action of the next step."""


#: Standing still with the gripper open.
HOLD = np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.float32)


class NoopPolicy:
    """Does nothing: the floor that luck in the initial state sets."""

    needs_images = False

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return zero motion with the gripper open."""
        return np.tile(HOLD, (len(observations), 1))


class RandomPolicy:
    """Moves at random, as far a step as a demonstration: up to 2 cm and 0.12 rad an axis.

    Every episode and step has its own seed, so that the batch it is in does not matter.
    """

    needs_images = False

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return uniform motions and a gripper command drawn by a coin."""
        return np.stack([self._draw(o) for o in observations])

    def _draw(self, observation: Observation) -> np.ndarray:
        rng = np.random.default_rng([self._seed, observation.episode.episode_id, observation.step])
        motion = rng.uniform(-1, 1, 6) * [0.02, 0.02, 0.02, 0.12, 0.12, 0.12]
        return np.array([*motion, rng.choice([-1.0, 1.0])], dtype=np.float32)


class OpenLoopPolicy:
    """Plays given action sequences, then stands still."""

    needs_images = False

    def __init__(self) -> None:
        self._actions: dict[int, np.ndarray] = {}

    def load(self, actions: dict[int, np.ndarray]) -> None:
        """Play these (T, 7) sequences, by episode id, from now on."""
        self._actions = actions

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return each episode's next action."""
        return np.stack([self._next(o) for o in observations])

    def _next(self, observation: Observation) -> np.ndarray:
        sequence = self._actions[observation.episode.episode_id]
        return sequence[observation.step] if observation.step < len(sequence) else HOLD


class OracleActor:
    """The planner of the demonstrations, with the simulator's state.

    It plans again when a plan has ended or failed without success, and when the object is found
    elsewhere than where it stood, as after the jump of PosChangeTo.
    """

    #: Plans in one episode: each takes about 20 of the 80 steps.
    TRIES = 4
    #: An object further than this from where the plan began has been moved by something else, m.
    JUMP = 0.03

    def __init__(self, euler: Literal["corrected", "released"]) -> None:
        from unblind.sim.planner import shared_planner

        self._planner = shared_planner(euler)
        self._tries = self.TRIES
        self._plan = None
        self._stage = None

    def go_on(self, env: Any, plan: Iterator["Command"]) -> None:
        """Take a plan for the first one: its object is held already."""
        self._tries -= 1
        self._plan, self._start, self._stage = plan, env.object.pose.p, "carry"

    def act(self, env: Any) -> np.ndarray:
        """Return the next command of the plan, or stand still where there is none."""
        from unblind.sim.planner import PlanningError

        if self._tries and (self._plan is None or self._object_jumped(env)):
            self._tries -= 1
            self._plan, self._start = self._planner.commands(env), env.object.pose.p
            self._stage = "reach"
        try:
            command = next(self._plan, None)
        except PlanningError:
            command = None
        if command is None:
            finished = self._tries == 0 or bool(env.evaluate()["success"])
            self._plan, self._stage = iter(()) if finished else None, None
            return HOLD
        self._stage = command.stage
        return command.action

    def _object_jumped(self, env: Any) -> bool:
        """Tell whether the object has left its place before anything could have touched it."""
        moved = np.linalg.norm(env.object.pose.p - self._start) > self.JUMP
        return self._stage == "reach" and bool(moved)
