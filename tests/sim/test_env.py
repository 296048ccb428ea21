"""The environment: gymnasium's contract, control, settling, and episodes that stand alone."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from unblind.rollout.policies import HOLD
from unblind.sim.builtin import BUILTIN
from unblind.sim.episodes import decode
from unblind.sim.success import Milestones

ROLES = ("object", "plate", "distractor", "distractor_plate")
# Published start of an episode: six joints in rad, two fingers in m.
START = (-0.01840777, 0.0398835, 0.22242722, -0.00460194, 1.36524296, 0.00153398, 0.037, 0.037)
TABLE_HEIGHT = 0.8665  # m


@pytest.fixture(scope="module")
def make(renderer):
    """Return a function that makes an environment, closed when the module's tests are done."""
    from unblind.sim.env import PutOnPlateEnv

    made = []

    def start(**kwargs):
        made.append(PutOnPlateEnv(**kwargs))
        return made[-1]

    yield start
    for env in made:
        env.close()


@pytest.fixture(scope="module")
def env(make):
    return make()


@pytest.fixture(scope="module")
def blind(make):
    """Return an environment that renders nothing."""
    return make(obs_mode="none")


def actors(env):
    return [e for e in env.scene.sub_scenes[0].entities if e.name in ROLES]


def state(env):
    """Return the bytes of everything that moves: joints, then poses of object, plate, and more."""
    poses = [np.concatenate([e.pose.p, e.pose.q]) for e in actors(env)]
    return np.concatenate([env.qpos, *poses]).tobytes()


def motions(seed, steps):
    """Return (steps, 7) actions: a seeded wander of a centimetre a step, down to the table."""
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(-0.01, 0.01, (steps, 7))
    drawn[:, 2] -= 0.012
    drawn[:, 6] = rng.choice([-1, 1], steps)
    return drawn.astype(np.float32)


def course(env, episode, actions):
    """Play an episode; return states and picture bytes, the initial ones included."""
    obs, _ = env.reset(options={"episode": episode})
    seen = [(state(env), obs["image"].numpy().tobytes())]
    for action in actions:
        obs, *_ = env.step(action)
        seen.append((state(env), obs["image"].numpy().tobytes()))
    return seen


# ---- gymnasium's contract


def test_reset_and_step_return_what_gymnasium_asks(env):
    obs, info = env.reset(options={"episode": decode("in_distribution", 0)})
    assert info["success"].tolist() == [False] and info["elapsed_steps"].tolist() == [0]
    assert obs.keys() == {"image"} and env.observation_space.contains(
        {"image": obs["image"].numpy()}
    )
    assert obs["image"].shape == (1, 96, 128, 3) and str(obs["image"].dtype) == "torch.uint8"
    obs, _, terminated, truncated, info = env.step(HOLD)
    assert obs["image"].shape == (1, 96, 128, 3)
    assert not terminated.any() and not truncated.any()
    assert info.keys() >= {"success", "is_src_obj_grasped", "elapsed_steps"}
    for name in ("success", *Milestones().to_info()):
        assert info[name].shape == (1,) and str(info[name].dtype) == "torch.bool"
    assert info["elapsed_steps"].tolist() == [1] and env.action_space.shape == (7,)


def test_without_pictures_the_physics_are_the_same(env, blind):
    episode, actions = decode("carrot", 123_456), motions(0, 4)
    assert env.reset(options={"episode": episode})[0].keys() == {"image"}
    assert blind.reset(options={"episode": episode})[0] == {}
    for action in actions:
        env.step(action), blind.step(action)
        assert state(env) == state(blind)


def test_published_clock(blind):
    blind.reset()
    assert (blind.sim_freq, blind.control_freq) == (500, 5)
    assert blind.scene.px.timestep == pytest.approx(0.002)


def test_reset_without_an_episode_starts_the_last_one_again(blind):
    episode = decode("plate", 1_000_001)
    blind.reset(options={"episode": episode})
    before = state(blind)
    blind.step(motions(1, 1)[0])
    blind.reset()
    assert blind.episode == episode and state(blind) == before


# ---- the start of an episode


@pytest.mark.parametrize(("condition", "number"), [("in_distribution", 7), ("ee_pose", 10**10)])
def test_the_arm_starts_at_the_published_joints_and_the_episodes_offset(blind, condition, number):
    episode = decode(condition, number)
    blind.reset(options={"episode": episode})
    assert any(episode.joint_offset) == (condition == "ee_pose")
    np.testing.assert_allclose(blind.qpos, np.add(START, episode.joint_offset), atol=1e-6)
    base = blind.agent.robot.pose.sp
    np.testing.assert_allclose(base.p, [0.147, 0.028, 0.870], atol=1e-6)
    np.testing.assert_allclose(np.abs(base.q), [0, 0, 0, 1], atol=1e-6)


