"""Pretraining's episodes: wider than training, and nothing of what is tested."""

import numpy as np
import pytest

from unblind.demos import pretraining
from unblind.sim import conditions
from unblind.sim.builtin import extras
from unblind.sim.catalogs import load_catalog
from unblind.sim.episodes import decode, place_table

#: The first numbers of two seeds' plans.
NUMBERS = [*range(1500), *range(1 << 32, (1 << 32) + 500)]
SPACES = [
    conditions.get(c).space(split) for c in conditions.CONDITIONS for split in ("train", "test")
]


@pytest.fixture(scope="module")
def episodes():
    return [pretraining.decode(number) for number in NUMBERS]


def unseen(factor):
    """Return what some test draws of a factor and training does not."""
    trained = set(getattr(conditions.get("in_distribution").space("train"), factor))
    tested = {x for c in conditions.CONDITIONS for x in getattr(c.evaluation, factor) or ()}
    return tested - trained


def values(episodes, *fields):
    found = {getattr(episode, field) for episode in episodes for field in fields}
    return found - {None}


def test_no_unseen_object_plate_or_table_is_shown(episodes):
    objects = values(episodes, "object_index", "distractor_index")
    assert unseen("objects") == set(range(16, 25))
    assert objects == {*range(16), *range(25, 25 + 64)}
    plates = values(episodes, "plate_index", "distractor_plate_index")
    assert unseen("plates") == set(range(1, 17))
    assert plates == {0, *range(17, 17 + 40)}
    tables = values(episodes, "table_index")
    assert unseen("tables") == set(range(16, 21))
    assert tables == {*range(16), *range(21, 21 + extras.TABLES)}


def test_names_belong_to_the_indices_and_are_not_the_tests(episodes):
    catalog = load_catalog(pretraining.CATALOG)
    for episode in episodes[:200]:
        assert episode.object == catalog.objects[episode.object_index].name
        assert episode.plate == catalog.plates[episode.plate_index].name
        assert episode.table == catalog.tables[episode.table_index].name
    names = [model.name for model in (*catalog.objects, *catalog.plates)]
    assert len(set(names)) == len(names)
    assert not values(episodes, "object", "distractor") & set(conditions.OBJECTS[16:])
    assert not values(episodes, "plate", "distractor_plate") & set(conditions.PLATES[1:])


def test_the_builtin_assets_come_first_in_the_longer_catalog():
    builtin, longer = load_catalog("builtin"), load_catalog(pretraining.CATALOG)
    for kind in ("objects", "plates", "tables"):
        short, long = getattr(builtin, kind), getattr(longer, kind)
        assert long[: len(short)] == short
        assert [model.index for model in long] == list(range(len(long)))


def test_instructions_are_no_test_template_in_any_case(episodes):
    tested = {template.lower() for template in conditions.TEMPLATES[1:]}
    assert not tested & {template.lower() for template in pretraining.TEMPLATES}
    assert pretraining.TEMPLATES[0] == conditions.TEMPLATES[0]
    told = 0
    for episode in episodes:
        names = {"object": episode.object, "plate": episode.plate}
        assert episode.instruction.lower() not in {t.format(**names).lower() for t in tested}
        told += episode.instruction == conditions.TEMPLATES[0].format(**names)
    # Half of all: within five standard deviations of a binomial.
    assert abs(told / len(episodes) - 0.5) < 5 * 0.5 / np.sqrt(len(episodes))


def test_no_yaw_is_a_test_yaw(episodes):
    tested = {yaw % 360 for yaw in unseen("yaws_deg")}
    assert len(tested) == 4
    yaws = {yaw % 360 for yaw in values(episodes, "yaw_deg")}
    assert yaws == {15.0 * k for k in range(24)}
    assert not yaws & tested


