"""What a recorded demonstration says about the scene, against the simulator itself."""

import shutil
from types import SimpleNamespace

import commands
import made_up_release
import numpy as np
import pytest

from unblind.config import load
from unblind.demos import pretraining, shards
from unblind.sim import camera
from unblind.sim.episodes import decode, sample_ids
from unblind.training.data import place_text

SIZE = (128, 96)
CHANGES = {"render.width": SIZE[0], "render.height": SIZE[1]}


@pytest.fixture(scope="module")
def config():
    return load(commands.SMOKE, CHANGES)


@pytest.fixture(scope="module")
def recorder(renderer, config):
    from unblind.demos.recorder import Recorder

    return Recorder(config, "pretraining")


@pytest.fixture(scope="module")
def attempt(recorder):
    """The first successful disturbed episode."""
    tries = (recorder.attempt(number) for number in range(1, 21, 2))
    return next(attempt for attempt in tries if attempt.success)


@pytest.fixture(scope="module")
def replayed(recorder, attempt):
    """What the simulator says before each step of the same episode."""
    env = recorder._env
    env.reset(options={"episode": attempt.episode})
    held, seen = False, []
    for executed in attempt.executed:
        objects = {
            "object_xyz": np.array(env.object.pose.p),
            "plate_xyz": np.array(env.plate.pose.p),
            "gripper_xyz": np.array(env.tcp.p),
        }
        env.render_raw()
        ids = env._camera.get_picture("PositionSegmentation")[..., 3].copy()
        names = {"object_xyz": env.object.per_scene_id, "plate_xyz": env.plate.per_scene_id}
        robot = [link.entity.per_scene_id for link in env._articulation.links]
        masks = {key: ids == number for key, number in names.items()}
        masks["gripper_xyz"] = np.isin(ids, robot)
        seen.append(SimpleNamespace(**objects, held=held, masks=masks))
        info = env.step(executed)[-1]
        held = bool(info["is_src_obj_grasped"])
    return seen


def test_rows_fit_the_schema_of_the_shards(attempt):
    rows = attempt.rows()
    assert rows[0].keys() == set(shards.SCHEMA.names)
    assert [row["step"] for row in rows] == list(range(len(attempt.actions)))


def test_places_and_grasp_are_the_simulators_before_each_step(attempt, replayed):
    assert len(replayed) == len(attempt.states) == len(attempt.actions)
    for state, seen in zip(attempt.states, replayed, strict=True):
        for key in ("object_xyz", "plate_xyz", "gripper_xyz"):
            np.testing.assert_array_equal(state[key], getattr(seen, key))
        assert state["held"] is seen.held
    held = [state["held"] for state in attempt.states]
    carried = [h for h, stage in zip(held, attempt.stages, strict=True) if stage == "carry"]
    assert all(carried) and not any(held[:5])
    lifted = [state["object_xyz"][2] for state in attempt.states]
    assert lifted[attempt.stages.index("carry")] > lifted[0] + 0.03  # m


def told_pixel(xyz):
    """Return the column and row of the middle of the location bins told for a world point."""
    text = place_text(np.asarray(xyz))
    row, column = (int(number) for number in (text[4:7], text[12:15]))
    return (column + 0.5) / 128 * SIZE[0], (row + 0.5) / 128 * SIZE[1]


def distance(mask, pixel):
    """Return how far a place is from the nearest pixel of a mask."""
    rows, columns = np.nonzero(mask)
    return np.hypot(columns + 0.5 - pixel[0], rows + 0.5 - pixel[1]).min()


def test_told_places_lie_on_the_thing_in_the_picture(replayed):
    # A location bin is 1 x 0.75 px here.
    start = replayed[0]
    for key in ("object_xyz", "plate_xyz"):
        assert distance(start.masks[key], told_pixel(getattr(start, key))) < 1
    for seen in replayed:
        if seen.masks["object_xyz"].any():
            assert distance(seen.masks["object_xyz"], told_pixel(seen.object_xyz)) < 4
        # The tool's point lies between the open fingers, 7 cm apart.
        assert distance(seen.masks["gripper_xyz"], told_pixel(seen.gripper_xyz)) < 8