@pytest.mark.parametrize("number", [0, 200_003, 640_000])
def test_what_was_dropped_has_come_to_rest_on_the_table(blind, number):
    episode = decode("in_distribution", number)
    blind.reset(options={"episode": episode})
    for entity, model in ((blind.object, blind.object_model), (blind.plate, blind.plate_model)):
        corners = np.concatenate(model.collision)
        to_world = entity.pose.to_transformation_matrix()
        lowest = (corners @ to_world[2, :3]).min() + to_world[2, 3]
        assert lowest == pytest.approx(TABLE_HEIGHT, abs=0.001)
    linear, angular = blind._speeds()
    assert np.linalg.norm(linear) < 1e-3 and np.linalg.norm(angular) < 0.05
    np.testing.assert_allclose(blind.plate.pose.p[:2], episode.plate_xyz[:2], atol=0.005)
    assert blind.object_model.name == episode.object


def at_rest(condition, number, third_height=0.0):
    """An episode whose things start where they come to rest, the third one so far above it, m."""
    episode = decode(condition, number)

    def on_table(xyz, model, height=0.0):
        return (*xyz[:2], TABLE_HEIGHT - float(model.bbox[0, 2]) + height)

    third = (
        BUILTIN.plates[episode.distractor_plate_index]
        if episode.distractor_index is None
        else BUILTIN.objects[episode.distractor_index]
    )
    return replace(
        episode,
        object_xyz=on_table(episode.object_xyz, BUILTIN.objects[episode.object_index]),
        plate_xyz=on_table(episode.plate_xyz, BUILTIN.plates[episode.plate_index]),
        third_xyz=on_table(episode.third_xyz, third, third_height),
    )


@pytest.mark.parametrize(("condition", "number"), [("multi_carrot", 5), ("multi_plate", 1_308_642)])
def test_a_second_object_or_plate_that_moves_is_waited_for(blind, monkeypatch, condition, number):
    """The release watches it too (``put_on_in_scene_multi.py``: MultiCarrot and MultiPlate)."""
    settled, settle = [], type(blind)._settle
    monkeypatch.setattr(
        type(blind), "_settle", lambda env, periods: settled.append(periods) or settle(env, periods)
    )
    for height, expected in ((0.0, [0.5]), (0.05, [0.5, 6])):
        settled.clear()
        blind.reset(options={"episode": at_rest(condition, number, height)})
        assert settled == expected, f"dropped from {height} m"


def test_a_target_that_is_its_own_distractor_is_asked_twice(blind):
    episode = decode("multi_carrot", 135_817, fidelity="released")
    assert episode.self_distractor
    blind.reset(options={"episode": episode})
    blind.object.pose = type(blind.object.pose)([-0.16, 0.0, 0.95])
    blind._settle(0.5)
    linear, angular = blind._speeds()
    assert linear.shape == angular.shape == (1, 3, 3)
    assert linear[0, :, 2] == pytest.approx([-0.981, 0, -0.981], abs=2e-3)


def test_an_object_falls_freely_at_first(blind):
    """Half a control period, 50 steps of 2 ms: 4.9 cm from 0.95 m, so both are still falling."""
    blind.reset(options={"episode": decode("in_distribution", 0)})
    blind.object.pose = type(blind.object.pose)([-0.16, 0.0, 0.95])
    blind._settle(0.5)
    # Semi-implicit steps fall g dt^2 n (n + 1) / 2.
    fallen = 9.81 * 0.002**2 * 50 * 51 / 2
    assert blind.object.pose.p[2] == pytest.approx(0.95 - fallen, abs=2e-4)
    assert blind._speeds()[0][0, 0, 2] == pytest.approx(-0.981, abs=2e-3)


# ---- control


def target(env):
    """Return position (3,) and quaternion of the controller's target in the base frame."""
    pose = env.agent.controller.controllers["arm"]._target_pose
    return pose.p[0].numpy().copy(), pose.q[0].numpy().copy()


