"""One planner episode, recorded before each step."""

import unblind.sim.engine  # noqa: F401

# isort: split
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unblind import png
from unblind.config import Config, DemoSet, ExecutedNoise, PretrainingDemos
from unblind.demos import pretraining
from unblind.sim.env import PutOnPlateEnv
from unblind.sim.episodes import Episode, decode
from unblind.sim.planner import Lapse, PickAndPlace, PlanningError

#: How far a missed grasp is beside or above the right one, m. (Ours: of 7 grasps
#: 1.5 to 2.1 cm beside it, 6 held the object all the same; of 4 further away, none did. Fingertips
#: reach 1.5 cm below the grasp point, which is at most 2 cm below the object's top.)
_BESIDE, _ABOVE, _ABOVE_SHARE = (0.021, 0.032), (0.025, 0.045), 0.35
#: Control steps after closing until a miss or a drop. The fingers need two to close; lifting alone
#: takes about seven.
_MISSED_FOR, _HELD_FOR = (2, 12), (3, 7)


@dataclass
class Attempt:
    """What was seen, said and done in one episode.

    Attributes:
        images: PNG bytes of the frame before each step.
        actions: (7,) float32 labels: what brings the arm to the planner's next waypoint.
        executed: (7,) float32 actions that were sent, with noise where it is switched on.
        stages: the planner's stage of each step.
        states: before each step, by column of the shards: where object, plate and gripper are
            (world, m) and whether the fingers hold the object.
        success: whether the last step ended in success.
        failed_stage: the stage without a plan, "outcome" if all was planned but the object is
            not on the plate, None on success.
    """

    episode: Episode
    images: list[bytes] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    executed: list[np.ndarray] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    success: bool = False
    failed_stage: str | None = None

    def summary(self) -> dict[str, Any]:
        """Return what the manifest tells of the attempt."""
        return {
            "episode_id": self.episode.episode_id,
            "object": self.episode.object,
            "table": self.episode.table,
            "steps": len(self.actions),
            "success": self.success,
            "failed_stage": self.failed_stage,
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a step, in the schema of the shards."""
        return [
            {
                "episode_id": self.episode.episode_id,
                "step": step,
                "image": image,
                "action": action,
                "executed": executed,
                "instruction": self.episode.instruction,
                "stage": stage,
                **state,
            }
            for step, (image, action, executed, stage, state) in enumerate(
                zip(
                    self.images,
                    self.actions,
                    self.executed,
                    self.stages,
                    self.states,
                    strict=True,
                )
            )
        ]


class Recorder:
    """Holds the environment and the planner of one process and records one set's episodes."""

    def __init__(self, config: Config, which: DemoSet = "training") -> None:
        self._config, self._which = config, which
        self._env: PutOnPlateEnv | None = None
        self._planner = PickAndPlace(config.demos.euler)

    def attempt(self, episode_id: int) -> Attempt:
        """Run the planner on one episode of the set."""
        episode, settings = self._episode(episode_id)
        attempt = Attempt(episode)
        noise = Disturbance(settings, [self._config.seed, episode_id])
        obs = self._start(episode)
        held = False
        try:
            for command in self._planner.commands(self._env, self._lapse(episode_id)):
                label, executed = noise.apply(command.action)
                attempt.images.append(png.encode(obs["image"][0].numpy()))
                attempt.actions.append(label)
                attempt.executed.append(executed)
                attempt.stages.append(command.stage)
                attempt.states.append(self._state(held))
                obs, _, _, _, info = self._env.step(executed)
                held = bool(info["is_src_obj_grasped"])
        except PlanningError as error:
            attempt.failed_stage = error.stage
            return attempt
        attempt.success = bool(info["success"])
        attempt.failed_stage = None if attempt.success else "outcome"
        return attempt

    def _start(self, episode: Episode) -> dict[str, Any]:
        """Start an episode; the first one builds the environment, which needs no others' files."""
        if self._env is None:
            catalog = pretraining.CATALOG if self._which == "pretraining" else self._config.catalog
            render = self._config.render
            size = {"width": render.width, "height": render.height, "shader": render.shader}
            self._env = PutOnPlateEnv(catalog=catalog, episode=episode, **size)
        return self._env.reset(options={"episode": episode})[0]

    def _episode(self, episode_id: int) -> tuple[Episode, ExecutedNoise]:
        """Return the episode and its noise: in pretraining, every second one is disturbed."""
        demos = self._config.demos
        if self._which == "pretraining":
            disturbed = self._config.base.demos if episode_id % 2 else demos
            return pretraining.decode(episode_id), disturbed.executed_noise
        episode = decode("in_distribution", episode_id, "train", self._config.fidelity)
        return episode, demos.executed_noise

    def _lapse(self, episode_id: int) -> Lapse | None:
        """Return the mistake that the episode starts with: pretraining's alone have any."""
        if self._which != "pretraining":
            return None
        return draw_lapse(self._config.base.demos, [self._config.seed, episode_id, 1])

    def _state(self, held: bool) -> dict[str, Any]:
        env = self._env
        return {
            "object_xyz": env.object.pose.p,
            "plate_xyz": env.plate.pose.p,
            "gripper_xyz": env.tcp.p,
            "held": held,
        }


def draw_lapse(demos: PretrainingDemos, seed: list[int]) -> Lapse | None:
    """Draw whether an episode starts with a mistake, and which."""
    rng = np.random.default_rng(seed)
    chance = rng.random()
    if chance >= demos.missed_grasps + demos.dropped_objects:
        return None
    if chance >= demos.missed_grasps:
        return Lapse((0.0, 0.0, 0.0), int(rng.integers(*_HELD_FOR)), drops=True)
    steps = int(rng.integers(*_MISSED_FOR))
    if rng.random() < _ABOVE_SHARE:
        return Lapse((0.0, 0.0, rng.uniform(*_ABOVE)), steps, drops=False)
    angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(*_BESIDE)
    return Lapse((distance * np.cos(angle), distance * np.sin(angle), 0.0), steps, drops=False)


class Disturbance:
    """Disturbs executed actions and labels the clean way back (DART, Laskey et al. 2017).

    The controller's targets add up, so a disturbance stays until an action takes it back: the
    label is the planned motion less the last disturbance. Rotations are treated as vectors, which
    is exact to second order in the noise.
    """

    def __init__(self, noise: ExecutedNoise, seed: list[int]) -> None:
        self._noise = noise
        self._rng = np.random.default_rng(seed)
        self._drift = np.zeros(7, dtype=np.float32)

    def apply(self, planned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return label and executed action, (7,) float32 each, for the planned motion."""
        label = planned - self._drift
        scale = np.repeat([self._noise.xyz_m, self._noise.rot_rad, 0.0], [3, 3, 1])
        moving = np.any(planned[:6] != 0)
        hit = moving and self._rng.random() < self._noise.probability
        drawn = self._rng.normal(size=7) * scale
        self._drift = (drawn * hit).astype(np.float32)
        return label, label + self._drift
