"""When an episode counts as solved, in plain numpy (released ``evaluate``)."""

from dataclasses import dataclass

import numpy as np

#: Slack of the horizontal test, m.
XY_SLACK = 0.01
#: Largest gap between plate and object, m.
Z_SLACK = 0.05
#: Least contact force between plate and object, N.
MIN_CONTACT_FORCE = 0.03
#: A finger grasps if it pushes at least this hard (N) within this angle (degrees).
MIN_GRASP_FORCE, MAX_GRASP_ANGLE = 0.5, 85.0


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
        offset = object_xyz - plate_xyz
        over = np.linalg.norm(offset[:2]) <= self.plate_half.max() + XY_SLACK
        gap = offset[2] - self.plate_half[2] - self.object_half[2]
        return bool(
            over and offset[2] > 0 and gap <= Z_SLACK and np.linalg.norm(force) > MIN_CONTACT_FORCE
        )


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
