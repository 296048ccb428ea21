"""Each condition's picture and state beside those of the training distribution: the named factor
changes, and nothing else does.

Both episodes of a pair have the same digits except for the condition's own; where a condition has
its own spawn table (MultiCarrot, MultiPlate, PosChangeTo), the partner gets the same positions.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest

from unblind.rollout.policies import HOLD
from unblind.sim import overlay
from unblind.sim.builtin import BUILTIN
from unblind.sim.conditions import CONDITIONS, get
from unblind.sim.episodes import decode

# A banana and a plate 15 cm apart, picnic table, second yaw: nothing touches anything.
SAME = {"object": 12, "table": 3, "place": 17, "yaw": 1}
ACTORS = ("object", "plate", "distractor", "distractor_plate")


def episode(name, **digits):
    """Return the test episode of a condition with the given digits of its id, others zero."""
    index = 0
    for key, size in get(name).evaluation.digits().items():
        index = index * size + (SAME | digits).get(key, 0)
    return decode(name, index)


@dataclass(frozen=True)
class Look:
    """What an episode looks like: frame, mask of each role, pose of each actor, joints."""

    frame: np.ndarray
    rgb: np.ndarray
    masks: dict[str, np.ndarray]
    poses: dict[str, np.ndarray]
    qpos: np.ndarray

    def covered(self, *roles):
        """Return the pixels of some roles."""
        empty = np.zeros(self.frame.shape[:2], bool)
        return np.logical_or.reduce([self.masks.get(role, empty) for role in roles])


@pytest.fixture(scope="module")
def env(renderer):
    from unblind.sim.env import PutOnPlateEnv

    env = PutOnPlateEnv()
    yield env
    env.close()


@pytest.fixture(scope="module")
def look(env):
    """Return a function that starts an episode and tells what is to be seen."""

    def start(episode):
        obs, _ = env.reset(options={"episode": episode})
        rgb, shown = env.render_raw()
        ids = env._camera.get_picture("PositionSegmentation")[..., 3]
        entities = env.scene.sub_scenes[0].entities
        masks = {e.name: ids == e.per_scene_id for e in entities if e.name in ACTORS}
        masks["robot"] = shown & ~np.logical_or.reduce(list(masks.values()))
        masks["background"] = ~shown
        poses = {e.name: np.concatenate([e.pose.p, e.pose.q]) for e in entities if e.name in masks}
        return Look(
            obs["image"][0].numpy().copy(),
            rgb.copy(),
            masks,
            poses,
            env.qpos.copy(),
        )

    return start


@pytest.fixture(scope="module")
def trained(look):
    """Return what the training episode looks like."""
    return look(episode("in_distribution"))


def assert_only(roles, before, after, least=20):
    """Assert that two looks differ, and only in pixels of ``roles`` and in those actors' poses.

    An actor more in the scene moves the others by rounding only, some 1e-7 m.
    """
    changed = (before.frame != after.frame).any(-1)
    allowed = before.covered(*roles) | after.covered(*roles)
    assert not changed[~allowed].any()
    assert changed.sum() >= least
    for role in set(before.poses) & set(after.poses) - set(roles):
        np.testing.assert_allclose(after.poses[role], before.poses[role], atol=2e-6, err_msg=role)
    if "robot" not in roles:
        assert (before.qpos == after.qpos).all()


def same_poses(before, after):
    """Tell whether all actors stand at the same place, to the last bit."""
    return all((before.poses[role] == pose).all() for role, pose in after.poses.items())


def fields(before, after):
    """Return the names of an episode's fields that differ, apart from what names the episode."""
    ours, theirs = asdict(before), asdict(after)
    names = {"condition", "split", "episode_id", "index"}
    return {key for key in ours if ours[key] != theirs[key]} - names


def test_every_condition_has_its_test_here():
    tests = " ".join(name for name in globals() if name.startswith("test_"))
    named = {c.name for c in CONDITIONS if c.name.split("_0")[0] in tests}
    assert named == {c.name for c in CONDITIONS} and len(named) == 14


