"""The planner on a box of known size, on a whole demonstration, and with executed noise."""

from dataclasses import replace
from itertools import product, takewhile
from types import SimpleNamespace

import numpy as np
import pytest
import sapien
import trimesh
from scipy.spatial.transform import Rotation

from unblind.config import ExecutedNoise as NoiseConfig
from unblind.sim.builtin import BUILTIN
from unblind.sim.catalog import Model
from unblind.sim.episodes import decode

TABLE_HEIGHT = 0.8665  # m
STAGES = ["reach", "grasp", "close", "lift", "carry", "release"]
# A grasp point in the middle of the trained square, and the plate 12 cm to its side (m).
PLACES = {"object_xyz": (-0.16, 0.06, 0.95), "plate_xyz": (-0.16, -0.06, 0.95)}


@pytest.fixture(scope="module")
def env(renderer):
    from unblind.sim.env import PutOnPlateEnv

    env = PutOnPlateEnv(obs_mode="none")
    yield env
    env.close()


@pytest.fixture(scope="module")
def planner(renderer):
    from unblind.sim.planner import PickAndPlace

    return PickAndPlace()


def box(size):
    """Return a box-shaped object with its origin in the middle, (3,) side lengths in m."""
    corners = np.array(trimesh.creation.box(size).vertices, dtype=np.float32)
    return Model("box", 0, "train", 500.0, (corners,), ())


@pytest.fixture
def put(env, monkeypatch):
    """Return a function that starts an episode with a box, optionally on a plate of a height."""

    def start(size, yaw=0.0, plate_height=None):
        plate = BUILTIN.plates[0]
        if plate_height is not None:
            corners = box((0.11, 0.11, plate_height)).collision[0] + [0, 0, plate_height / 2]
            plate = replace(plate, collision=(np.float32(corners),))
        catalog = SimpleNamespace(objects=(box(size),), plates=(plate,), tables=BUILTIN.tables)
        monkeypatch.setattr(env, "catalog", catalog)
        episode = replace(decode("in_distribution", 0), yaw_deg=yaw, **PLACES)
        env.reset(options={"episode": episode})
        return env

    return start


HALF_TURN = Rotation.from_rotvec([0, 0, np.pi])  # of the base, which faces world -x


class Path:
    """Where a path leads: its start and the actions on the way, in the world frame."""

    def __init__(self, start):
        self.point = np.array(start.p, dtype=float)
        self.turn = Rotation.from_quat(start.q, scalar_first=True)
        self.actions = []

    def add(self, action):
        turn = Rotation.from_euler("XYZ", action[3:6])
        self.point += HALF_TURN.apply(action[:3])
        self.turn = HALF_TURN * turn * HALF_TURN.inv() * self.turn
        self.actions.append(action)


def execute(env, planner):
    """Play a whole plan; return the planned path of each stage."""
    paths = {}
    for command in planner.commands(env):
        paths.setdefault(command.stage, Path(env.tcp)).add(command.action)
        env.step(command.action)
    return paths


# ---- stages


def test_stages_heights_and_standing_steps(put, planner):
    env = put((0.03, 0.03, 0.038))
    paths = execute(env, planner)
    assert list(paths) == STAGES
    assert [len(paths[stage].actions) for stage in ("close", "release")] == [1, 2]
    gripper = {stage: {float(a[6]) for a in path.actions} for stage, path in paths.items()}
    opened, closed = {1.0}, {-1.0}
    assert list(gripper.values()) == [opened, opened, closed, closed, closed, opened]
    moving = {stage: paths[stage] for stage in ("reach", "grasp", "lift", "carry")}
    for stage in paths:
        assert (stage in moving) == any(a[:6].any() for a in paths[stage].actions)
    for path in moving.values():
        assert not path.actions[0][:6].any(), "the first difference of a path is zero"
        np.testing.assert_allclose(path.turn.apply([1, 0, 0]), [0, 0, -1], atol=0.01)
    height = {stage: path.point[2] - TABLE_HEIGHT for stage, path in moving.items()}
    expected = {"reach": 0.069, "grasp": 0.019, "lift": 0.119, "carry": 0.006 + 0.019 + 0.015}
    assert height == pytest.approx(expected, abs=2e-3)
    np.testing.assert_allclose(moving["grasp"].point[:2], [-0.16, 0.06], atol=0.005)
    np.testing.assert_allclose(moving["carry"].point[:2], [-0.16, -0.06], atol=0.005)
    assert env.evaluate()["success"].item()


