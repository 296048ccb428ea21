"""The rules of success, of a grasp and of settling, by numbers worked out on paper."""

import numpy as np
import pytest

from unblind.sim.success import PlacementTest, needs_more_settling, pushes, rotated_half_size

# A plate of 11 x 11 cm, 6 mm thick, and an object 4 cm high: half sizes in m.
PLATE, OBJECT = np.array([0.055, 0.055, 0.003]), np.array([0.03, 0.01, 0.02])
PLATE_XYZ = np.array([-0.16, 0.03, 0.8695])
PLACED = PlacementTest(OBJECT, PLATE)


def is_placed(dx=0.0, dy=0.0, dz=0.023, force=(0.0, 0.0, 0.2)):
    return PLACED(PLATE_XYZ + [dx, dy, dz], PLATE_XYZ, np.array(force))


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ({}, True),
        # Sideways: half the plate's longest side and 1 cm, 0.055 + 0.01 m, in any direction.
        ({"dx": 0.0649}, True),
        ({"dx": -0.0651}, False),
        ({"dx": 0.0459, "dy": 0.0459}, True),  # 64.9 mm along the diagonal
        ({"dx": 0.0461, "dy": 0.0461}, False),  # 65.2 mm
        # Upwards: both half heights, 0.003 + 0.02 m, and 5 cm between them.
        ({"dz": 0.0729}, True),
        ({"dz": 0.0731}, False),
        ({"dz": 0.0001}, True),
        ({"dz": -0.0001}, False),
        # Contact: more than 0.03 N, whatever its direction.
        ({"force": (0.0, -0.031, 0.0)}, True),
        ({"force": (0.0, 0.0, 0.029)}, False),
        ({"force": (0.018, 0.018, 0.018)}, True),  # 0.0312 N
        ({"force": (0.0, 0.0, 0.0)}, False),
    ],
)
def test_placement(offset, expected):
    assert is_placed(**offset) is expected


def test_the_horizontal_limit_is_the_plates_longest_half_side_over_all_three_axes():
    tall = PlacementTest(OBJECT, np.array([0.03, 0.04, 0.08]))
    at = PLATE_XYZ + [0.089, 0, 0.1]
    assert tall(at, PLATE_XYZ, np.array([0, 0, 1.0])), "0.08 + 0.01 m"
    assert not tall(at + [0.002, 0, 0], PLATE_XYZ, np.array([0, 0, 1.0]))


def test_half_sizes_turn_with_the_object():
    bbox = np.array([[-0.03, -0.01, 0.0], [0.03, 0.01, 0.04]])
    np.testing.assert_allclose(rotated_half_size(bbox, np.eye(3)), [0.03, 0.01, 0.02])
    half = np.sqrt(0.5)
    turned = np.array([[half, -half, 0], [half, half, 0], [0, 0, 1]])
    np.testing.assert_allclose(
        rotated_half_size(bbox, turned), [0.04 * half, 0.04 * half, 0.02], atol=1e-12
    )
    lying = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    np.testing.assert_allclose(rotated_half_size(bbox, lying), [0.02, 0.01, 0.03])


@pytest.mark.parametrize(
    ("strength", "angle", "expected"),
    [
        (0.51, 0.0, True),
        (0.49, 0.0, False),
        (5.0, 84.9, True),
        (5.0, 85.1, False),
        (5.0, 180.0, False),
        (0.0, 0.0, False),
    ],
)
def test_a_finger_grasps_from_half_a_newton_within_85_degrees(strength, angle, expected):
    turn = np.radians(angle)
    force = strength * np.array([0.0, np.cos(turn), np.sin(turn)])
    assert pushes(force, np.array([0.0, 1.0, 0.0])) is expected


def speeds(linear, angular=None):
    """Return (batch, 2, 3) arrays: the object's given speeds along x, the plate at rest."""
    angular = np.zeros(len(linear)) if angular is None else angular
    moving = np.zeros((2, len(linear), 2, 3))
    moving[0, :, 0, 0], moving[1, :, 0, 0] = linear, angular
    return moving


@pytest.mark.parametrize(
    ("linear", "angular", "expected"),
    [
        ([0.0009], None, False),
        ([0.0011], None, True),
        ([0.0], [0.009], False),
        ([0.0], [0.011], True),
    ],
)
def test_one_episode_settles_on_above_a_millimetre_or_a_hundredth_of_a_radian_a_second(
    linear, angular, expected
):
    assert needs_more_settling(*speeds(linear, angular)) is expected


def test_the_speeds_of_object_and_plate_add_up():
    linear, angular = speeds([0.0006])
    assert not needs_more_settling(linear, angular)
    linear[0, 1, 2] = 0.0006
    assert needs_more_settling(linear, angular)
