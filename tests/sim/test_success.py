"""The rules of success, of stages and of settling, by numbers worked out on paper."""

from dataclasses import replace

import numpy as np
import pytest

from unblind.sim.success import (
    IMPLIED,
    MILESTONES,
    Milestones,
    MilestoneTest,
    Moment,
    PlacementTest,
    needs_more_settling,
    pushes,
    rotated_half_size,
    touches,
)

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


def test_all_watched_actors_count():
    linear, angular = np.zeros((2, 1, 3, 3))
    linear[0, 2, 1] = 0.0011  # the third one alone, m/s
    assert needs_more_settling(linear, angular)
    linear[0, :, 1] = 0.0004  # 1.2 mm/s together
    assert needs_more_settling(linear, angular)


# ---- stages: an object of 6 x 2 x 4 cm on a table at 0.8665 m, the gripper 10 cm above it --------

BBOX = np.array([-OBJECT, OBJECT])
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * OBJECT
REST = np.array([-0.1, -0.05, 0.8865])  # 16 cm from the plate
ABOVE = REST + [0, 0, 0.12]
START = Moment(REST, np.eye(3), PLATE_XYZ, ABOVE, touched=False, grasped=False)
TURNED = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # a quarter turn: 2 x 6 x 4 cm


def stage_test(start=START):
    return MilestoneTest(PLACED, BBOX, CORNERS, start)


def held(dz=0.0, over=False, **changes):
    """A moment in which the object is held so much above its place, perhaps over the plate."""
    xy = PLATE_XYZ[:2] + [0.03, 0] if over else REST[:2]
    at = np.array([*xy, REST[2] + dz])
    return replace(START, object_xyz=at, gripper_xyz=at, touched=True, grasped=True, **changes)


def names(stages):
    return [stage for stage in MILESTONES if getattr(stages, stage)]


@pytest.mark.parametrize(
    ("gripper", "rotation", "expected"),
    [
        # Two centimetres from the surface, wherever that is.
        ((0, 0, 0.0399), np.eye(3), True),
        ((0, 0, 0.0401), np.eye(3), False),
        ((0.0499, 0, 0), np.eye(3), True),
        ((0.0501, 0, 0), np.eye(3), False),
        ((0.0499, 0, 0), TURNED, False),
        ((0.0299, 0, 0), TURNED, True),
        ((0, 0.0499, 0), TURNED, True),
        # Beyond an edge: 14.1 and 14.2 mm in either direction.
        ((0.0441, 0, 0.0341), np.eye(3), True),
        ((0.0442, 0, 0.0342), np.eye(3), False),
        ((0, 0, 0), np.eye(3), True),
    ],
)
def test_an_object_is_reached_within_two_centimetres_of_its_surface(gripper, rotation, expected):
    now = replace(START, gripper_xyz=REST + gripper, object_rotation=rotation)
    assert stage_test()(1, now) == Milestones(reached=expected)


def test_a_touch_reaches_from_afar_and_a_grasp_too():
    assert names(stage_test()(1, replace(START, touched=True))) == ["reached"]
    assert names(stage_test()(1, replace(START, grasped=True))) == ["reached", "grasped"]
    assert touches(np.array([0.0, -0.031, 0.0])) and not touches(np.array([0.0, 0.029, 0.0]))


def test_a_gripper_that_starts_close_by_has_to_come_half_as_close():
    start = replace(START, gripper_xyz=REST + [0, 0, 0.036])  # 16 mm
    told = stage_test(start)
    assert [told(step, start) for step in range(3)] == [Milestones()] * 3, "standing still"
    assert not told(3, replace(start, gripper_xyz=REST + [0, 0, 0.0281])).reached
    assert told(4, replace(start, gripper_xyz=REST + [0, 0, 0.0279])).reached


@pytest.mark.parametrize(("height", "expected"), [(0.0199, False), (0.0201, True)])
def test_an_object_is_lifted_two_centimetres_above_its_place(height, expected):
    assert stage_test()(1, held(height)).lifted is expected
    thrown = replace(held(height), touched=False, grasped=False)
    assert not stage_test()(1, thrown).lifted, "in the air, not held"


