"""The known defects of the released environments: what the release does, and what this study does.

Names of the defects' tests begin with the condition or rule that is concerned.
"""

from collections import Counter

import numpy as np
import pytest

from unblind.sim.builtin import BUILTIN
from unblind.sim.conditions import TABLES, get
from unblind.sim.episodes import UNSHIFTED_JOINT_ROW, decode, sample_ids, space_size
from unblind.sim.overlay import blend_mask, mask_box, prepare_texture
from unblind.sim.success import needs_more_settling

ROLES = ("object", "plate", "distractor", "distractor_plate")


@pytest.fixture(scope="module")
def env(renderer):
    from unblind.sim.env import PutOnPlateEnv

    env = PutOnPlateEnv()
    yield env
    env.close()


# ---- MultiCarrot: the distractor may be the target itself


def multi_carrot_pairs(fidelity, split="test", n=9):
    """Return (target, distractor) of every pair of a split, in the order of the ids."""
    per_pair = 16 * 2104 * 4  # tables, positions, yaws
    found = [
        decode("multi_carrot", (target * (n - 1) + step) * per_pair, split, fidelity)
        for target in range(n)
        for step in range(n - 1)
    ]
    return [(e.object_index, e.distractor_index) for e in found]


def test_multi_carrot_released_is_its_own_distractor_in_9_of_72_pairs():
    released = multi_carrot_pairs("released")
    assert sum(target == other for target, other in released) == 9
    # The split's offset, 16, is added before the modulo as well as after it.
    assert released == [(16 + c, (16 + c + e + 1) % 9 + 16) for c in range(9) for e in range(8)]
    different = Counter(target for target, other in set(released) if target != other)
    assert set(different.values()) == {7}, "one other object is never a target's distractor"


def test_multi_carrot_corrected_draws_every_other_object_once():
    pairs = multi_carrot_pairs("corrected")
    assert sorted(pairs) == [(a, b) for a in range(16, 25) for b in range(16, 25) if a != b]


def test_multi_carrot_training_split_and_multi_plate_are_sound():
    train = multi_carrot_pairs("released", "train", 16)
    assert train == multi_carrot_pairs("corrected", "train", 16)
    assert len(train) == 240 and all(target != other for target, other in train)
    for episode_id in range(0, 678_666_240, 7_654_321):
        corrected = decode("multi_plate", episode_id).to_json()
        released = decode("multi_plate", episode_id, fidelity="released").to_json()
        assert corrected | {"fidelity": "released"} == released
        assert corrected["plate"] != corrected["distractor_plate"]


def test_multi_carrot_scene_holds_one_object_at_the_third_place_or_two(env):
    number = 1 * 16 * 2104 * 4 + 900 * 4  # first target, second pair: 16 + 0 + 1 + 1 = 18 = 0 mod 9
    released = decode("multi_carrot", number, fidelity="released")
    corrected = decode("multi_carrot", number)
    assert released.self_distractor and released.object == released.distractor == "travel cup"
    assert released.object_xyz == released.third_xyz and released.object_xyz[2] == 1.0
    assert not corrected.self_distractor and corrected.distractor == "nonstop can"
    assert corrected.object_xyz[2] == 0.95 and corrected.plate_xyz == released.plate_xyz

    def stand(episode):
        env.reset(options={"episode": episode})
        found = {e.name: e.pose.p[:2] for e in env.scene.sub_scenes[0].entities}
        return {role: found[role] for role in ROLES if role in found}

    alone, both = stand(released), stand(corrected)
    assert alone.keys() == {"object", "plate"}
    assert both.keys() == {"object", "plate", "distractor"}
    np.testing.assert_allclose(alone["object"], corrected.third_xyz[:2], atol=0.03)
    np.testing.assert_allclose(both["distractor"], corrected.third_xyz[:2], atol=0.03)
    np.testing.assert_allclose(both["object"], corrected.object_xyz[:2], atol=0.03)
    assert np.linalg.norm(both["object"] - alone["object"]) > 0.1


