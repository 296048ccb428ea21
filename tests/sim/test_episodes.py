import json
import math
from itertools import pairwise

import numpy as np
import pytest

from unblind.errors import UnblindError
from unblind.sim.conditions import CONDITIONS, OBJECTS, PLATES, TABLES, get
from unblind.sim.episodes import (
    decode,
    place_table,
    sample_ids,
    space_size,
)

NAMES = [condition.name for condition in CONDITIONS]
PURPOSES = ("evaluation", "validation", "demos-train", "demos-held-out", "pretraining", "warm-up")


# ---- tables of positions and joints


def test_position_tables_have_the_published_sizes():
    sizes = {
        name: len(place_table(name))
        for name in ("inner", "outer", "inner_third_object", "inner_third_plate")
    }
    assert sizes == {
        "inner": 784,
        "outer": 628,
        "inner_third_object": 2104,
        "inner_third_plate": 2104,
    }


def test_inner_pairs():
    rows = np.array(place_table("inner"))
    np.testing.assert_allclose(rows[0], [[-0.235, -0.075, 0.95], [-0.235, 0.015, 0.95]])
    np.testing.assert_allclose(rows[-1], [[-0.085, 0.075, 0.95], [-0.085, -0.015, 0.95]])
    assert np.linalg.norm(rows[:, 0] - rows[:, 1], axis=1).min() > 0.07
    steps = (rows[:, 0, :2] - [-0.235, -0.075]) / 0.03
    order = (np.rint(steps) @ [6, 1]).astype(int)
    assert all(a <= b for a, b in pairwise(order)), "object points ascend, x before y"


def test_outer_pairs_lie_on_the_border():
    rows = np.array(place_table("outer"))
    assert len({tuple(p) for p in rows[:, 0].tolist()}) == 28
    on_x = np.isclose(np.abs(rows[..., 0] + 0.16), 0.105)
    on_y = np.isclose(np.abs(rows[..., 1]), 0.105)
    assert (on_x | on_y).all() and np.abs(rows[..., 1]).max() < 0.1051


@pytest.mark.parametrize(
    ("name", "heights", "far", "near"),
    [
        ("inner_third_object", (0.95, 0.92, 1.0), (0, 2), (1, 2)),
        ("inner_third_plate", (1.0, 0.92, 0.96), (1, 2), (0, 2)),
    ],
)
def test_triples(name, heights, far, near):
    rows = np.array(place_table(name))
    np.testing.assert_array_equal(rows[:, :, 2], np.tile(heights, (len(rows), 1)))
    gap = lambda a, b: np.linalg.norm(rows[:, a, :2] - rows[:, b, :2], axis=1)  # noqa: E731
    assert gap(0, 1).min() > 0.07 and gap(*near).min() > 0.07
    # Float64 lets some pairs exactly 0.15 m apart through; the published count has them.
    ties = np.isclose(gap(*far), 0.15, atol=1e-9)
    assert gap(*far).min() > 0.15
    assert (~ties).sum() == 1896 and ties.sum() == 208


def test_joint_offsets():
    per_row = 16 * 784 * 4
    first = decode("ee_pose", 0).joint_offset
    assert first == (-0.15, -0.15, -0.08, -0.15, -0.15, -0.6, 0.0, 0.0)
    assert decode("ee_pose", per_row).joint_offset[5] == -0.3
    last = decode("ee_pose", 14_375 * per_row - 1).joint_offset
    assert last == (0.15, 0.15, 0.08, 0.15, 0.15, 0.6, 0.0, 0.0)
    rows = {decode("ee_pose", row * per_row).joint_offset for row in range(14_375)}
    assert len(rows) == 14_375
    assert max(abs(row[1] + row[2]) for row in rows) <= 0.25


# ---- single ids, computed by hand


def test_first_and_last_training_episode():
    first = decode("in_distribution", 0)
    assert (first.object, first.plate, first.table) == ("carrot", "plate", "table_simpler")
    assert first.split == "train" and first.yaw_deg == 0.0 and first.third_xyz is None
    assert first.instruction == "put carrot on plate"
    assert first.joint_offset == (0.0,) * 8 and first.teleport_step is None
    assert (first.overlay_region, first.overlay_alpha, first.texture) == ("none", 0.0, None)
    last = decode("in_distribution", 802_815)
    assert (last.object, last.table, last.yaw_deg) == ("BBQ sauce", "coloful desk", 135.0)
    assert last.place_index == 783


def test_carrot_id_by_hand():
    # object 5 of 9, table 3 of 16, position 100 of 784, yaw 2 of 4
    episode = decode("carrot", ((5 * 16 + 3) * 784 + 100) * 4 + 2)
    assert episode.object == "champagne glass" and episode.object_index == 21
    assert (episode.table, episode.place_index, episode.yaw_deg) == ("picnic table", 100, 90.0)
    assert episode.object_xyz == place_table("inner")[100][0]
    assert episode.plate_xyz == place_table("inner")[100][1]


