"""The arm against the published numbers of the WidowX-250S and of the release's controller."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

# The joints of the released wx250s.urdf: parent, child, offset in m, axis (None where fixed),
# lower and upper limit (rad, m).
JOINTS = {
    "waist": ("base_link", "shoulder_link", (0, 0, 0.072), "z", -3.14159, 3.14159),
    "shoulder": ("shoulder_link", "upper_arm_link", (0, 0, 0.03865), "y", -1.88496, 1.98968),
    "elbow": ("upper_arm_link", "upper_forearm_link", (0.04975, 0, 0.25), "y", -2.14675, 1.60570),
    "forearm_roll": (
        "upper_forearm_link",
        "lower_forearm_link",
        (0.175, 0, 0),
        "x",
        -3.14158,
        3.14158,
    ),
    "wrist_angle": ("lower_forearm_link", "wrist_link", (0.075, 0, 0), "y", -1.74533, 2.14675),
    "wrist_rotate": ("wrist_link", "gripper_link", (0.065, 0, 0), "x", -3.14158, 3.14158),
    "ee_arm": ("gripper_link", "ee_arm_link", (0.043, 0, 0), None, None, None),
    "gripper": ("ee_arm_link", "gripper_prop_link", (0.0055, 0, 0), None, None, None),
    "gripper_bar": ("ee_arm_link", "gripper_bar_link", (0, 0, 0), None, None, None),
    "ee_bar": ("gripper_bar_link", "fingers_link", (0.023, 0, 0), None, None, None),
    "left_finger": ("fingers_link", "left_finger_link", (0, 0, 0), "y", 0.015, 0.037),
    "right_finger": ("fingers_link", "right_finger_link", (0, 0, 0), "-y", 0.015, 0.037),
    "ee_gripper": ("fingers_link", "ee_gripper_link", (0.027575, 0, 0), None, None, None),
}
MOVING = [name for name, row in JOINTS.items() if row[3]]
AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1)}
MASSES = {
    "base_link": 0.538736,
    "shoulder_link": 0.480879,
    "upper_arm_link": 0.430811,
    "upper_forearm_link": 0.234589,
    "lower_forearm_link": 0.220991,
    "wrist_link": 0.084957,
    "gripper_link": 0.072885,
    "ee_arm_link": 0.001,
    "gripper_prop_link": 0.00434,
    "gripper_bar_link": 0.034199,
    "fingers_link": 0.001,
    "left_finger_link": 0.016246,
    "right_finger_link": 0.016246,
    "ee_gripper_link": 0.001,
}
# Published start of an episode: rad, the fingers m.
START = (-0.01840777, 0.0398835, 0.22242722, -0.00460194, 1.36524296, 0.00153398, 0.037, 0.037)
TRIALS = {
    "zero": (0.0,) * 6 + (0.02, 0.02),
    "start": START,
    "turned": (0.7, -0.4, 0.9, 1.2, -0.8, -2.0, 0.016, 0.036),
}


@pytest.fixture(scope="module")
def env(renderer):
    from unblind.sim.env import PutOnPlateEnv

    env = PutOnPlateEnv(obs_mode="none")
    env.reset()
    yield env
    env.close()


def by_hand(qpos):
    """Multiply the published offsets: {link: (4, 4) pose in the base frame}."""
    poses, angles = {"base_link": np.eye(4)}, dict(zip(MOVING, qpos, strict=True))
    for name, (parent, child, offset, axis, *_) in JOINTS.items():
        step = np.eye(4)
        step[:3, 3] = offset
        if axis and name.endswith("finger"):
            step[:3, 3] += angles[name] * np.array(AXES[axis])
        elif axis:
            step[:3, :3] = Rotation.from_rotvec(angles[name] * np.array(AXES[axis])).as_matrix()
        poses[child] = poses[parent] @ step
    return poses


@pytest.mark.parametrize("trial", TRIALS)
def test_links_stand_where_the_published_offsets_put_them(env, trial):
    robot = env.agent.robot
    robot.set_qpos(np.array(TRIALS[trial], dtype=np.float32))
    world = by_hand(TRIALS[trial])
    base = np.eye(4)
    base[:3, :3] = np.diag([-1, -1, 1])  # quaternion (0, 0, 0, 1): the arm faces world -x
    base[:3, 3] = (0.147, 0.028, 0.870)
    for name, link in robot.links_map.items():
        found = link.pose.sp.to_transformation_matrix()
        np.testing.assert_allclose(found, base @ world[name], atol=2e-6, err_msg=name)


def test_the_gripper_at_zero_is_the_sum_of_the_offsets():
    reach = 0.04975 + 0.175 + 0.075 + 0.065 + 0.043 + 0.023 + 0.027575
    tcp = by_hand(TRIALS["zero"])["ee_gripper_link"]
    np.testing.assert_allclose(tcp[:3, 3], [reach, 0, 0.072 + 0.03865 + 0.25], atol=1e-12)


def test_joint_limits_and_masses(env):
    robot = env.agent.robot
    assert [joint.name for joint in robot.active_joints] == MOVING
    limits = [JOINTS[name][4:] for name in MOVING]
    np.testing.assert_allclose(robot.get_qlimits()[0], limits, atol=1e-5)
    masses = {name: float(link.mass[0]) for name, link in robot.links_map.items()}
    assert masses == pytest.approx(MASSES, rel=1e-5)


def test_gains_and_the_open_gripper(env):
    joints = [joint._objs[0] for joint in env.agent.robot.active_joints]
    stiffness = [1169.789, 730.0, 808.460, 1229.130, 1272.276, 1056.333, 1000, 1000]
    damping = [330, 180, 152.120, 309.622, 201.050, 269.515, 200, 200]
    np.testing.assert_allclose([j.stiffness for j in joints], stiffness, rtol=1e-6)
    np.testing.assert_allclose([j.damping for j in joints], damping, rtol=1e-6)
    assert [j.force_limit for j in joints] == [200, 200, 100, 100, 100, 100, 60, 60]
    for action, finger in ((1, 0.038), (0, 0.026), (-1, 0.014)):  # 1 mm beyond the joints' range
        env.agent.set_action(torch.tensor([[0, 0, 0, 0, 0, 0, action]], dtype=torch.float32))
        targets = [j.drive_target[0] for j in joints[6:]]
        np.testing.assert_allclose(targets, [finger, finger], atol=1e-6)


def test_contacts_that_are_ignored(renderer):
    from unblind.sim.robot import SRDF

    found = {frozenset(e.attrib[k] for k in ("link1", "link2")) for e in read(SRDF)}
    gripper = ("gripper_link", "gripper_bar_link", "left_finger_link", "right_finger_link")
    among = {frozenset((a, b)) for a in gripper for b in gripper if a != b}
    assert found == among | {frozenset(("base_link", "upper_arm_link"))}


def test_the_released_arm_has_the_same_joints(renderer, released_assets):
    from unblind.sim.robot import URDF

    folder = released_assets / "robots" / "widowx"
    if not (folder / "wx250s.urdf").is_file():
        pytest.skip("the released assets hold no robots/widowx/wx250s.urdf")
    ours, theirs = describe(read(URDF)), describe(read(folder / "wx250s.urdf"))
    assert set(theirs) == set(ours) == set(JOINTS) | set(MASSES)
    for name, (links, numbers) in theirs.items():
        assert ours[name][0] == links, name
        np.testing.assert_allclose(ours[name][1], numbers, atol=1e-6, err_msg=name)


def read(path):
    return ET.parse(path).getroot()


def describe(robot):
    """Return of each joint its links and numbers, and of each link its mass and its centre."""
    found = {}
    for joint in robot.findall("joint"):
        values = vector(joint, "origin", "xyz") + vector(joint, "origin", "rpy")
        if joint.get("type") != "fixed":
            values += vector(joint, "axis", "xyz")
            values += vector(joint, "limit", "lower") + vector(joint, "limit", "upper")
        links = [joint.find(end).get("link") for end in ("parent", "child")]
        found[joint.get("name")] = ((joint.get("type"), *links), values)
    for link in robot.findall("link"):
        body = link.find("inertial")
        found[link.get("name")] = (), vector(body, "mass", "value") + vector(body, "origin", "xyz")
    return found


def vector(element, tag, key):
    """Return an attribute's numbers, three zeros where the element leaves them out."""
    child = element.find(tag)
    text = None if child is None else child.get(key)
    return [float(number) for number in (text or "0 0 0").split()]
