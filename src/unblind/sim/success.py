"""When an episode counts as solved, and how far it has come, in plain numpy.

Success, grasp and settling follow the release (``put_on_in_scene_multi.py``: ``evaluate`` and
``_initialize_episode``; ``widowx.py``: ``is_grasping``). The other milestones are ours.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any, Self

import numpy as np

#: Slack of the horizontal test, m.
XY_SLACK = 0.01
#: Largest gap between plate and object, m.
Z_SLACK = 0.05
#: Least contact force between plate and object, N.
MIN_CONTACT_FORCE = 0.03
#: A finger grasps if it pushes at least this hard (N) within this angle (degrees).
MIN_GRASP_FORCE, MAX_GRASP_ANGLE = 0.5, 85.0
#: Control steps in a row with a grasp that the release calls a consecutive one.
CONSECUTIVE_GRASP = 5
#: The gripper has reached an object that is no further from ``ee_gripper_link`` than this, m. The
#: planner's approach ends 3 cm above an object's top or higher: hovering there is not reaching.
MAX_REACH = 0.02
#: An object is lifted if its lowest point is at least this far above where it rested, m: clearly
#: more than the 12 mm of the thickest plate (released ``model_db.json``), onto which an object may
#: be dragged.
MIN_LIFT = 0.02


def rotated_half_size(bbox: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return (3,) half sizes in m of the world-aligned box around a rotated bounding box.

    Args:
        bbox: (2, 3) corners in m, model frame.
        rotation: (3, 3) model to world.
    """
    return np.abs(rotation) @ ((bbox[1] - bbox[0]) / 2)


@dataclass(frozen=True)
class PlacementTest:
    """The released success rule for one object and one plate.

    Half sizes are those after settling. Neither an open gripper nor a moved object is required.

    Attributes:
        object_half: (3,) m.
        plate_half: (3,) m.
    """

    object_half: np.ndarray
    plate_half: np.ndarray

    def __call__(self, object_xyz: np.ndarray, plate_xyz: np.ndarray, force: np.ndarray) -> bool:
        """Tell whether the object stands on the plate.

        Args:
            object_xyz: (3,) m.
            plate_xyz: (3,) m.
            force: (3,) N, contact force between them.
        """
        height = object_xyz[2] - plate_xyz[2]
        gap = height - self.plate_half[2] - self.object_half[2]
        return bool(
            self.is_over(object_xyz, plate_xyz) and height > 0 and gap <= Z_SLACK and touches(force)
        )

    def is_over(self, object_xyz: np.ndarray, plate_xyz: np.ndarray) -> bool:
        """Tell whether the object, (3,) m, is horizontally on the plate, whatever its height."""
        distance = np.linalg.norm(object_xyz[:2] - plate_xyz[:2])
        return bool(distance <= self.plate_half.max() + XY_SLACK)


def touches(force: np.ndarray) -> bool:
    """Tell whether a contact force (3,) in N is more than none (the release's limit)."""
    return bool(np.linalg.norm(force) > MIN_CONTACT_FORCE)


def pushes(force: np.ndarray, opening: np.ndarray) -> bool:
    """Tell whether a finger holds something.

    Args:
        force: (3,) N, acting on the finger.
        opening: (3,) unit vector along which the finger opens.
    """
    strength = np.linalg.norm(force)
    if strength < MIN_GRASP_FORCE:
        return False
    angle = np.degrees(np.arccos(np.clip(force @ opening / strength, -1, 1)))
    return bool(angle <= MAX_GRASP_ANGLE)


def needs_more_settling(linear: np.ndarray, angular: np.ndarray) -> bool:
    """Tell whether objects still move after the first 0.1 s (released ``_initialize_episode``).

    The release takes the root of the summed squares over its whole batch of environments, so that
    an episode's initial state depends on its companions; the corrected study always calls this
    with a batch of one.

    Args:
        linear: (batch, actors, 3) m/s.
        angular: (batch, actors, 3) rad/s.
    """
    speed = np.linalg.norm(linear, axis=(0, 2)).sum()
    spin = np.linalg.norm(angular, axis=(0, 2)).sum()
    return bool(speed > 1e-3 or spin > 1e-2)