def test_instruct_id_by_hand():
    # object 3, template 13 (the 14th with the training one): fourth-last before the "?" one
    episode = decode("PutOnPlateInScene25Instruct-v1", (3 * 16 + 12) * 16 * 784 * 4)
    assert episode.template_index == 13
    assert episode.instruction == "Move plastic bottle so it\u2019s on plate."
    ends = decode("instruct", 15 * 16 * 784 * 4), decode("instruct", 0)
    assert ends[0].instruction == "the carrot should be placed on the plate."
    assert ends[1].instruction == "Place the carrot on the plate"


def test_multi_plate_orders_plate_before_distractor():
    # object 2, plate 16 of 16, distractor step 0 of 15 (wraps to the first), table 20 of 21
    episode = decode("multi_plate", ((((2 * 16 + 15) * 15 + 0) * 21 + 20) * 2104 + 7) * 4 + 1)
    assert (episode.object, episode.plate) == ("bread", "notepad")
    assert (episode.distractor_plate, episode.table) == ("cloth", "dining table")
    assert episode.third_xyz == place_table("inner_third_plate")[7][2]
    assert episode.instruction == "put bread on notepad" and episode.distractor is None


def test_overlays_name_their_texture():
    for name, region, alpha in (
        ("texture_03", "robot_and_objects", 0.3),
        ("texture_05", "robot_and_objects", 0.5),
        ("whole_03", "frame", 0.3),
        ("whole_05", "frame", 0.5),
    ):
        first, last = decode(name, 0), decode(name, 16 * 16 * 784 * 4 - 1)
        assert (first.overlay_region, first.overlay_alpha) == (region, alpha)
        assert (first.texture, last.texture) == ("002.png", "017.png")
        train = decode(name, 0, "train")
        assert (train.texture, train.overlay_region) == (None, "none")


def test_position_uses_the_outer_ring_and_its_yaws():
    assert [decode("position", i).yaw_deg for i in range(4)] == [-22.5, -67.5, -112.5, -157.5]
    assert decode("position", 0).object_xyz == pytest.approx((-0.265, -0.105, 0.95))
    assert decode("position", 0, "train").object_xyz == pytest.approx((-0.235, -0.075, 0.95))


def test_position_change_teleports_in_the_test_split_only():
    test, train = decode("position_change_to", 4), decode("position_change_to", 4, "train")
    assert test.teleport_step == 5 and test.third_xyz[2] == 1.0
    assert math.dist(test.object_xyz[:2], test.third_xyz[:2]) > 0.15
    assert train.teleport_step is None and train.third_xyz is None
    assert train.object_xyz == test.object_xyz


# ---- properties


@pytest.mark.parametrize("name", NAMES)
def test_decode_is_one_to_one_and_rebuilds_its_id(name):
    space = get(name).evaluation
    rng = np.random.default_rng(0)
    for episode_id in rng.integers(0, space.size, size=200).tolist():
        e = decode(name, episode_id)
        factor = 0
        if name == "instruct":
            factor = e.template_index - 1
        elif e.texture_index is not None:
            factor = e.texture_index - 1
        elif name == "ee_pose":
            factor = e.joint_row - 1
        elif e.distractor_index is not None:
            factor = (e.distractor_index - e.object_index - 1) % 9
        plate, second = space.plates.index(e.plate_index), 0
        if e.distractor_plate_index is not None:
            second = (e.distractor_plate_index - e.plate_index - 1) % 16
        sizes = space.digits()
        middle = math.prod(sizes[k] for k in ("template", "texture", "joint", "distractor"))
        index = space.objects.index(e.object_index)
        for digit, size in (
            (factor, middle),
            (plate, sizes["plate"]),
            (second, sizes["distractor_plate"]),
            (space.tables.index(e.table_index), sizes["table"]),
            (e.place_index, sizes["place"]),
            (e.yaw_index, 4),
        ):
            assert 0 <= digit < size
            index = index * size + digit
        assert index == episode_id == e.index


@pytest.mark.parametrize("name", NAMES)
def test_only_the_named_factors_leave_training(name):
    condition = get(name)
    seen = {"object": OBJECTS[:16], "plate": PLATES[:1], "table": TABLES[:16]}
    drawn = {key: set() for key in seen}
    left = set()
    for episode_id in np.linspace(0, condition.evaluation.size - 1, 3000, dtype=np.int64):
        e = decode(name, int(episode_id))
        left |= {key for key, names in seen.items() if getattr(e, key) not in names}
        for key in drawn:
            drawn[key].add(getattr(e, key))
        for key in ("distractor", "distractor_plate", "texture"):
            left |= {key} if getattr(e, key) else set()
        left |= {"yaw"} if e.yaw_deg < 0 else set()
        left |= {"position"} if abs(e.object_xyz[1]) > 0.08 else set()
        left |= {"joint_offset"} if any(e.joint_offset) else set()
        left |= {"teleport"} if e.teleport_step else set()
        left |= {"instruction"} if e.instruction != f"put {e.object} on {e.plate}" else set()
    assert left == set(condition.factors)
    assert len(drawn["object"]) == len(condition.evaluation.objects)
    assert len(drawn["table"]) == len(condition.evaluation.tables)