def test_told_places_follow_the_thing(replayed):
    """The centre of the object's pixels moves as the told place does."""
    lifted = max(replayed, key=lambda seen: seen.object_xyz[2])
    for seen in (replayed[0], lifted):
        rows, columns = np.nonzero(seen.masks["object_xyz"])
        told = told_pixel(seen.object_xyz)
        assert abs(columns.mean() - told[0]) < 6 and abs(rows.mean() - told[1]) < 6
    moved = np.subtract(told_pixel(lifted.object_xyz), told_pixel(replayed[0].object_xyz))
    assert np.abs(moved).max() > 8


def test_the_cameras_frame_is_the_pictures():
    middle = camera.EYE + camera.AXES[2]
    np.testing.assert_allclose(camera.project(middle[None])[0], camera.CENTER)


def test_the_episode_is_pretrainings_and_disturbed(attempt):
    assert attempt.episode == pretraining.decode(attempt.episode.episode_id)
    different = [(a != e).any() for a, e in zip(attempt.actions, attempt.executed, strict=True)]
    assert 0.1 < np.mean(different) < 0.6  # noise on 35 % of the moving steps
    # The next label takes the disturbance back: what is planned stays planned.
    drift = np.array(attempt.executed) - np.array(attempt.actions)
    assert np.abs(drift[:, :3]).max() < 5 * 0.008 and not drift[:, 6].any()


def test_every_second_pretraining_episode_is_disturbed(config):
    from unblind.demos.recorder import Recorder

    def ask(which, number):
        return Recorder._episode(SimpleNamespace(_config=config, _which=which), number)

    chances = [ask("pretraining", number)[1].probability for number in range(4)]
    assert chances == [0.0, 0.35, 0.0, 0.35]
    for which in ("training", "warm-up"):
        episode, noise = ask(which, 7)
        assert episode == decode("in_distribution", 7, "train")
        assert noise.probability == 0.0


def test_mistakes_have_the_asked_shares_and_are_seeded():
    from unblind.demos.recorder import draw_lapse

    demos = load(
        commands.SMOKE, {"base.demos.missed_grasps": 0.3, "base.demos.dropped_objects": 0.2}
    )
    drawn = [draw_lapse(demos.base.demos, [0, number, 1]) for number in range(2000)]
    misses = [lapse for lapse in drawn if lapse and not lapse.drops]
    drops = [lapse for lapse in drawn if lapse and lapse.drops]
    assert len(misses) / 2000 == pytest.approx(0.3, abs=0.05)  # 5 standard errors
    assert len(drops) / 2000 == pytest.approx(0.2, abs=0.05)
    assert {lapse.offset for lapse in drops} == {(0.0, 0.0, 0.0)}
    beside = [np.hypot(*lapse.offset[:2]) for lapse in misses if not lapse.offset[2]]
    assert 0.02 < min(beside) < 0.022 and 0.031 < max(beside) <= 0.032
    assert drawn == [draw_lapse(demos.base.demos, [0, number, 1]) for number in range(2000)]
    none = load(
        commands.SMOKE, {"base.demos.missed_grasps": 0.0, "base.demos.dropped_objects": 0.0}
    )
    assert {draw_lapse(none.base.demos, [0, number, 1]) for number in range(100)} == {None}


def test_pretrainings_episodes_alone_have_mistakes(config):
    from unblind.demos.recorder import Recorder

    def ask(which):
        asked = SimpleNamespace(_config=config, _which=which)
        return [Recorder._lapse(asked, number) for number in range(200)]

    assert set(ask("training")) == set(ask("warm-up")) == {None}
    assert 20 < sum(lapse is not None for lapse in ask("pretraining")) < 90


def test_an_episode_needs_no_files_of_others(renderer, made_up_assets):
    from unblind.demos.recorder import Recorder

    carrot = made_up_release.folder_of("more_carrot", "carrot", 1)
    shutil.rmtree(made_up_assets / carrot)
    (made_up_assets / "carrot/more_table/imgs/001_table_simpler.png").unlink()
    fixed = {"object": 2, "table": 3}
    (number,) = sample_ids("in_distribution", 1, 0, "train", purpose="demos-train", fixed=fixed)
    config = load(commands.SMOKE, {"catalog": str(made_up_assets), "catalog_missing": "skip"})
    attempt = Recorder(config).attempt(number)
    assert attempt.episode.object == "bread" and len(attempt.images) > 15