@pytest.mark.parametrize(("axis", "world"), [(0, (-1, 0, 0)), (1, (0, -1, 0)), (2, (0, 0, 1))])
def test_two_centimetres_move_the_target_by_them_and_the_gripper_follows(blind, axis, world):
    blind.reset(options={"episode": decode("in_distribution", 0)})
    start, turn = target(blind)
    tcp = blind.tcp.p
    action = HOLD.copy()
    action[axis] = 0.02
    blind.step(action)
    moved, turned = target(blind)
    np.testing.assert_allclose(moved - start, 0.02 * np.eye(3)[axis], atol=1e-6)
    np.testing.assert_allclose(np.abs(turned), np.abs(turn), atol=1e-6)
    gaps = []
    for _ in range(5):
        gaps.append(np.linalg.norm(blind.tcp.p - tcp - 0.02 * np.array(world)))
        blind.step(HOLD)
    assert np.allclose(target(blind)[0], moved, atol=1e-6), "standing still keeps the target"
    assert gaps[0] < 0.012 and gaps[-1] < 0.004, gaps
    assert (blind.tcp.p - tcp) @ world > 0.016


def test_targets_add_up_whatever_the_arm_has_reached(blind):
    blind.reset(options={"episode": decode("in_distribution", 0)})
    start, _ = target(blind)
    for _ in range(4):
        blind.step(np.array([0, 0, 0.01, 0, 0, 0, 1], dtype=np.float32))
    np.testing.assert_allclose(target(blind)[0] - start, [0, 0, 0.04], atol=1e-6)


def test_rotations_are_about_the_bases_axes_in_the_order_xyz(blind):
    from scipy.spatial.transform import Rotation

    blind.reset(options={"episode": decode("in_distribution", 0)})
    before = Rotation.from_quat(target(blind)[1], scalar_first=True)
    angles = np.array([0.1, -0.2, 0.15])
    blind.step(np.array([0, 0, 0, *angles, 1], dtype=np.float32))
    after = Rotation.from_quat(target(blind)[1], scalar_first=True)
    expected = Rotation.from_euler("XYZ", angles)
    assert (after * before.inv() * expected.inv()).magnitude() < 1e-5


def test_the_gripper_closes(blind):
    blind.reset(options={"episode": decode("in_distribution", 0)})
    for _ in range(4):
        blind.step(np.array([0, 0, 0, 0, 0, 0, -1], dtype=np.float32))
    np.testing.assert_allclose(blind.qpos[6:], 0.015, atol=1e-3)  # the joints' lower limit
    assert not blind.evaluate()["is_src_obj_grasped"].item()


# ---- what an episode holds


def test_only_the_episodes_own_things_stand_on_the_table(blind):
    for condition, number, extra in (
        ("in_distribution", 5, []),
        ("multi_carrot", 5, ["distractor"]),
        ("multi_plate", 5, ["distractor_plate"]),
        ("position_change_to", 5, []),
    ):
        blind.reset(options={"episode": decode(condition, number)})
        assert [e.name for e in actors(blind)] == ["object", "plate", *extra]


def test_the_object_jumps_with_the_fifth_step(blind):
    episode = decode("position_change_to", 2_000_001)
    blind.reset(options={"episode": episode})
    places = []
    for _ in range(6):
        blind.step(HOLD)
        places.append(blind.object.pose.p)
    assert np.ptp(places[:4], axis=0).max() < 2e-3
    np.testing.assert_allclose(places[4][:2], episode.third_xyz[:2], atol=1e-3)
    # Half a control period after the jump it has fallen 5 cm from 1 m.
    assert places[4][2] == pytest.approx(0.95, abs=0.001)
    assert places[5][2] < 0.93


def test_success_and_grasp_are_seen_in_the_simulator(blind):
    """Put on the plate by hand, the object counts; beside it or in the air it does not."""
    blind.reset(options={"episode": decode("in_distribution", 0)})
    pose = type(blind.object.pose)
    x, y, z = blind.plate.pose.p
    height = -blind.object_model.bbox[0, 2] + 0.008
    expected = {(0.0, 0.0): True, (0.0, 0.13): False}
    for (dx, dy), placed in expected.items():
        blind.object.pose = pose([x + dx, y + dy, z + height])
        blind._settle(3)
        assert blind.evaluate()["success"].item() is placed
    blind.object.pose = pose([x, y, z + height + 0.02])
    blind._px.step()
    assert not blind.evaluate()["success"].item(), "no contact yet"


# ---- stages


def played(env, episode, actions):
    """Return the stages reached in an episode."""
    env.reset(options={"episode": episode})
    reached = Milestones()
    for action in actions:
        reached |= Milestones.from_info(env.step(action)[-1])
    return reached