# ---- milestones ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Milestones:
    """Which milestones of the task hold after a step; joined with ``|``, which have held so far.

    Attributes:
        reached: a finger touches the object, or the gripper has come close to it.
        grasped: both fingers hold it (released ``is_src_obj_grasped``).
        consecutive_grasp: they have held it for five control steps in a row (the release's).
        lifted: it is held clear of the table.
        over_plate: it is lifted, and horizontally where the success rule wants it.
        released: it has been over the plate and is held no more.
    """

    reached: bool = False
    grasped: bool = False
    consecutive_grasp: bool = False
    lifted: bool = False
    over_plate: bool = False
    released: bool = False

    def __or__(self, other: Self) -> "Milestones":
        """Return the milestones that hold in either."""
        return Milestones(*(a or b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def to_info(self) -> dict[str, bool]:
        """Return the milestones under the environment's names, of which two are the release's."""
        return {_INFO.get(milestone, milestone): held for milestone, held in vars(self).items()}

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> "Milestones":
        """Return the milestones from what the environment returns."""
        return cls(
            **{milestone: bool(info[_INFO.get(milestone, milestone)]) for milestone in MILESTONES}
        )


MILESTONES = tuple(field.name for field in fields(Milestones))
#: Pairs of a milestone and another, without which it cannot hold. A grasp that is no reach is one
#: by luck: see `MilestoneTest.jump`.
IMPLIED = (
    ("consecutive_grasp", "grasped"),
    ("lifted", "grasped"),
    ("lifted", "reached"),
    ("over_plate", "lifted"),
    ("released", "over_plate"),
)
_INFO = {"grasped": "is_src_obj_grasped"}


@dataclass(frozen=True)
class Moment:
    """What the milestones are told from: the state after a control step, world frame.

    Attributes:
        object_xyz, object_rotation: pose of the object, (3,) m and (3, 3) to the world.
        plate_xyz: (3,) m.
        gripper_xyz: ``ee_gripper_link``, (3,) m.
        touched: a finger touches the object.
        grasped: both fingers hold it.
    """

    object_xyz: np.ndarray
    object_rotation: np.ndarray
    plate_xyz: np.ndarray
    gripper_xyz: np.ndarray
    touched: bool
    grasped: bool


class MilestoneTest:
    """The milestones of one episode, step by step.

    Args:
        placed: the episode's success rule.
        bbox: (2, 3) corners of the object in m, model frame.
        corners: (N, 3) of its collision geometry in m, model frame.
        start: the state after settling: where the object rests and the gripper waits.
    """

    def __init__(
        self, placed: PlacementTest, bbox: np.ndarray, corners: np.ndarray, start: Moment
    ) -> None:
        self._placed, self._bbox, self._corners = placed, bbox, corners
        self._rest = self._lowest(start)
        # Half of the way there at least: who stands still close by has reached nothing.
        self._reach = min(MAX_REACH, self._distance(start) / 2)
        self._held_since: int | None = None
        self._was_over = False
        self._falls = False

    def jump(self) -> None:
        """Take note that the object is put elsewhere, in the air (PosChangeTo).

        An object taken out of the fingers is not released. Nor is it reached or lifted before it
        has come down: it may fall past the gripper, or get stuck between the fingers, in whose
        place it may be put. (The release calls that a grasp.)
        """
        self._was_over, self._falls = False, True

    def __call__(self, step: int, now: Moment) -> Milestones:
        """Return the milestones that hold after a step; asked again, the same.

        Args:
            step: control steps so far; none may be left out.
            now: the state.
        """
        if not now.grasped:
            self._held_since = None
        elif self._held_since is None:
            self._held_since = step
        held_steps = 0 if self._held_since is None else step - self._held_since + 1
        is_high = self._lowest(now) - self._rest >= MIN_LIFT
        self._falls &= is_high
        close = now.grasped or now.touched or self._distance(now) <= self._reach
        lifted = now.grasped and is_high and not self._falls
        over = lifted and self._placed.is_over(now.object_xyz, now.plate_xyz)
        self._was_over |= over
        return Milestones(
            reached=close and not self._falls,
            grasped=now.grasped,
            consecutive_grasp=held_steps >= CONSECUTIVE_GRASP,
            lifted=lifted,
            over_plate=over,
            released=self._was_over and not now.grasped,
        )

    def _lowest(self, now: Moment) -> float:
        """Return the height of the object's lowest point, m."""
        return float((self._corners @ now.object_rotation[2]).min() + now.object_xyz[2])

    def _distance(self, now: Moment) -> float:
        """Return how far the gripper is from the object's bounding box, m; 0 inside."""
        seen = (now.gripper_xyz - now.object_xyz) @ now.object_rotation  # in the model's frame
        return float(np.linalg.norm(seen - np.clip(seen, *self._bbox)))
