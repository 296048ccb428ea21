import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unblind.sim.labels import filter_released, merge


def follow(actions, start=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)):
    """Poses (T + 1, 7) before every step and after the last one."""
    position, turn = np.array(start[:3]), Rotation.from_quat(start[3:], scalar_first=True)
    poses = []
    for action in [*actions, np.zeros(7)]:
        poses.append([*position, *turn.as_quat(scalar_first=True)])
        position = position + action[:3]
        turn = Rotation.from_euler("XYZ", action[3:6]) * turn
    return np.array(poses)


def segment(total, steps, gripper):
    """Ease in and out like a planner: small steps at both ends."""
    speed = np.sin(np.linspace(0.2, np.pi - 0.1, steps))
    motion = np.outer(speed / speed.sum(), total)
    return np.concatenate([motion, np.full((steps, 1), gripper)], axis=1)


@pytest.fixture
def demo():
    """Reach, descend, close (2 steps), lift, carry, open (3 steps): 31 steps, as planned ones."""
    turn = (0.1, 0.0, 0.7)
    still = lambda steps, gripper: np.tile([0.0] * 6 + [gripper], (steps, 1))  # noqa: E731
    return np.concatenate(
        [
            segment((0.10, -0.06, -0.08, *turn), 9, 1),
            segment((0, 0, -0.05, 0, 0, 0), 4, 1),
            still(2, -1),
            segment((0, 0, 0.10, 0, 0, 0), 5, -1),
            segment((-0.09, 0.06, -0.06, 0.0, 0.1, -0.3), 8, -1),
            still(3, 1),
        ]
    )


def test_released_filter_keeps_large_steps_and_gripper_changes():
    actions = np.zeros((8, 7))
    actions[:, 6] = [1, 1, 1, -1, -1, -1, 1, 1]
    actions[1, :3] = [0.008, 0.0, 0.0065]  # norm 0.0103
    actions[2, :3] = [0.0099, 0.0, 0.0]
    actions[4, 3:6] = [0.05, 0.0, 0.035]  # norm 0.061
    actions[5, 3:6] = [0.05, 0.03, 0.0]  # norm 0.058
    assert filter_released(actions).tolist() == [1, 3, 4, 6]


def test_released_filter_is_strict():
    actions = np.zeros((2, 7))
    actions[0, 0], actions[1, 3] = 0.01, 0.06
    assert filter_released(actions).tolist() == []


def test_released_filter_loses_real_motion(demo):
    kept = filter_released(demo)
    lost = np.delete(demo, kept, axis=0)
    assert len(kept) < len(demo)
    assert np.abs(lost[:, 2]).sum() > 0.01, "more than 1 cm of height"


def test_merged_labels_keep_the_rules(demo):
    kept, labels = merge(demo, follow(demo)[:-1])
    release = 28
    assert kept.tolist() == list(range(release + 1)), "frames after the release are dropped"
    before = np.concatenate([[1.0], demo[kept[:-1], 6]])
    changes = labels[:, 6] != before
    distance = np.linalg.norm(labels[:, :3], axis=1)
    angle = np.abs(labels[:, 3:6]).max(1)
    assert distance[changes].max() < 0.01, "no gripper change while moving"
    idle = (distance < 1e-3) & (angle < 6e-3) & ~changes
    assert idle.mean() < 0.05
    assert labels[13].tolist() == [0, 0, 0, 0, 0, 0, -1], "the closing frame stands still"
    assert labels[release].tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert (distance[14:18] >= 0.035 - 1e-6).all(), "lift frames"
    assert (labels[14:18, 2] >= 0.035 - 1e-6).all()
    free = np.array([t for t in kept if t not in (13, release) and not changes[t]])
    near_change = np.array([t in (10, 11, 12, 26, 27) for t in free])
    large = (distance[free] >= 0.02 - 1e-6) | (angle[free] >= 0.12 - 1e-6)
    assert large[~near_change].all()