def planned_grasp(env, planner):
    """Return the point and rotation of the grasp by the planned reach, without a step."""
    path = Path(env.tcp)
    for command in takewhile(lambda c: c.stage == "reach", planner.commands(env)):
        path.add(command.action)
    return path.point - [0, 0, 0.05], path.turn


@pytest.mark.parametrize(
    ("height", "above_table"),
    [
        # The released rule: the middle of the box.
        (0.038, 0.019),
        # Fingertips stay off the table: 15.4 mm beyond the gripper's frame, and 3 mm.
        (0.012, 0.0184),
        (0.030, 0.0184),
        # The palm stays off the top, 19.5 mm below which the gripper's frame is.
        (0.050, 0.0305),
        (0.070, 0.0505),
    ],
)
def test_grasp_heights(put, planner, height, above_table):
    point, _ = planned_grasp(put((0.03, 0.03, height)), planner)
    assert point[2] == pytest.approx(TABLE_HEIGHT + above_table, abs=1e-3)
    # A screw motion is integrated in steps of 0.1 rad and ends a few millimetres off.
    np.testing.assert_allclose(point[:2], [-0.16, 0.06], atol=0.005)


@pytest.mark.parametrize("yaw", [0.0, 45.0, 90.0, 135.0, -22.5])
def test_the_gripper_closes_over_the_shorter_side(put, planner, yaw):
    _, turn = planned_grasp(put((0.09, 0.025, 0.03), yaw), planner)
    closing = turn.apply([0, 1, 0])
    short = [-np.sin(np.radians(yaw)), np.cos(np.radians(yaw)), 0]
    assert abs(closing @ short) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(turn.apply([1, 0, 0]), [0, 0, -1], atol=0.01)


@pytest.mark.parametrize(
    ("height", "plate_height", "above_table"),
    [
        # Plate, grasp height above the object's bottom, and 15 mm between the two.
        (0.012, 0.006, 0.006 + 0.0184 + 0.015),
        (0.060, 0.006, 0.006 + 0.0405 + 0.015),
        (0.038, 0.012, 0.012 + 0.0190 + 0.015),
    ],
)
def test_the_object_is_let_go_just_above_the_plate(put, planner, height, plate_height, above_table):
    env = put((0.03, 0.03, height), plate_height=plate_height)
    grasp = planner._choose_grasp(env)
    goal = planner._place_pose(env, grasp)
    np.testing.assert_allclose(goal.p, [-0.16, -0.06, TABLE_HEIGHT + above_table], atol=1e-3)
    np.testing.assert_array_equal(goal.q, grasp.q)


def test_objects_out_of_reach_are_a_failed_attempt(env, planner):
    """Here MPLib itself reports success, with a path that ends 4 cm short."""
    from unblind.sim.planner import PlanningError

    far = replace(decode("in_distribution", 0), object_xyz=(-0.32, 0.32, 0.95))
    env.reset(options={"episode": far})
    with pytest.raises(PlanningError, match="reach") as error:
        next(planner.commands(env))
    assert error.value.stage == "reach"


# ---- rotations


def reach(planner, env):
    """Return (T, 3) Euler angles of the planned reach; nothing is executed."""
    commands = takewhile(lambda command: command.stage == "reach", planner.commands(env))
    return np.array([command.action[3:6] for command in commands], dtype=np.float64)


def test_released_angles_name_the_same_turns_in_another_order(put, planner):
    from unblind.sim.planner import PickAndPlace

    env = put((0.09, 0.025, 0.03), 45.0)
    ours, theirs = reach(planner, env), reach(PickAndPlace("released"), env)
    assert len(ours) == len(theirs) > 5
    read = Rotation.from_euler("XYZ", ours)  # as the controller reads them
    meant = Rotation.from_euler("xyz", theirs)
    assert (read * meant.inv()).magnitude().max() < 1e-6
    mistaken = (Rotation.from_euler("XYZ", theirs) * read.inv()).magnitude()
    size = np.linalg.norm(ours, axis=1)
    # Two turns commute up to the product of their angles, here pairs of |a|^2 / 2 at most each.
    assert mistaken.max() > 1e-4 and (mistaken <= size**2 + 1e-6).all()