def test_positions_keep_5_mm_from_every_point_of_training_and_tests(episodes):
    """In x and in y, for everything that stands there."""
    places = {space.places for space in SPACES}
    known = np.array([xyz[:2] for name in places for row in place_table(name) for xyz in row])
    for axis in (0, 1):
        lines = np.unique(known[:, axis].round(9))
        assert len(lines) == 8  # six lines of training, two of the outer ring
        chosen = np.array(
            [
                xyz[axis]
                for e in episodes
                for xyz in (e.object_xyz, e.plate_xyz, e.third_xyz)
                if xyz is not None
            ]
        )
        assert np.abs(chosen[:, None] - lines).min() >= 0.005 - 1e-9
        # On all cells, up to 2.5 cm beyond the outer ring.
        assert lines.min() - 0.025 - 1e-9 <= chosen.min() < lines.min() - 0.015
        assert lines.max() + 0.015 < chosen.max() <= lines.max() + 0.025 + 1e-9


def test_things_stand_apart(episodes):
    for episode in episodes:
        points = [np.array(xyz[:2]) for xyz in (episode.object_xyz, episode.plate_xyz)]
        assert np.linalg.norm(points[0] - points[1]) > 0.075
        extra = episode.distractor or episode.distractor_plate
        assert (episode.third_xyz is None) == (extra is None)
        if episode.third_xyz is not None:
            third = np.array(episode.third_xyz[:2])
            assert min(np.linalg.norm(third - point) for point in points) > 0.085
        assert episode.distractor != episode.object
        assert episode.distractor_plate != episode.plate


def test_two_thirds_and_more_have_a_distractor_that_could_as_well_be_the_target(episodes):
    extras = {
        name: [e for e in episodes if getattr(e, name) is not None]
        for name in ("distractor", "distractor_plate")
    }
    # Within five standard deviations of a binomial, here and below.
    for name, share in (("distractor", 0.4), ("distractor_plate", 0.3)):
        assert abs(len(extras[name]) / len(episodes) - share) < 5 * 0.5 / np.sqrt(len(episodes))
    for name, target, known in (
        ("distractor", "object", range(16)),
        ("distractor_plate", "plate", range(1)),
    ):
        pairs = [
            (getattr(e, f"{target}_index") in known, getattr(e, f"{name}_index") in known)
            for e in extras[name]
        ]
        mixed = [first for first, second in pairs if first != second]
        assert abs(np.mean(mixed) - 0.5) < 5 * 0.5 / np.sqrt(len(mixed))
    same = np.mean(
        [(e.object_index < 16) == (e.distractor_index < 16) for e in extras["distractor"]]
    )
    assert abs(same - 0.5) < 5 * 0.5 / np.sqrt(len(extras["distractor"]))


def test_no_place_tells_the_target_from_its_distractor(episodes):
    for name, target, other in (
        ("distractor", "object_xyz", "plate_xyz"),
        ("distractor_plate", "plate_xyz", "object_xyz"),
    ):
        shown = [e for e in episodes if getattr(e, name) is not None]
        alike = [
            [np.subtract(xyz, getattr(e, other))[:2] for xyz in (getattr(e, target), e.third_xyz)]
            for e in shown
        ]
        nearer = [np.linalg.norm(a) < np.linalg.norm(b) for a, b in alike]
        assert abs(np.mean(nearer) - 0.5) < 5 * 0.5 / np.sqrt(len(nearer))


def test_nothing_else_of_the_tests_happens(episodes):
    assert values(episodes, "teleport_step", "texture", "texture_index") == set()
    assert values(episodes, "overlay_alpha") == {0.0}
    tested = {decode("ee_pose", number).joint_offset for number in range(0, 10**9, 10**7)}
    offsets = {episode.joint_offset for episode in episodes}
    assert not offsets & tested
    moved = np.array([offset for offset in offsets if any(offset)])
    assert moved[:, :6].std() == pytest.approx(0.04, rel=0.05) and not moved[:, 6:].any()
    still = sum(not any(episode.joint_offset) for episode in episodes)
    assert abs(still / len(episodes) - 0.5) < 5 * 0.5 / np.sqrt(len(episodes))


def test_a_number_is_an_episode_for_ever(episodes):
    assert [pretraining.decode(number) for number in NUMBERS[:50]] == episodes[:50]
    assert [episode.episode_id for episode in episodes] == NUMBERS
    starts = {(e.object_xyz, e.plate_xyz) for e in episodes}
    assert len(starts) == len(episodes)