def test_merging_loses_no_motion(demo):
    """Executing labels as a policy would, from frame to frame, ends where the demo ends."""
    poses = follow(demo)
    kept, labels = merge(demo, poses[:-1])
    frame, visited, position = 0, [], poses[0, :3]
    turn = Rotation.from_quat(poses[0, 3:], scalar_first=True)
    while True:
        label = labels[frame].astype(float)
        visited.append(frame)
        position = position + label[:3]
        turn = Rotation.from_euler("XYZ", label[3:6]) * turn
        if frame == kept[-1]:
            break
        # The frame whose pose and gripper history this label leads to.
        held = frame >= 13 or label[6] < 0
        gap = np.linalg.norm(poses[:-1, :3] - position, axis=1)
        options = [t for t in range(frame + 1, kept[-1] + 1) if (t > 13) == held or t == 13]
        frame = next((t for t in options if gap[t] < 1e-6), kept[-1])
    assert len(visited) < 0.7 * len(kept), "episodes get shorter"
    np.testing.assert_allclose(position, poses[-1, :3], atol=0.005)
    turned = (turn * Rotation.from_quat(poses[-1, 3:], scalar_first=True).inv()).magnitude()
    assert turned < 0.05


def test_small_remainder_becomes_the_gripper_change():
    actions = np.zeros((4, 7))
    actions[:, 2] = [-0.03, -0.004, 0.0, 0.05]
    actions[:, 6] = [1, 1, -1, -1]
    kept, labels = merge(actions, follow(actions)[:-1])
    assert kept.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(labels[:, 2], [-0.03, -0.004, 0.0, 0.05], atol=1e-7)
    assert labels[:, 6].tolist() == [1, -1, -1, -1]


def test_larger_remainder_stays_a_motion():
    actions = np.zeros((3, 7))
    actions[:, 2] = [-0.03, -0.006, 0.0]
    actions[:, 6] = [1, 1, -1]
    labels = merge(actions, follow(actions)[:-1])[1]
    assert labels[1, 2] == pytest.approx(-0.006) and labels[1, 6] == 1


def test_rotations_are_composed_not_summed():
    actions = np.zeros((3, 7))
    actions[:, 3:6] = [[0.09, 0.0, 0.0], [0.0, 0.09, 0.0], [0.0, 0.0, 0.09]]
    actions[:, 6] = 1
    start = (0.1, 0.2, 0.3, *Rotation.from_rotvec([0.4, -1.0, 0.7]).as_quat(scalar_first=True))
    labels = merge(actions, follow(actions, start)[:-1])[1]
    parts = [Rotation.from_euler("XYZ", a) for a in actions[:, 3:6]]
    whole = parts[2] * parts[1] * parts[0]
    np.testing.assert_allclose(labels[0, 3:6], whole.as_euler("XYZ"), atol=1e-6)
    assert np.abs(labels[0, 3:6] - 0.09).max() > 0.005, "the sum would be wrong"


def test_clean_corrections_of_noisy_states():
    """With executed noise a label leads from the noisy pose back to the planned waypoint."""
    actions = np.tile([0.03, 0, 0, 0, 0, 0, 1.0], (3, 1))
    poses = follow(actions)[:-1]
    poses[1, 1] += 0.008  # pushed aside before step 1
    actions[1, 1] = -0.008
    labels = merge(actions, poses)[1]
    np.testing.assert_allclose(labels[1, :3], [0.03, -0.008, 0.0], atol=1e-7)


def test_without_gripper_changes_everything_is_kept():
    actions = np.tile([0.015, 0, 0, 0, 0, 0, 1.0], (4, 1))
    kept, labels = merge(actions, follow(actions)[:-1])
    assert kept.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(labels[:, 0], [0.03, 0.03, 0.03, 0.015], atol=1e-7)


def test_same_input_same_bytes(demo):
    poses = follow(demo)[:-1]
    assert merge(demo, poses)[1].tobytes() == merge(demo, poses)[1].tobytes()