def test_train_spaces():
    assert space_size("PutOnPlateInScene25Carrot-v1", "train") == 802_816
    assert space_size("in_distribution", "test") == space_size("in_distribution", "train")
    assert space_size("multi_carrot", "train") == 16 * 15 * 16 * 2104 * 4
    assert space_size("multi_plate", "train") == 16 * 16 * 21 * 2104 * 4
    distractors = {
        decode("multi_plate", step * 21 * 2104 * 4, "train").distractor_plate for step in range(16)
    }
    assert distractors == set(PLATES[1:]), "the release draws unseen plates there"
    carrot, same = decode("carrot", 12_345, "train"), decode("in_distribution", 12_345)
    assert (carrot.object_xyz, carrot.table) == (same.object_xyz, same.table)


def test_json_is_plain_and_complete():
    values = decode("multi_carrot", 77).to_json()
    assert json.loads(json.dumps(values)) == values
    contract = (
        "object distractor plate distractor_plate table texture object_xyz plate_xyz third_xyz "
        "yaw_deg joint_offset teleport_step overlay_alpha overlay_region instruction"
    )
    assert set(contract.split()) <= set(values)
    assert len(values["joint_offset"]) == 8


# ---- ids and fidelities (the release's defects: test_defects.py)


def test_ids_beyond_the_space():
    for bad in (-1, 451_584):
        with pytest.raises(UnblindError, match="beyond the space of carrot"):
            decode("carrot", bad)
    wrapped = decode("carrot", 451_584 + 5, fidelity="released")
    assert (wrapped.index, wrapped.episode_id) == (5, 451_589)
    assert wrapped.object_xyz == decode("carrot", 5).object_xyz
    assert decode("ee_pose", 11_540_480_000 - 1).object == "BBQ sauce", "needs 64 bits"


@pytest.mark.parametrize("bad", ["7", 1.5, None])
def test_ids_that_are_no_integers(bad):
    with pytest.raises(UnblindError, match="no integer"):
        decode("carrot", bad)


def test_unknown_fidelity():
    with pytest.raises(UnblindError, match="unknown fidelity"):
        decode("carrot", 0, fidelity="fixed")


def test_numpy_integers_are_ids():
    assert decode("ee_pose", np.int64(9_000_000_000)).to_json()["episode_id"] == 9_000_000_000


# ---- lists of ids


def test_lists_are_frozen():
    assert sample_ids("carrot", 4, 0) == [133406, 442539, 365823, 208582]
    assert sample_ids("ee_pose", 2, 0) == [7526920627, 3318847391]


@pytest.mark.parametrize("name", NAMES)
def test_lists_are_distinct_prefixes_inside_the_space(name):
    ids = sample_ids(name, 300, 3)
    assert len(set(ids)) == 300 and min(ids) >= 0 and max(ids) < space_size(name)
    assert sample_ids(name, 32, 3) == ids[:32]
    assert sample_ids(name, 32, 4) != ids[:32]


def test_purposes_never_meet():
    lists = [
        set(sample_ids("in_distribution", 2000, seed, purpose=purpose))
        for seed, purpose in enumerate(PURPOSES)
    ]
    assert len(set().union(*lists)) == sum(map(len, lists)) == 12_000
    other = set(sample_ids("carrot", 2000, 9, "train", purpose="demos-train"))
    assert not other & lists[0], "nor do they across conditions"


def test_in_distribution_lists_do_not_depend_on_the_split_named():
    assert sample_ids("ID", 8, 0, "test") == sample_ids("ID", 8, 0, "train")


def test_fixed_digits():
    ids = sample_ids("ID", 20, 0, purpose="demos-train", fixed={"object": 3, "table": 15})
    episodes = [decode("ID", i) for i in ids]
    assert {(e.object_index, e.table_index) for e in episodes} == {(3, 15)}
    assert len({e.place_index for e in episodes}) > 10 and len({e.yaw_index for e in episodes}) == 4


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n": 66_902, "seed": 0}, "at most 66901"),
        ({"n": 1, "seed": 0, "purpose": "fun"}, "unknown purpose"),
        ({"n": 1, "seed": -1}, "negative"),
        ({"n": 1, "seed": 0, "fixed": {"object": 16}}, "no object 16"),
        ({"n": 1, "seed": 0, "fixed": {"colour": 0}}, "no colour 0"),
    ],
)
def test_bad_requests(kwargs, message):
    with pytest.raises(UnblindError, match=message):
        sample_ids("in_distribution", **kwargs)
