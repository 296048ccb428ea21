"""What is declared, and what of it fits."""

from dataclasses import replace

import commands
import pytest

from unblind.config import load
from unblind.serving.conventions import (
    Conventions,
    contradictions,
    differences,
    of_benchmark,
)
from unblind.serving.msgpack import Malformed

BENCHMARK = of_benchmark(load(commands.SMOKE))


def test_the_benchmark_says_what_its_robot_and_camera_do():
    from unblind.sim import env

    assert BENCHMARK.control_hz == env.CONTROL_HZ == 5
    assert BENCHMARK.picture == (48, 64)
    assert len(BENCHMARK.limits()) == 7


def test_euler_angles_are_those_of_the_robots_controller():
    import torch
    from mani_skill.agents.controllers import pd_ee_pose
    from scipy.spatial.transform import Rotation

    angles = [0.3, 0.5, -0.7]
    theirs = pd_ee_pose.euler_angles_to_matrix(torch.tensor([angles]), "XYZ")[0].numpy()
    intrinsic = Rotation.from_euler("XYZ", angles).as_matrix()  # capitals: about turned axes
    assert abs(theirs - intrinsic).max() < 1e-6
    assert abs(theirs - Rotation.from_euler("xyz", angles).as_matrix()).max() > 0.1


def test_what_is_declared_arrives():
    assert Conventions.from_wire(BENCHMARK.to_wire()) == BENCHMARK
    assert Conventions.from_wire(Conventions().to_wire()) == Conventions()


def test_a_policy_may_leave_open_what_it_does_not_look_at():
    assert list(differences(BENCHMARK, Conventions())) == []
    blind = replace(Conventions(), picture_format=None, instruction=None)
    assert list(differences(BENCHMARK, blind)) == []
    narrow = replace(Conventions(), position_range=(-0.02, 0.02))
    assert list(differences(BENCHMARK, narrow)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rotation": "axis_angle"}, "rotation: benchmark euler_XYZ_intrinsic, policy axis_angle"),
        (
            {"gripper": "binary_close_positive"},
            "gripper: benchmark binary_close_negative, policy binary_close_positive",
        ),
        ({"position_unit": "mm"}, "position_unit: benchmark m, policy mm"),
        ({"position_range": (-2.0, 1.0)}, "position_range: benchmark [-1, 1], policy [-2, 1]"),
        ({"position_range": (1.0, -1.0)}, "position_range: benchmark [-1, 1], policy [1, -1]"),
        (
            {"gripper_range": (float("nan"), 1.0)},
            "gripper_range: benchmark [-1, 1], policy [nan, 1]",
        ),
        ({"control_hz": 10.0}, "control_hz: benchmark 5, policy 10"),
        ({"picture": (480, 640)}, "picture: benchmark [48, 64], policy [480, 640]"),
        ({"camera": "wrist"}, "camera: benchmark bridge_third_person, policy wrist"),
        ({"frame": "gripper"}, "frame: benchmark base, policy gripper"),
        ({"instruction": "goal_image"}, "instruction: benchmark text, policy goal_image"),
    ],
)
def test_everything_else_must_be_the_same(change, told):
    assert list(differences(BENCHMARK, replace(Conventions(), **change))) == [told]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rotation": None}, "rotation = None"),
        ({"rotation": 3}, "rotation = 3"),
        ({"control_hz": "5"}, "control_hz = 5"),
        ({"control_hz": True}, "control_hz = True"),
        ({"position_range": [1.0]}, "position_range"),
        ({"position_range": ["a", "b"]}, "position_range"),
        ({"picture": [48.0, 64.0]}, "picture"),
        ({"speed": "fast"}, "unknown speed"),
    ],
)
def test_other_kinds_of_values_are_refused(change, why):
    with pytest.raises(Malformed, match=why):
        Conventions.from_wire(BENCHMARK.to_wire() | change)


def test_nothing_is_taken_for_granted():
    with pytest.raises(Malformed, match="no conventions"):
        Conventions.from_wire(None)
    for name in BENCHMARK.to_wire():
        told = BENCHMARK.to_wire()
        del told[name]
        with pytest.raises(Malformed, match=f"lack {name}"):
            Conventions.from_wire(told)


def test_vla_evals_declaration_must_not_say_otherwise():
    own = Conventions()
    assert list(contradictions(own, own.specs())) == []
    specs = own.specs()
    specs["action_spec"]["rotation"]["format"] = "axis_angle"
    (told,) = contradictions(own, specs)
    assert told == "rotation: conventions euler_XYZ_intrinsic, action_spec axis_angle"