# ---- Tex03, Tex05 and settling: an episode depends on the environments it is batched with


def test_texture_released_pixels_depend_on_the_companion(env):
    """Two rendered episodes, alone and as the release draws them when it renders both at once."""
    views = []
    for number, joints in ((900, 0), (9_000_000, 14_000)):
        tilted = decode("ee_pose", joints * 16 * 784 * 4).joint_offset
        episode = decode("texture_05", number)
        env.reset(options={"episode": episode})
        env.agent.robot.set_qpos(np.float32(env.qpos + np.array(tilted)))
        rgb, shown = env.render_raw()
        table, source = BUILTIN.tables[episode.table_index], BUILTIN.tables[episode.texture_index]
        texture = prepare_texture(source.texture(), "robot_and_objects", 128, 96)
        assert source.mix == 1.0 and episode.overlay_alpha == 0.5
        views.append((rgb.copy(), shown, table.photo(128, 96), texture, 0.5))
        assert (env.frame() == blend_mask(*views[-1])).all(), "corrected: the episode alone decides"
    boxes = [np.array(mask_box(shown)) for _, shown, *_ in views]
    sizes = [(box[3] - box[1] + 1, box[2] - box[0] + 1) for box in boxes]
    largest = tuple(int(length) for length in np.max(sizes, axis=0))
    assert len({*sizes, largest}) > 1, "the boxes differ"
    changed = 0
    for view, size in zip(views, sizes, strict=True):
        alone, batched = blend_mask(*view), blend_mask(*view, batch_box=largest)
        differ = (alone != batched).any(-1)
        assert not differ[~view[1]].any()
        assert differ.any() == (size != largest)
        changed += differ.sum()
    assert changed > 500


def test_texture_released_tile_is_cropped_from_the_batchs_largest_box():
    rng = np.random.default_rng(0)
    rgb, photo, texture = rng.integers(0, 256, (3, 96, 128, 3), dtype=np.uint8)
    mask = np.zeros((96, 128), bool)
    mask[20:50, 30:90] = True
    released = blend_mask(rgb, mask, photo, texture, 0.5, batch_box=(96, 128))
    # The largest box has the texture's own size: its upper left part, unstretched.
    expected = (texture[:30, :60].astype(int) + rgb[20:50, 30:90]) // 2
    assert (released[20:50, 30:90] == expected).all()
    corrected = blend_mask(rgb, mask, photo, texture, 0.5)
    assert (released != corrected).any(-1).sum() > 0.9 * mask.sum()
    assert (released[~mask] == photo[~mask]).all()


def batch(*speeds):
    """Return (B, 2, 3) speeds of object and plate: the objects' as given, along x."""
    linear = np.zeros((len(speeds), 2, 3))
    linear[:, 0, 0] = speeds
    return linear


@pytest.mark.parametrize(
    ("speeds", "released", "corrected"),
    [
        # Root of the summed squares, m/s: 0.0008, 0.0012, and 0.0011 for one mover among four.
        ((0.0004,) * 4, False, (False,) * 4),
        ((0.0006,) * 4, True, (False,) * 4),
        ((0.0011, 0.0, 0.0, 0.0), True, (True, False, False, False)),
    ],
)
def test_settling_released_depends_on_the_companions(speeds, released, corrected):
    still = batch(*[0.0] * len(speeds))
    assert needs_more_settling(batch(*speeds), still) == released
    alone = tuple(needs_more_settling(batch(speed), batch(0.0)) for speed in speeds)
    assert alone == corrected


# ---- the green screen: texture and mix are ignored outside Tex and Whole