def test_the_lowest_point_of_a_tilted_object_decides():
    # Standing on its end, 6 cm high: the centre 1 cm higher is no lift, 3.01 cm are one of 2.01.
    upright = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
    assert not stage_test()(1, held(0.0299, object_rotation=upright)).lifted
    assert stage_test()(1, held(0.0301, object_rotation=upright)).lifted
    # From where it stood on its end, the same height is another one.
    start = replace(START, object_xyz=REST + [0, 0, 0.01], object_rotation=upright)
    assert stage_test(start)(1, held(0.0301, object_rotation=upright)).lifted
    assert stage_test(start)(1, held(0.0201)).lifted


def test_five_steps_in_a_row_make_a_consecutive_grasp():
    told, grasps = stage_test(), [1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0]
    seen = []
    for step, grasped in enumerate(grasps, 1):
        now = replace(START, grasped=bool(grasped))
        assert told(step, now) == told(step, now), "asked twice it is still one step"
        seen.append(int(told(step, now).consecutive_grasp))
    assert seen == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0]


def test_over_the_plate_is_lifted_and_within_the_success_rules_reach():
    assert names(stage_test()(1, held(0.05, over=True))) == [
        "reached", "grasped", "lifted", "over_plate",
    ]  # fmt: skip
    assert not stage_test()(1, held(0.019, over=True)).over_plate, "dragged onto it"
    far = held(0.05)
    for distance, expected in ((0.0649, True), (0.0651, False)):
        at = PLATE_XYZ + [0, -distance, 0.5]
        assert stage_test()(1, replace(far, object_xyz=at)).over_plate is expected


def test_released_is_let_go_after_having_been_over_the_plate():
    told = stage_test()
    let_go = replace(held(0.05, over=True), grasped=False)
    assert not told(1, let_go).released, "it was never held there"
    assert not told(2, held(0.05)).released and not told(3, replace(START)).released
    assert not told(4, held(0.05, over=True)).released
    assert told(5, let_go).released and told(6, replace(START)).released, "wherever it lands"
    assert not told(7, held()).released, "held again"


def test_what_jumps_is_neither_released_nor_reached_before_it_is_down():
    told = stage_test()
    assert told(1, held(0.05, over=True)).over_plate
    told.jump()
    high = REST + [0.0, 0.1, 0.08]
    falling = replace(START, object_xyz=high, gripper_xyz=high, touched=True)
    assert told(2, falling) == Milestones(), "taken out of the fingers, and past them"
    stuck = replace(falling, grasped=True)
    assert names(told(3, stuck)) == ["grasped"], "put between the fingers: the release's word"
    down = replace(falling, object_xyz=REST, gripper_xyz=ABOVE)
    assert names(told(4, down)) == ["reached"]
    assert names(told(5, held(0.05, over=True)))[-1] == "over_plate"
    assert told(6, replace(START)).released


def test_stages_are_kept_by_joining_and_told_by_the_releases_names():
    first, second = Milestones(reached=True), Milestones(grasped=True, lifted=True)
    assert names(first | second) == ["reached", "grasped", "lifted"]
    info = (first | second).to_info()
    assert list(info) == [
        "reached", "is_src_obj_grasped", "consecutive_grasp", "lifted", "over_plate", "released",
    ]  # fmt: skip
    assert Milestones.from_info({**info, "success": False}) == first | second


def test_no_course_of_events_has_a_stage_without_those_it_implies():
    rng = np.random.default_rng(0)
    for _ in range(200):
        told, so_far = stage_test(), Milestones()
        for step in range(1, 20):
            if rng.random() < 0.05:
                told.jump()
            now = held(rng.uniform(0, 0.06), over=rng.random() < 0.5)
            touched, grasped = rng.random(2) < 0.6
            told_now = told(step, replace(now, touched=bool(touched), grasped=bool(grasped)))
            so_far |= told_now
            assert all(getattr(so_far, a) <= getattr(so_far, b) for a, b in IMPLIED)
    assert set(MILESTONES) == {stage for pair in IMPLIED for stage in pair}
