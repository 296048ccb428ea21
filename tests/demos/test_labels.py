import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unblind.demos.labels import apply, controller_targets, filter_released, merge


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
    kept, labels, after = merge(demo, follow(demo)[:-1])
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
    # The frame after the closing one gives the fingers time: the planner's first step of at least
    # 5 mm and no more. All others go 2 cm.
    assert labels[14, 2] >= 0.005 - 1e-6 and distance[14] < 0.02
    assert (labels[15:18, 2] >= 0.02 - 1e-6).all()
    assert (after > kept).all(), "a label leads to a later frame"
    free = np.array([t for t in kept if t not in (13, 14, release) and not changes[t]])
    near_change = np.array([t in (10, 11, 12, 26, 27) for t in free])
    large = (distance[free] >= 0.02 - 1e-6) | (angle[free] >= 0.12 - 1e-6)
    assert large[~near_change].all()


def test_merging_loses_no_motion(demo):
    """The labels in a row, each executed where the one before ends, arrive where the demo does."""
    poses = follow(demo)
    labels = merge(demo, poses[:-1])
    chain = labels.chain()
    assert len(chain) < 0.7 * len(labels.frames), "episodes get shorter"
    arrived = follow(chain, poses[0])[-1]
    np.testing.assert_allclose(arrived[:3], poses[-1, :3], atol=1e-6)
    turned = Rotation.from_quat(arrived[3:], scalar_first=True)
    turned *= Rotation.from_quat(poses[-1, 3:], scalar_first=True).inv()
    assert turned.magnitude() < 1e-5
    closes = np.flatnonzero(chain[:, 6] < 0)
    assert (np.diff(closes) == 1).all() and chain[-1, 6] == 1, "closed once, released at the end"


def test_the_chain_follows_after():
    # Frames 0 and 1 both arrive at frame 2 (0.015 + 0.015 m): the chain visits 0, 2, 4.
    actions = np.tile([0.015, 0, 0, 0, 0, 0, 1.0], (5, 1))
    labels = merge(actions, follow(actions)[:-1])
    assert labels.after.tolist() == [2, 3, 4, 5, 5]
    np.testing.assert_allclose(labels.chain()[:, 0], [0.03, 0.03, 0.015], atol=1e-7)


def test_small_remainder_becomes_the_gripper_change():
    actions = np.zeros((4, 7))
    actions[:, 2] = [-0.03, -0.004, 0.0, 0.05]
    actions[:, 6] = [1, 1, -1, -1]
    kept, labels, after = merge(actions, follow(actions)[:-1])
    assert kept.tolist() == [0, 1, 2, 3]
    # The closing frame 2 is done by label 1 already: from there the chain goes on with frame 3.
    assert after.tolist() == [1, 3, 3, 4]
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
    kept, labels, _ = merge(actions, follow(actions)[:-1])
    assert kept.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(labels[:, 0], [0.03, 0.03, 0.03, 0.015], atol=1e-7)


def test_the_controllers_targets_are_the_sum_of_what_was_sent(demo):
    np.testing.assert_allclose(
        controller_targets(demo), follow(demo, (0, 0, 0, 1, 0, 0, 0))[:-1], atol=1e-12
    )


def test_every_rule_gives_frames_labels_and_where_they_lead(demo):
    steps = len(demo)
    every = apply("none", demo, demo)
    assert list(every.frames) == list(range(steps)) and list(every.after) == list(
        range(1, steps + 1)
    )
    np.testing.assert_array_equal(every.chain(), demo.astype(np.float32))
    released = apply("released", demo, demo)
    assert list(released.after) == [*released.frames[1:], steps]
    np.testing.assert_array_equal(released.chain(), demo[filter_released(demo)].astype(np.float32))
    merged = apply("merge", demo, demo)
    np.testing.assert_array_equal(merged.actions, merge(demo, follow(demo)[:-1]).actions)


@pytest.mark.parametrize("reopening", [True, False])
@pytest.mark.parametrize("rule", ["merge", "released", "none"])
def test_nothing_is_learned_before_a_lapse_has_ended(demo, rule, reopening):
    """A miss ends closed, and opening is learned; a drop ends open."""
    opening = np.tile([0.0] * 6 + [1.0], (2, 1))
    wrong = demo[:18] if reopening else np.concatenate([demo[:18], opening])
    right = np.concatenate([opening, demo]) if reopening else demo
    actions = np.concatenate([wrong, right])
    stages = ["lapse"] * len(wrong) + ["reopen"] * 2 * reopening + ["reach"] * len(demo)
    labels = apply(rule, actions, actions, stages)
    assert labels.frames[0] >= len(wrong) and labels.after[-1] >= labels.frames[-1]
    frames, expected, after = apply(rule, demo, demo)
    shift = len(actions) - len(demo)
    ours = labels.frames >= shift
    assert labels.frames[ours].tolist() == (frames + shift).tolist()
    np.testing.assert_allclose(labels.actions[ours], expected, atol=1e-6)
    assert labels.after[ours].tolist() == (np.array(after) + shift).tolist()
    if reopening:
        assert labels.frames[0] == len(wrong)
        assert labels.actions[0].tolist() == [0, 0, 0, 0, 0, 0, 1]
    if rule == "merge":
        assert labels.frames.tolist() == list(range(len(wrong), len(actions) - 2))
        closed = labels.chain()[:, 6] < 0
        assert np.flatnonzero(np.diff(closed)).size == 2, "closed once and opened once"


def test_same_input_same_bytes(demo):
    poses = follow(demo)[:-1]
    assert merge(demo, poses)[1].tobytes() == merge(demo, poses)[1].tobytes()