def test_green_screen_ignores_texture_and_mix_in_both_fidelities(env):
    """Kept as released: the photo alone is the background, whatever its texture and mix."""
    assert [table.mix for table in BUILTIN.tables] == [0.0] + [1.0] * 20
    for table in (0, 4):
        number = table * 784 * 4
        released = decode("vision_image", number, fidelity="released")
        corrected = decode("vision_image", number)
        assert corrected.texture is None and corrected.overlay_alpha == 0.0
        source = BUILTIN.tables[corrected.table_index]
        photo = source.photo(128, 96)
        frames = []
        for episode in (released, corrected):
            frames.append(env.reset(options={"episode": episode})[0]["image"][0].numpy().copy())
        background = ~env.render_raw()[1]
        assert (frames[0] == frames[1]).all()
        assert (frames[1][background] == photo[background]).all() and background.sum() > 6000
        texture = prepare_texture(source.texture(), "robot_and_objects", 128, 96)
        assert np.abs(texture.astype(int) - photo)[background].mean() > 5, "it would be seen"


@pytest.mark.parametrize("name", ["texture_03", "texture_05", "whole_03", "whole_05"])
def test_textures_of_the_test_split_belong_to_15_seen_tables_and_one_unseen(name):
    """Kept as released: 002.png to 017.png, so that ids mean the same."""
    space = get(name).evaluation
    per_texture = 16 * 784 * 4
    drawn = [decode(name, step * per_texture) for step in range(16)]
    assert [e.texture for e in drawn] == [f"{number:03d}.png" for number in range(2, 18)]
    seen = set(TABLES[:16])
    owners = [TABLES[e.texture_index] for e in drawn]
    assert sum(owner in seen for owner in owners) == 15 and owners[-1] == "glass table"
    assert space.textures == range(1, 17)
    assert all(BUILTIN.tables[i].mix == 1.0 for i in space.textures), "so mix changes no weight"


# ---- EEPose: ids beyond 32 bits, and one row that is the training pose


def test_ee_pose_needs_ids_beyond_32_bits():
    size = space_size("ee_pose")
    assert size == 14_375 * 802_816 == 11_540_480_000 > 2**31 - 1
    last = decode("ee_pose", size - 1)
    assert (last.object, last.joint_row, last.place_index) == ("BBQ sauce", 14_375, 783)
    short = int(np.int64(size - 1).astype(np.int32))
    wrapped = decode("ee_pose", short, fidelity="released")
    assert wrapped.object != last.object, "cut to 32 bits the id names another episode"
    ids = sample_ids("ee_pose", 200, 0)
    assert 0.7 < np.mean([number > 2**31 - 1 for number in ids]) < 0.9, "1 - 2**31 / size = 0.81"


def test_ee_pose_row_7188_is_the_training_pose_and_never_sampled_when_corrected():
    per_row = 16 * 784 * 4  # tables, positions, yaws
    assert UNSHIFTED_JOINT_ROW == 7188
    unshifted = (UNSHIFTED_JOINT_ROW - 1) * per_row
    for fidelity in ("released", "corrected"):
        assert decode("ee_pose", unshifted, fidelity=fidelity).joint_offset == (0.0,) * 8
        assert any(decode("ee_pose", unshifted - per_row, fidelity=fidelity).joint_offset)
        assert any(decode("ee_pose", unshifted + per_row, fidelity=fidelity).joint_offset)
    # A list that would hold the row: the corrected one is the same list without it.
    request = {"purpose": "pretraining", "fixed": {"object": 0, "table": 0, "place": 0, "yaw": 1}}
    released = sample_ids("ee_pose", 200, 4, fidelity="released", **request)
    assert unshifted + 1 in released
    corrected = sample_ids("ee_pose", 199, 4, **request)
    assert corrected == [i for i in released if i != unshifted + 1]


def test_ee_pose_unshifted_episode_looks_like_training(env):
    number = (UNSHIFTED_JOINT_ROW - 1) * 16 * 784 * 4 + 5
    looks = [
        env.reset(options={"episode": decode(name, n)})[0]["image"].numpy().copy()
        for name, n in (("ee_pose", number), ("in_distribution", 5), ("ee_pose", 5))
    ]
    assert (looks[0] == looks[1]).all() and (looks[2] != looks[1]).any()
