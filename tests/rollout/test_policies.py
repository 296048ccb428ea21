from types import SimpleNamespace

import numpy as np
import pytest

from unblind.rollout.policies import (
    HOLD,
    NoopPolicy,
    Observation,
    OpenLoopPolicy,
    OracleActor,
    RandomPolicy,
)
from unblind.sim.episodes import decode, sample_ids
from unblind.sim.success import MILESTONES, Milestones


def seen(number, step):
    return Observation(decode("in_distribution", number), step, None)


def test_doing_nothing_is_zero_motion_with_an_open_gripper():
    actions = NoopPolicy().act([seen(1, 0), seen(2, 7)])
    assert actions.tolist() == [[0, 0, 0, 0, 0, 0, 1]] * 2
    assert actions.dtype == np.float32


def test_random_actions_do_not_depend_on_the_batch():
    policy, batch = RandomPolicy(3), [seen(1, 0), seen(1, 1), seen(2, 0)]
    together = policy.act(batch)
    alone = np.concatenate([RandomPolicy(3).act([one]) for one in reversed(batch)])[::-1]
    assert together.tobytes() == alone.tobytes()
    assert len({row.tobytes() for row in together}) == 3, "each step and episode has its own"
    assert (RandomPolicy(4).act(batch) != together).any(), "and each seed"


def test_random_actions_are_as_large_as_a_demonstrations():
    batch = [seen(number, step) for number in range(40) for step in range(25)]
    actions = RandomPolicy(0).act(batch)
    limits = np.array([0.02] * 3 + [0.12] * 3)
    assert (np.abs(actions[:, :6]) <= limits).all()
    # A uniform number on [-1, 1] has mean 0 and variance 1/3; 1,000 of them.
    scaled = actions[:, :6] / limits
    assert np.abs(scaled.mean(0)).max() < 5 * np.sqrt(1 / 3 / 1000)
    np.testing.assert_allclose((scaled**2).mean(0), 1 / 3, atol=0.05)
    assert sorted(set(actions[:, 6])) == [-1, 1]
    assert abs(actions[:, 6].mean()) < 5 / np.sqrt(1000)


def test_open_loop_plays_each_episodes_actions_and_then_holds():
    sequences = {1: np.full((2, 7), 0.5, np.float32), 2: np.full((1, 7), 0.25, np.float32)}
    policy = OpenLoopPolicy()
    policy.load(sequences)
    actions = policy.act([seen(2, 0), seen(1, 1), seen(2, 1)])
    assert actions[:, 0].tolist() == [0.25, 0.5, 0]
    assert actions[2].tolist() == HOLD.tolist()


# ---- the oracle -------------------------------------------------------------------------------


class Scene:
    """What the oracle asks of the environment."""

    def __init__(self):
        self.object = SimpleNamespace(pose=SimpleNamespace(p=np.zeros(3)))
        self.success = False

    def evaluate(self):
        return {"success": self.success}


@pytest.fixture
def oracle(monkeypatch, renderer):
    """An oracle whose plans are scripts, lists of (stage, number), and the plans made so far."""
    from unblind.sim import planner

    scripts, made = [], []

    def commands(_):
        made.append(len(made))
        for stage, number in scripts[len(made) - 1]:
            if number is None:
                raise planner.PlanningError(stage)
            yield planner.Command(np.full(7, number, np.float32), stage)

    monkeypatch.setattr(planner, "shared_planner", lambda _: SimpleNamespace(commands=commands))
    return OracleActor("corrected"), scripts, made


def numbers(actor, scene, steps):
    return [float(actor.act(scene)[0]) for _ in range(steps)]


def test_the_oracle_plays_its_plan_and_holds_after_success(oracle):
    actor, scripts, made = oracle
    scripts += [[("reach", 1), ("lift", 2)]]
    scene = Scene()
    assert numbers(actor, scene, 2) == [1, 2]
    scene.success = True
    assert numbers(actor, scene, 5) == [0] * 5
    assert made == [0], "it does not plan again"


def test_the_oracle_plans_again_after_a_failure(oracle):
    actor, scripts, made = oracle
    scripts += [[("reach", 1)], [("reach", 2), ("grasp", None)], [("reach", 3)]]
    # One held step between plans: after an end without success, and after a stage without plan.
    assert numbers(actor, Scene(), 5) == [1, 0, 2, 0, 3]
    assert made == [0, 1, 2]


def test_the_oracle_plans_again_when_the_object_jumps_while_it_reaches(oracle):
    actor, scripts, made = oracle
    scripts += [[("reach", 1)] * 4, [("reach", 2), ("carry", 3), ("carry", 3), ("carry", 3)]]
    scene = Scene()
    assert numbers(actor, scene, 1) == [1]
    scene.object.pose.p = np.array([0.029, 0, 0])
    assert numbers(actor, scene, 1) == [1], "less than 3 cm is no jump"
    scene.object.pose.p = np.array([0.031, 0, 0])
    assert numbers(actor, scene, 2) == [2, 3]
    scene.object.pose.p = np.array([0.2, 0, 0])
    assert numbers(actor, scene, 2) == [3, 3], "what is carried moves"
    assert made == [0, 1]


def test_the_oracle_finds_the_object_after_the_published_teleport(renderer, monkeypatch):
    from unblind.sim.env import PutOnPlateEnv
    from unblind.sim.planner import PickAndPlace, shared_planner

    number = sample_ids("position_change_to", 1, seed=0)[0]
    episode = decode("position_change_to", number)
    env = PutOnPlateEnv(episode=episode, obs_mode="none")
    env.reset(options={"episode": episode})
    planned = []
    plan = PickAndPlace.commands
    monkeypatch.setattr(
        PickAndPlace, "commands", lambda self, env: planned.append(env.steps) or plan(self, env)
    )
    shared_planner.cache_clear()
    actor, grasped, success, reached = OracleActor("corrected"), [], False, Milestones()
    for _ in range(80):
        _, _, _, _, info = env.step(actor.act(env))
        grasped.append(bool(info["is_src_obj_grasped"]))
        success = bool(info["success"])
        reached |= Milestones.from_info(info)
    # The release moves the object once five steps are done; the first plan was for its old place.
    assert planned[:2] == [0, 5]
    assert not any(grasped[:5]) and any(grasped)
    assert success and reached == Milestones(*[True] * len(MILESTONES))


@pytest.mark.parametrize("condition", ["in_distribution", "multi_carrot", "plate"])
def test_the_oracle_reaches_every_stage_in_order(renderer, condition):
    from unblind.sim.env import PutOnPlateEnv

    episode = decode(condition, sample_ids(condition, 1, seed=5)[0])
    env = PutOnPlateEnv(episode=episode, obs_mode="none")
    env.reset(options={"episode": episode})
    actor, courses = OracleActor("corrected"), []
    for _ in range(80):
        courses.append(Milestones.from_info(env.step(actor.act(env))[-1]))
    first = [next(n for n, now in enumerate(courses) if getattr(now, s)) for s in MILESTONES]
    reached, grasped, consecutive, lifted, over_plate, released = first
    assert reached <= grasped < lifted < over_plate < released
    assert consecutive == grasped + 4, "the fifth step"