def test_in_distribution_shows_the_photo_behind_robot_object_and_plate(trained):
    background = trained.masks["background"]
    photo = BUILTIN.tables[3].photo(128, 96)
    assert (trained.frame[background] == photo[background]).all()
    assert (trained.frame[~background] == trained.rgb[~background]).all()
    sizes = {role: int(mask.sum()) for role, mask in trained.masks.items()}
    assert sizes["object"] > 30 and sizes["plate"] > 100 and sizes["robot"] > 500, sizes
    assert sizes["background"] > 6000 and sum(sizes.values()) == 96 * 128


def test_carrot_changes_the_object(look, trained):
    partner = episode("carrot", object=7)
    assert partner.object == "onion"
    assert fields(episode("in_distribution"), partner) == {"object", "object_index", "instruction"}
    assert_only(["object"], trained, look(partner))


def test_instruct_changes_the_words(look, trained):
    partner = episode("instruct", template=11)
    assert fields(episode("in_distribution"), partner) == {"template_index", "instruction"}
    assert partner.instruction == "Move the banana from the table to the plate"
    seen = look(partner)
    assert (seen.frame == trained.frame).all() and same_poses(trained, seen)


def test_plate_changes_the_plate(look, trained):
    partner = episode("plate", plate=9)
    assert partner.plate == "frying pan"
    assert fields(episode("in_distribution"), partner) == {"plate", "plate_index", "instruction"}
    assert_only(["plate"], trained, look(partner), least=100)


def test_multi_carrot_changes_the_object_and_adds_another(look):
    full = episode("multi_carrot", object=3, distractor=4, place=900)
    assert (full.object, full.distractor) == ("potato", "cup")
    alone = replace(full, distractor=None, distractor_index=None, third_xyz=None)
    seen = replace(alone, object="banana", object_index=12)
    before, between, after = look(seen), look(alone), look(full)
    assert_only(["object"], before, between)
    assert_only(["distractor"], between, after)
    assert set(after.poses) - set(between.poses) == {"distractor"}
    assert after.masks["distractor"].sum() > 20
    x, y, z = after.poses["distractor"][:3]
    np.testing.assert_allclose([x, y], full.third_xyz[:2], atol=0.02)
    assert 0.86 < z < 0.95


def test_multi_plate_changes_plate_and_table_and_adds_a_plate(look):
    full = episode("multi_plate", plate=8, distractor_plate=1, object=13, table=20, place=900)
    assert (full.plate, full.distractor_plate) == ("gramophone disk", "mouse pad")
    alone = replace(full, distractor_plate=None, distractor_plate_index=None, third_xyz=None)
    seen = replace(alone, plate="plate", plate_index=0)
    before, between, after = look(seen), look(alone), look(full)
    assert_only(["plate"], before, between, least=100)
    assert_only(["distractor_plate"], between, after, least=100)
    table = look(replace(seen, table="picnic table", table_index=3))
    assert_only(["background"], table, before, least=5000)


def test_vision_image_changes_the_background(look, trained):
    partner = episode("vision_image", table=1)
    assert fields(episode("in_distribution"), partner) == {"table", "table_index"}
    seen = look(partner)
    assert_only(["background"], trained, seen, least=5000)
    background = seen.masks["background"]
    photo = BUILTIN.tables[17].photo(128, 96)
    assert (seen.frame[background] == photo[background]).all()


OVERLAY = {"texture", "texture_index", "overlay_alpha", "overlay_region"}


def assert_linear(plain, light, heavy):
    """Assert frames 0, 0.3 and 0.5 of the way to a texture: 5 x one step is 3 x the other.

    Each blended value is truncated, so the two sides differ by less than 5.
    """
    plain, light, heavy = (frame.astype(int) for frame in (plain, light, heavy))
    gap = 5 * (light - plain) - 3 * (heavy - plain)
    assert gap.min() >= -5 and gap.max() <= 3
    assert np.abs(heavy - plain).mean() > 5


