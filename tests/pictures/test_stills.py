"""Still lifes: the environment's picture without its physics, and what is told of it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from unblind.sim import camera, overlay
from unblind.sim.builtin import BUILTIN


@pytest.fixture(scope="module")
def stills(renderer):
    from unblind.pictures import stills

    return stills


@pytest.fixture(scope="module")
def painter(stills):
    return stills.StillRenderer(stills.stocks(BUILTIN))


@pytest.fixture(scope="module")
def drawn(painter):
    return [painter.draw([4, number]) for number in range(120)]


def test_stocks_are_the_training_things_and_the_whole_study_in_turn(stills):
    training, study, *again = stills.stocks(BUILTIN)
    assert [len(stock.objects) for stock in again] == [16, 25, 16, 25]
    assert [len(x) for x in (training.objects, training.plates, training.tables)] == [16, 1, 16]
    assert [len(x) for x in (study.objects, study.plates, study.tables)] == [25, 17, 21]


def test_stocks_of_a_longer_catalog_have_what_is_beyond_the_study(stills):
    more = tuple(replace(model, name=f"other {model.name}") for model in BUILTIN.objects[:3])

    class Longer:
        objects, plates = BUILTIN.objects + more, BUILTIN.plates + BUILTIN.plates[:1]
        tables = BUILTIN.tables + BUILTIN.tables[:2]

    *study, extra = stills.stocks(Longer)
    assert [len(stock.objects) for stock in study] == [16, 25] * 3
    assert extra.objects == more
    assert (len(extra.plates), len(extra.tables)) == (1, 2)


def test_a_picture_is_the_environments_picture_of_the_same_state(stills, painter):
    """The robot as it starts, a golf ball and a plate where they came to rest."""
    from unblind.sim.env import PutOnPlateEnv
    from unblind.sim.episodes import decode

    env = PutOnPlateEnv(episode=decode("in_distribution", 14 * 16 * 784 * 4 + 4 * 100))
    env.reset()
    frame = env.frame()
    painter._robot.set_root_pose(stills.BASE_POSE)
    painter._robot.set_qpos(env.qpos)
    yaws = [2 * np.arctan2(actor.pose.q[3], actor.pose.q[0]) for actor in (env.object, env.plate)]
    placed = [
        stills._Placed(env.object_model, "object", env.object.pose.p, yaws[0]),
        stills._Placed(env.plate_model, "plate", env.plate.pose.p, yaws[1]),
    ]
    assert env.object_model.name == "golf ball"
    image, _ = painter._shoot(placed, BUILTIN.tables[env.episode.table_index])
    env.close()
    same = (np.abs(image.astype(int) - frame) <= 1).all(-1)
    assert same.mean() > 0.995


def test_tcp_of_the_start_pose_is_the_environments(stills, painter):
    from unblind.sim.env import PutOnPlateEnv

    env = PutOnPlateEnv(obs_mode="none")
    env.reset()
    painter._robot.set_root_pose(stills.BASE_POSE)
    painter._robot.set_qpos(env.qpos)
    np.testing.assert_allclose(painter._tcp.pose.p, env.tcp.p, atol=1e-5)
    env.close()


def test_places_are_the_projection_of_the_middle_in_the_world(stills, drawn):
    things = [thing for still in drawn for thing in still.scene.things]
    for thing in things:
        column, row = camera.project(np.array([thing.xyz]))[0]
        assert thing.place == pytest.approx((row / 480, column / 640))
        assert all(0 < share < 1 for share in thing.place)
    for still in drawn:
        if still.scene.gripper:
            assert still.scene.gripper.place == stills.place_of(np.array(still.scene.gripper.xyz))


@pytest.mark.parametrize("model", [BUILTIN.objects[k] for k in (2, 4, 14)] + [BUILTIN.plates[0]])
def test_a_thing_shows_where_its_place_is_told(stills, painter, model):
    """Its pixels fill its outline's projection, and their middle is the place that is told."""
    painter._robot.set_root_pose(stills.PARKED_POSE)
    position = np.array([-0.16, 0.05, camera.TABLE_Z - model.bbox[0, 2]])
    item = stills._Placed(model, "object", position, 0.5)
    _, ids = painter._shoot([item], BUILTIN.tables[0])
    left, top, right, bottom = overlay.mask_box(ids == painter._entities[model].per_scene_id)
    seen = np.array([left + right + 1, top + bottom + 1]) / 2
    outline = camera.project(item.corners) / 5
    np.testing.assert_allclose(seen, (outline.min(0) + outline.max(0)) / 2, atol=0.7)
    row, column = stills.place_of(item.middle)
    np.testing.assert_allclose(seen, [128 * column, 96 * row], atol=1.0)


