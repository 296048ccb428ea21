"""Camera, robot base and table as plain numbers, and what the camera sees (no SAPIEN needed).

All from the released bridge environment.
"""

import numpy as np

TABLE_Z = 0.8665
"""Height of the table top, m (the released plate's resting height less its thickness)."""
GRID_CENTER = (-0.16, 0.0)
"""Centre of the grid of positions, m."""
BASE_POSITION, BASE_QUATERNION = (0.147, 0.028, 0.870), (0.0, 0.0, 0.0, 1.0)
"""The robot's base in the world: m, and (w, x, y, z)."""
MOUNT_POSITION = (0.0, -0.16, 0.36)
MOUNT_QUATERNION = (0.8992917, -0.09263245, 0.35892478, 0.23209205)
"""The camera relative to the base: m, and (w, x, y, z); x looks forward, y left, z up."""
FRAME = (640, 480)
FOCAL, CENTER = 623.588, (319.501, 239.545)
"""Focal length and principal point in px of a 640 x 480 frame."""


def _rotation(quaternion: tuple[float, float, float, float]) -> np.ndarray:
    """Return the rotation matrix of a unit quaternion (w, x, y, z)."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


EYE = np.array(BASE_POSITION) + _rotation(BASE_QUATERNION) @ np.array(MOUNT_POSITION)
"""The camera's place in the world, m."""
_FORWARD, _LEFT, _UP = (_rotation(BASE_QUATERNION) @ _rotation(MOUNT_QUATERNION)).T
AXES = np.stack([-_LEFT, -_UP, _FORWARD])
"""The camera's right, down and forward axes in the world, (3, 3) rows."""


def project(points: np.ndarray) -> np.ndarray:
    """Return the pixels (N, 2) of a 640 x 480 frame at which world points (N, 3) in m appear."""
    seen = (np.asarray(points, float) - EYE) @ AXES.T
    return seen[:, :2] / seen[:, 2:] * FOCAL + CENTER
