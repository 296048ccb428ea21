"""Rollouts with every control step on record: actions, and the poses of gripper and object.

The same episodes and the same outcomes as those of `unblind.rollout.run.rollout`, and more columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unblind.config import Config
from unblind.rollout import records
from unblind.rollout.loop import Outcome
from unblind.rollout.run import Suite, evaluate, evaluation_of
from unblind.rollout.worker import Reply, Scenes
from unblind.sim.episodes import Episode

#: Beside the columns of all records, of an episode with T control steps:
#:
#: - ``action``: (T, 7) as the controller takes them (see `unblind.sim.robot.StudyWidowX`);
#: - ``success``: (T,) whether the object stood on the plate after each of them;
#: - ``gripper_pose``, ``object_pose``: (T + 1, 7) before the first action and after each, position
#:   in m and quaternion (w, x, y, z), world;
#: - ``finger_m``: (T + 1,) mean position of the two fingers' joints, m.
SCHEMA = pa.unify_schemas(
    [
        records.SCHEMA,
        pa.schema(
            {
                "action": pa.list_(pa.list_(pa.float32(), 7)),
                "success": pa.list_(pa.bool_()),
                "gripper_pose": pa.list_(pa.list_(pa.float32(), 7)),
                "object_pose": pa.list_(pa.list_(pa.float32(), 7)),
                "finger_m": pa.list_(pa.float32()),
            }
        ),
    ]
)


@dataclass(frozen=True)
class TrajectoryReply(Reply):
    """The state of a scene with all poses, and the action that led to it.

    Attributes:
        action: (7,), None after a reset.
        gripper_pose: of ``ee_gripper_link``, (7,): m and quaternion (w, x, y, z), world.
        object_pose: the same of the object.
        finger_m: mean position of the two fingers' joints, m.
    """

    action: np.ndarray | None = None
    gripper_pose: np.ndarray = field(kw_only=True)
    object_pose: np.ndarray = field(kw_only=True)
    finger_m: float = field(kw_only=True)


class TrajectoryScenes(Scenes):
    """Scenes that tell all poses."""

    def reset(self, scene: int, episode: Episode) -> Reply:
        """Start an episode."""
        return self._with_poses(scene, super().reset(scene, episode), None)

    def step(self, scene: int, action: np.ndarray | None) -> Reply:
        """Do one control step; without an action the scene's own actor chooses it."""
        if action is None:
            action = self._actors[scene].act(self._envs[scene])
        return self._with_poses(scene, super().step(scene, action), action)

    def _with_poses(self, scene: int, state: Reply, action: np.ndarray | None) -> Reply:
        env = self._envs[scene]
        gripper, thing = (np.concatenate([pose.p, pose.q]) for pose in (env.tcp, env.object.pose))
        finger = float(np.mean(env.qpos[6:]))
        return TrajectoryReply(
            **vars(state), action=action, gripper_pose=gripper, object_pose=thing, finger_m=finger
        )


@dataclass
class Trajectory(Outcome):
    """An episode with all its steps.

    Attributes:
        states: replies from the first state on.
    """

    states: list[TrajectoryReply] = field(default_factory=list)

    def begin(self, reply: Reply) -> None:
        """Take note of the state in which the policy begins."""
        super().begin(reply)
        self._keep(reply)

    def add(self, reply: Reply) -> None:
        """Count one step."""
        super().add(reply)
        self._keep(reply)

    def _keep(self, reply: Reply) -> None:
        assert isinstance(reply, TrajectoryReply)
        self.states.append(replace(reply, image=None))

    def columns(self) -> dict[str, Any]:
        """Return how it went, by column of a record."""
        after = self.states[1:]
        return {
            **super().columns(),
            "action": [state.action.tolist() for state in after if state.action is not None],
            "success": [state.success for state in after],
            "gripper_pose": [state.gripper_pose.tolist() for state in self.states],
            "object_pose": [state.object_pose.tolist() for state in self.states],
            "finger_m": [state.finger_m for state in self.states],
        }


def rollout(
    config: Config, run: str, seed: int, out: Path, names: Sequence[str] | None, n_workers: int
) -> None:
    """Write ``out/NAME.parquet`` for every record that is not current (`SCHEMA`).

    Arguments and errors are those of `unblind.rollout.run.rollout`.
    """
    evaluation, listed = evaluation_of(config, run, seed, names)
    origin = evaluation.made_from
    evaluation = replace(
        evaluation,
        made_from={**origin, "code": (*origin["code"], "unblind.rollout.trajectories")},
        suite=Suite(crew={"scenes": TrajectoryScenes, "outcome": Trajectory}, schema=SCHEMA),
    )
    evaluate(config, evaluation, out, listed, n_workers)