@pytest.mark.parametrize(("number", "stands_on"), [(0, 0), (1, 1)])
def test_it_is_told_where_things_are_and_on_which_plate(blind, number, stands_on):
    """Of MultiPlate's two plates; the one that the instruction does not name is no success."""
    import sapien

    _, info = blind.reset(options={"episode": decode("multi_plate", 1_234)})
    assert info["stands_on"].tolist() == [-1]
    plate, model = blind.plate_at(number)
    lift = model.bbox[1, 2] - blind.object_model.bbox[0, 2] + 0.005
    blind.object.pose = sapien.Pose(plate.pose.p + [0, 0, lift], blind.object.pose.q)
    for _ in range(3):
        *_, info = blind.step(HOLD)
    assert info["stands_on"].tolist() == [stands_on]
    assert info["success"].tolist() == [stands_on == 0]
    assert info["object_xyz"].numpy() == pytest.approx(blind.object.pose.p[None])
    assert info["gripper_xyz"].numpy() == pytest.approx(blind.tcp.p[None])


@pytest.mark.parametrize(
    ("condition", "number"),
    [
        *(("in_distribution", 7), ("multi_plate", 5), ("position", 77_777)),
        ("ee_pose", 8_624_287_602),  # the gripper starts 17 mm from the object
        ("position_change_to", 835_681),  # the object falls past the gripper, 3 cm from it
    ],
)
def test_who_does_nothing_reaches_no_stage(blind, condition, number):
    assert played(blind, decode(condition, number), [HOLD] * 20) == Milestones()


def test_an_object_that_is_put_between_the_fingers_is_reached_by_nobody(blind):
    """PosChangeTo may do so: a grasp to the release, and none of our stages."""
    episode = decode("position_change_to", 101_455)
    assert played(blind, episode, [HOLD] * 20) == Milestones(grasped=True, consecutive_grasp=True)


def test_asking_twice_in_a_step_changes_nothing(blind):
    """As the planner does that is the oracle."""
    blind.reset(options={"episode": decode("position_change_to", 101_455)})
    seen = []
    for _ in range(12):
        info = blind.step(HOLD)[-1]
        again = blind.evaluate(), blind.evaluate()
        assert (
            Milestones.from_info(again[0])
            == Milestones.from_info(again[1])
            == Milestones.from_info(info)
        )
        seen.append((info["is_src_obj_grasped"].item(), info["consecutive_grasp"].item()))
    first = seen.index((True, False))
    assert seen[first : first + 6] == [(True, False)] * 4 + [(True, True)] * 2


# ---- independence


def test_the_same_episode_gives_the_same_bytes(env):
    episode, actions = decode("multi_carrot", 4_321_000), motions(2, 12)
    first = course(env, episode, actions)
    assert course(env, episode, actions) == first
    assert course(env, episode, motions(3, 12))[-1] != first[-1]


def test_an_episode_does_not_depend_on_what_was_simulated_before(env, make):
    episode, actions = decode("texture_05", 9_876_543), motions(4, 12)
    for number in (11, 22_222):
        course(env, decode("multi_plate", number), motions(number, 6))
    late = course(env, episode, actions)
    assert course(make(), episode, actions) == late


def test_interleaved_environments_do_not_touch(env, make):
    other = make()
    ours, theirs = decode("multi_carrot", 31_415), decode("ee_pose", 2_718_281_828)
    first, *actions = motions(5, 10)
    alone = course(env, ours, [first, *actions])[-1], course(env, theirs, actions)[-1]
    env.reset(options={"episode": ours})
    env.step(first)
    other.reset(options={"episode": theirs})
    for action in actions:
        mine, *_ = env.step(action)
        yours, *_ = other.step(action)
    assert (state(env), mine["image"].numpy().tobytes()) == alone[0]
    assert (state(other), yours["image"].numpy().tobytes()) == alone[1]


def test_resets_leave_nothing_behind(env):
    env.reset(options={"episode": decode("in_distribution", 0)})
    count = len(env.scene.sub_scenes[0].entities)
    scenes = []
    for number in range(30):
        env.reset(options={"episode": decode("in_distribution", number * 25_088)})
        assert len(env.scene.sub_scenes[0].entities) == count
        scenes.append(weakref.ref(env.scene))
    gc.collect()
    assert sum(scene() is not None for scene in scenes) == 1


def test_frames_scale_with_the_intrinsics(env, make):
    """The same view at 256 x 192: averaged down to 128 x 96 it is the small picture."""
    episode = replace(decode("in_distribution", 0), yaw_deg=45.0)
    large = make(width=256, height=192)
    small = env.reset(options={"episode": episode})[0]["image"][0].numpy().astype(int)
    seen = large.reset(options={"episode": episode})[0]["image"][0].numpy()
    assert seen.shape == (192, 256, 3)
    mean = seen.reshape(96, 2, 128, 2, 3).mean((1, 3))
    _, shown = env.render_raw()
    assert np.abs(mean - small)[shown].mean() < 12
    assert np.abs(np.roll(mean, 4, axis=1) - small)[shown].mean() > 20
