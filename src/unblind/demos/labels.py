"""Which steps of a demonstration become training labels.

A demonstration is a list of actions (T, 7): translation (m), Euler angles (rad, intrinsic XYZ,
about the axes of the robot's base) and gripper (-1 closed, 1 open). Two rules:

* ``filter_released`` drops small steps, as the released data set builder does. What they moved
  is lost: a planner slows down at waypoints, so real descent goes with the no-ops.
* ``merge`` gives every frame the motion of the following steps together, until it is large
  enough to act on. No motion is lost, and only gripper changes stand still.

By either, nothing is learned of a mistake that was made on purpose, and of what led to it.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

Rule = Literal["released", "merge", "none"]

_RELEASED_XYZ, _RELEASED_ROTATION = 0.01, 0.06  # m, rad; defaults of the released builder

_STEP = 0.02  # m of motion in a merged label
# The fingers need two control steps to close (0.2 s is one time constant of their controller), so
# the frame after the closing one only takes the planner's first small step up.
_FIRST_LIFT_STEP = 0.005  # m
_RADIANS_PER_METER = 6.0  # 2 cm of motion weigh as much as 0.12 rad
_LEFTOVER_XYZ, _LEFTOVER_ROTATION = 0.005, 0.04  # m, rad: too little to be a step of its own


class Labels(NamedTuple):
    """The frames that stay and what is learned at them.

    Attributes:
        frames: (N,) indices of the kept frames.
        actions: (N, 7) float32 labels.
        after: (N,) the frame at which the arm arrives by the label; T or more at the end.
    """

    frames: np.ndarray
    actions: np.ndarray
    after: np.ndarray

    def chain(self) -> np.ndarray:
        """Return (M, 7) labels that lead from the first frame to the end, one after the other."""
        row_of = {int(frame): row for row, frame in enumerate(self.frames)}
        rows, row = [], 0
        while row is not None:
            rows.append(row)
            row = row_of.get(int(self.after[row]))
        return self.actions[rows]


def apply(
    rule: Rule, actions: np.ndarray, executed: np.ndarray, stages: Sequence[str] = ()
) -> Labels:
    """Return the labels of one demonstration by the configured rule.

    Args:
        rule: ``released`` drops small steps, ``merge`` sums them, ``none`` keeps every step.
        actions: (T, 7) clean actions, as recorded.
        executed: (T, 7) actions that were sent (with noise, where it was switched on).
        stages: (T,) the planner's stages, if there may be a ``lapse``: labels begin after it.
    """
    if rule == "merge":
        labels = merge(actions, controller_targets(executed))
    else:
        frames = filter_released(actions) if rule == "released" else np.arange(len(actions))
        after = np.array([*frames[1:], len(actions)])
        labels = Labels(frames, np.asarray(actions, np.float32)[frames], after)
    lapses = np.flatnonzero(np.asarray(stages) == "lapse")
    start = lapses[-1] + 1 if len(lapses) else 0
    return Labels(*(values[labels.frames >= start] for values in labels))


def controller_targets(executed: np.ndarray) -> np.ndarray:
    """Return (T, 7) poses that the controller adds each action to, relative to the first one.

    The controller's target is the sum of what was sent before, so no recorded pose is needed.
    """
    steps = np.asarray(executed, np.float64)[:-1]
    positions = np.concatenate([np.zeros((1, 3)), np.cumsum(steps[:, :3], axis=0)])
    turns = [Rotation.identity()]
    for turn in Rotation.from_euler("XYZ", steps[:, 3:6]) if len(steps) else ():
        turns.append(turn * turns[-1])
    return np.concatenate([positions, [t.as_quat(scalar_first=True) for t in turns]], axis=1)


def filter_released(actions: np.ndarray) -> np.ndarray:
    """Return the indices of the steps that the release keeps.

    Kept are steps that move more than 1 cm or turn more than 0.06 rad (Euclidean norms) or
    change the gripper command.
    """
    actions = np.asarray(actions)
    moves = np.linalg.norm(actions[:, :3], axis=1) > _RELEASED_XYZ
    turns = np.linalg.norm(actions[:, 3:6], axis=1) > _RELEASED_ROTATION
    return np.flatnonzero(moves | turns | _gripper_changes(actions[:, 6]))


def merge(actions: np.ndarray, poses: np.ndarray) -> Labels:
    """Return the frames that are kept and their merged labels.

    * A label is the motion to the first following waypoint at least 2 cm or 0.12 rad away
      (5 mm on the closing frame's successor), never across a gripper change.
    * A frame that changes the gripper command does only that, standing still.
    * If less than 5 mm and 0.04 rad are left before the change, the label changes the gripper.
    * Frames after the last release are dropped: nothing is left to do.

    Rotations are composed exactly.

    Args:
        actions: (T, 7), the clean action of every frame (with executed noise: the correction).
        poses: (T, 7), before every step: xyz (m) and quaternion (w first) of the pose the
            controller adds the action to, in the base frame.

    Returns:
        kept frames and labels.
    """
    actions, poses = np.asarray(actions, np.float64), np.asarray(poses, np.float64)
    position, turn = poses[:, :3], Rotation.from_quat(poses[:, 3:], scalar_first=True)
    goals = position + actions[:, :3], Rotation.from_euler("XYZ", actions[:, 3:6]) * turn
    gripper = actions[:, 6]
    changes = np.flatnonzero(_gripper_changes(gripper))
    kept = np.arange(_last_release(gripper, changes) + 1)
    closings = changes[gripper[changes] < 0]
    labels, after = np.zeros((len(kept), 7)), kept + 1
    for frame in kept:
        if frame in changes:
            labels[frame, 6] = gripper[frame]
            continue
        later = changes[changes > frame]
        end = later[0] if len(later) else len(actions)
        ahead = np.concatenate(
            [
                goals[0][frame:end] - position[frame],
                (goals[1][frame:end] * turn[frame].inv()).as_euler("XYZ"),
            ],
            axis=1,
        )
        last, is_leftover = _reach(ahead, _FIRST_LIFT_STEP if frame - 1 in closings else _STEP)
        changes_now = is_leftover and len(later)
        labels[frame] = [*ahead[last], gripper[end] if changes_now else gripper[frame]]
        after[frame] = frame + last + (2 if changes_now else 1)
    return Labels(kept, labels.astype(np.float32), after)


def _gripper_changes(gripper: np.ndarray) -> np.ndarray:
    """Return (T,) true where the command differs from the step before."""
    return np.concatenate([[False], gripper[1:] != gripper[:-1]])


def _last_release(gripper: np.ndarray, changes: np.ndarray) -> int:
    """Return the last frame that opens the gripper again, else the last frame of all."""
    opening = changes[gripper[changes] > 0]
    return int(opening[-1]) if len(opening) else len(gripper) - 1


def _reach(ahead: np.ndarray, threshold: float) -> tuple[int, bool]:
    """Return which motion is the first of at least ``threshold``, else the last one.

    Args:
        ahead: (K, 6) motions from the frame's pose to the following waypoints.
        threshold: m.

    Returns:
        its row and whether it is too small to be a step of its own.
    """
    distance = np.linalg.norm(ahead[:, :3], axis=1)
    angle = np.abs(ahead[:, 3:]).max(axis=1)
    enough = (distance >= threshold) | (angle >= threshold * _RADIANS_PER_METER)
    last = int(np.argmax(enough)) if enough.any() else len(ahead) - 1
    leftover = distance[last] < _LEFTOVER_XYZ and angle[last] < _LEFTOVER_ROTATION
    return last, bool(leftover)