def test_the_mistake_of_the_released_angles_is_of_second_order():
    axis = np.array([0.6, -0.5, 0.62])
    gaps = []
    for size in (0.2, 0.1, 0.05):
        turn = Rotation.from_rotvec(size * axis)
        read = Rotation.from_euler("XYZ", turn.as_euler("xyz"))
        gaps.append((read * turn.inv()).magnitude())
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.15)
    assert gaps[1] / gaps[2] == pytest.approx(4, rel=0.10)


# ---- a whole demonstration


@pytest.mark.parametrize("number", [12_345, 400_001])
def test_a_demonstration_succeeds(env, planner, number):
    env.reset(options={"episode": decode("in_distribution", number)})
    grasped = []
    for command in planner.commands(env):
        *_, info = env.step(command.action)
        grasped.append((command.stage, info["is_src_obj_grasped"].item()))
    assert info["success"].item()
    assert 20 < len(grasped) < 80
    assert all(held for stage, held in grasped if stage == "lift")
    assert not any(held for stage, held in grasped if stage in ("reach", "grasp"))


def test_the_released_objects_come_onto_the_released_plates(renderer, released_assets):
    """A dozen of the pairs of which the files are there, each at a place of its own.

    The banana and the chess board are dropped into one another at theirs, and fly off the table.
    """
    from unblind.rollout.policies import OracleActor
    from unblind.sim.env import PutOnPlateEnv
    from unblind.sim.released import ReleasedCatalog

    catalog, pairs = ReleasedCatalog(released_assets), []
    objects, plates = (
        [one.index for one in kind if (released_assets / one.files[0]).is_file()]
        for kind in (catalog.objects, catalog.plates)
    )
    for number, (thing, plate) in enumerate(product(objects, plates)):
        start = decode("carrot", 997 * number)
        pairs.append(replace(start, object_index=thing, plate_index=plate))
    env = PutOnPlateEnv(catalog=str(released_assets), obs_mode="none", episode=pairs[0])
    succeeded = []
    for episode in pairs[:: -(-len(pairs) // 12)]:
        env.reset(options={"episode": episode})
        actor = OracleActor("corrected")
        results = [env.step(actor.act(env))[-1] for _ in range(40)]
        succeeded.append(bool(results[-1]["success"]))
    env.close()
    assert succeeded.count(True) >= len(succeeded) - 1 > 5


def test_the_plan_is_the_same_every_time(env, planner):
    episode = decode("in_distribution", 12_345)

    def actions():
        env.reset(options={"episode": episode})
        return [env.step(c.action) and c.action.tobytes() for c in planner.commands(env)]

    assert actions() == actions()


@pytest.mark.parametrize(("rise", "waypoints"), [(0.001, 1), (0.005, 1), (0.02, 2)])
def test_a_move_of_less_than_a_step_is_standing(put, planner, rise, waypoints):
    """MPLib samples a path every 0.2 s: one that is shorter has no waypoint of its own."""
    env = put((0.03, 0.02, 0.03))
    goal = sapien.Pose(env.tcp.p + [0, 0, rise], env.tcp.q)
    path = planner._plan(env.qpos, goal)
    assert path.shape == (waypoints, 6)
    assert (path[-1] == env.qpos[:6]).all() == (waypoints == 1)


# ---- a lapse


LAPSES = {
    "beside": ((0.0, 0.045, 0.0), 4, False),
    "above": ((0.0, 0.0, 0.04), 9, False),
    "dropped": ((0.0, 0.0, 0.0), 6, True),
}


@pytest.mark.parametrize("name", LAPSES)
def test_a_lapse_is_made_good(put, planner, name):
    from unblind.sim.planner import Lapse

    offset, steps, drops = LAPSES[name]
    env = put((0.03, 0.02, 0.03))
    rows = []
    for command in planner.commands(env, Lapse(offset, steps, drops)):
        *_, info = env.step(command.action)
        assert env.held == info["is_src_obj_grasped"].item()
        rows.append((command.stage, command.action[6], env.held, env.object.pose.p[2]))
    assert info["success"].item()
    order = list(dict.fromkeys(stage for stage, *_ in rows))
    tail = [stage for stage in order if stage not in ("lapse", "reopen", "rise")]
    assert tail == STAGES and order[0] == "lapse"
    assert ("reopen" in order) is not drops
    wrong = [row for row in rows if row[0] == "lapse"]
    closed = [row for row in wrong if row[1] < 0]
    assert len(closed) == steps + 1
    if drops:
        assert wrong[-1][1] > 0 and any(held for _, _, held, _ in wrong)
        assert max(z for *_, z in wrong) > rows[0][3] + 0.03 and rows[len(wrong)][3] < 0.9
    else:
        assert wrong[-1][1] < 0 and not any(held for _, _, held, _ in wrong)
        assert [row[1] for row in rows if row[0] == "reopen"] == [1.0, 1.0]


def test_a_lapse_that_does_not_happen_is_a_failed_attempt(put, planner):
    from unblind.sim.planner import Lapse, PlanningError

    env = put((0.03, 0.02, 0.03))
    with pytest.raises(PlanningError, match="lapse"):
        for command in planner.commands(env, Lapse((0.0, 0.0, 0.0), 4, drops=False)):
            env.step(command.action)
    assert env.held


# ---- executed noise


def disturb(planned, seed=0, episode_id=7, **noise):
    """Return labels and executed actions, (T, 7) each."""
    from unblind.demos.recorder import Disturbance

    source = Disturbance(NoiseConfig(**noise), [seed, episode_id])
    pairs = [source.apply(action) for action in planned]
    return np.array([label for label, _ in pairs]), np.array([done for _, done in pairs])


def plan(steps=300):
    """Return (steps, 7) small moves; every fifth stands still, as while the gripper closes."""
    moves = np.random.default_rng(1).uniform(-0.02, 0.02, (steps, 7)).astype(np.float32)
    moves[:, 6] = 1
    moves[::5, :6] = 0
    return moves


def test_without_noise_what_is_done_is_what_was_planned():
    labels, executed = disturb(plan(), xyz_m=0.01, rot_rad=0.05, probability=0.0)
    assert (labels == plan()).all() and (executed == plan()).all()


def test_labels_lead_back_to_the_planned_path():
    planned = plan()
    labels, executed = disturb(planned, xyz_m=0.01, rot_rad=0.05, probability=0.5)
    path, walked = planned[:, :6].cumsum(0), executed[:, :6].cumsum(0)
    before = np.concatenate([np.zeros((1, 6)), walked[:-1]])
    np.testing.assert_allclose(before + labels[:, :6], path, atol=2e-5)
    off = walked - path
    np.testing.assert_allclose(off, (executed - labels)[:, :6], atol=2e-5)
    assert np.abs(off).max() > 0.01, "and the executed path has left it"
    assert (labels[:, 6] == 1).all() and (executed[:, 6] == 1).all(), "the gripper has no noise"


def test_noise_has_the_asked_size_and_share_and_never_hits_standing_steps():
    planned = plan(2000)
    labels, executed = disturb(planned, xyz_m=0.01, rot_rad=0.05, probability=0.4)
    drift = (executed - labels)[:, :6]
    hit = np.abs(drift).max(1) > 1e-6
    assert not hit[::5].any()
    assert hit.sum() / 1600 == pytest.approx(0.4, abs=0.05)  # 4 standard errors
    np.testing.assert_allclose(drift[hit].std(0), [0.01] * 3 + [0.05] * 3, rtol=0.12)


def test_noise_is_seeded_by_run_and_episode():
    kwargs = {"xyz_m": 0.01, "rot_rad": 0.05, "probability": 0.5}
    first = disturb(plan(), **kwargs)[1]
    assert (disturb(plan(), **kwargs)[1] == first).all()
    assert (disturb(plan(), episode_id=8, **kwargs)[1] != first).any()
    assert (disturb(plan(), seed=1, **kwargs)[1] != first).any()