def test_things_stand_on_the_table_on_a_plate_or_are_held(drawn):
    heights = {model.name: np.ptp(model.bbox[:, 2]) for model in BUILTIN.objects + BUILTIN.plates}
    stood = on = held = 0
    for still in drawn:
        for thing in still.scene.things:
            bottom = thing.xyz[2] - heights[thing.name] / 2
            if still.scene.gripper and still.scene.gripper.holds == thing.name:
                np.testing.assert_allclose(thing.xyz, still.scene.gripper.xyz, atol=1e-6)
                held += 1
            elif thing.on:
                assert bottom == pytest.approx(camera.TABLE_Z + heights[thing.on], abs=1e-6)
                on += 1
            else:
                assert bottom == pytest.approx(camera.TABLE_Z, abs=1e-6)
                stood += 1
            assert bottom > camera.TABLE_Z - 1e-6
    assert stood > 200
    assert on > 25
    assert held > 10


def test_things_do_not_overlap_and_have_different_names(drawn):
    for still in drawn:
        names = [thing.name for thing in still.scene.things]
        assert len(set(names)) == len(names)
        free = [
            thing
            for thing in still.scene.things
            if not thing.on and not (still.scene.gripper and still.scene.gripper.holds)
        ]
        for k, thing in enumerate(free):
            for other in free[:k]:
                assert np.hypot(*np.subtract(thing.xyz, other.xyz)[:2]) > 0.03


def test_pictures_vary_as_asked(drawn):
    scenes = [still.scene for still in drawn]
    assert 0.03 < np.mean([scene.gripper is None for scene in scenes]) < 0.25
    kinds = Counter(thing.kind for scene in scenes for thing in scene.things)
    assert kinds["object"] > kinds["plate"] > 50
    assert {scene.table for scene in scenes} == {table.name for table in BUILTIN.tables}
    hands = np.array([scene.gripper.xyz for scene in scenes if scene.gripper])
    assert (np.ptp(hands, axis=0) > [0.25, 0.3, 0.15]).all()
    assert {scene.gripper.opened for scene in scenes if scene.gripper} == {True, False, None}


def test_a_thing_behind_the_robot_is_hidden(stills, painter):
    model = BUILTIN.objects[14]
    painter._robot.set_root_pose(stills.BASE_POSE)
    painter._robot.set_qpos(stills.INITIAL_QPOS)
    behind = painter._tcp.pose.p + 0.15 * (painter._tcp.pose.p - camera.EYE)
    table = BUILTIN.tables[0]
    for shift, seen in (([0, 0, 0.05], False), ([0, 0.15, 0], True)):
        item = stills._Placed(model, "object", behind + shift, 0.0)
        _, ids = painter._shoot([item], table)
        scene = painter._describe([item], None, table, ids)
        assert bool(scene.things) == seen
        assert scene.hidden == (frozenset() if seen else {"golf ball"})


def test_a_picture_depends_on_its_seed_alone(stills, painter, drawn):
    again = painter.draw([4, 7])
    assert again.image.tobytes() == drawn[7].image.tobytes()
    assert again.scene == drawn[7].scene
    fresh = stills.StillRenderer(stills.stocks(BUILTIN)).draw([4, 7])
    assert fresh.image.tobytes() == again.image.tobytes()
    assert painter.draw([4, 8]).image.tobytes() != again.image.tobytes()