def test_texture_changes_robot_and_objects(look, trained):
    partners = [episode(name, texture=4) for name in ("texture_03", "texture_05")]
    assert partners[0].texture == "006.png"
    assert all(fields(episode("in_distribution"), partner) == OVERLAY for partner in partners)
    light, heavy = (look(partner) for partner in partners)
    for seen in (light, heavy):
        assert_only(["robot", "object", "plate"], trained, seen, least=1000)
        assert same_poses(trained, seen) and (seen.rgb == trained.rgb).all()
    shown = ~trained.masks["background"]
    assert_linear(trained.frame[shown], light.frame[shown], heavy.frame[shown])


def test_whole_changes_the_frame_by_the_published_blend(look, trained):
    partners = [episode(name, texture=4) for name in ("whole_03", "whole_05")]
    assert all(fields(episode("in_distribution"), partner) == OVERLAY for partner in partners)
    light, heavy = (look(partner) for partner in partners)
    assert same_poses(trained, light) and same_poses(trained, heavy)
    assert_linear(trained.frame, light.frame, heavy.frame)
    rows, columns = np.nonzero(~trained.masks["background"])
    y, x = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    double = overlay.prepare_texture(BUILTIN.tables[5].texture(), "frame", 128, 96)
    window = double[y : y + 96, x : x + 128]
    for seen, alpha in ((light, 0.3), (heavy, 0.5)):
        expected = (1 - alpha) * trained.frame + alpha * window
        cut = expected - seen.frame
        assert cut.min() > -1e-4 and cut.max() < 1 + 1e-4, "truncated; blended in float32"


def test_position_moves_and_turns_the_object_and_moves_the_plate(look, trained):
    partner = episode("position", place=40)
    changed = {"object_xyz", "plate_xyz", "yaw_deg", "place_index"}
    assert fields(episode("in_distribution"), partner) == changed
    seen = look(partner)
    assert_only(["object", "plate"], trained, seen, least=100)
    assert (seen.qpos == trained.qpos).all()
    for role, xyz in (("object", partner.object_xyz), ("plate", partner.plate_xyz)):
        pose = seen.poses[role]
        np.testing.assert_allclose(pose[:2], xyz[:2], atol=0.01)
        assert abs(pose[0] + 0.16) > 0.095 or abs(pose[1]) > 0.095, "outside the trained square"


def test_ee_pose_moves_the_robot(look, trained):
    partner = episode("ee_pose", joint=10_000)
    assert fields(episode("in_distribution"), partner) == {"joint_offset", "joint_row"}
    seen = look(partner)
    assert_only(["robot"], trained, seen, least=100)
    assert any(partner.joint_offset)
    np.testing.assert_allclose(seen.qpos - trained.qpos, partner.joint_offset, atol=1e-6)


def test_position_change_to_moves_the_object_after_the_fifth_step(env):
    jumping = episode("position_change_to", object=13, place=900)
    staying = replace(jumping, teleport_step=None, third_xyz=None)

    def course(episode):
        frames = [env.reset(options={"episode": episode})[0]["image"][0].numpy().copy()]
        places = [env.object.pose.p]
        for _ in range(8):
            frames.append(env.step(HOLD)[0]["image"][0].numpy().copy())
            places.append(env.object.pose.p)
        return frames, places

    (jumped, new), (stayed, old) = course(jumping), course(staying)
    same = [
        (jumped[step] == stayed[step]).all() and (new[step] == old[step]).all() for step in range(9)
    ]
    assert same == [True] * 5 + [False] * 4
    np.testing.assert_allclose(new[-1][:2], jumping.third_xyz[:2], atol=0.02)
    np.testing.assert_allclose(old[-1][:2], jumping.object_xyz[:2], atol=0.02)
    assert np.linalg.norm(new[-1][:2] - old[-1][:2]) > 0.13
    assert new[-1][2] == pytest.approx(old[-1][2], abs=0.003), "it lies on the table again"
