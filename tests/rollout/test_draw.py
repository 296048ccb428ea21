"""Which episodes are evaluated: mini's first, further ones evenly over all factors."""

from collections import Counter
from pathlib import Path

import pytest

from unblind.config import load
from unblind.rollout.draw import FACTORS, draw
from unblind.rollout.run import evaluation_episodes
from unblind.sim.conditions import CONDITIONS, get
from unblind.sim.episodes import sample_ids

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
NAMES = [condition.name for condition in CONDITIONS]


def ids(episodes):
    return [episode.episode_id for episode in episodes]


def spread(episodes, factor):
    """How many times more the commonest value comes than the rarest that comes at all."""
    counts = Counter(getattr(episode, factor) for episode in episodes).values()
    return max(counts) - min(counts)


@pytest.fixture(scope="module")
def study():
    return load(FOLDER / "study.yaml")


@pytest.fixture(scope="module")
def drawn(study):
    return {name: evaluation_episodes(study, name, 0) for name in NAMES}


def test_the_first_episodes_are_mini_s_and_no_episode_comes_twice(drawn):
    mini = load(FOLDER / "mini.yaml")
    for name, episodes in drawn.items():
        of_mini = ids(evaluation_episodes(mini, name, 0))
        assert ids(episodes)[: len(of_mini)] == of_mini
        assert len(set(ids(episodes))) == len(episodes) == 64
        assert of_mini == sample_ids(name, len(of_mini), 0, get(name).split)


def test_every_value_of_a_factor_counts_about_the_same(drawn):
    """Of 16 objects each comes 3 to 6 times in 64 episodes, of 9 each 6 to 8 times."""
    for name, episodes in drawn.items():
        space = get(name).space(get(name).split)
        sizes = {
            "object_index": len(space.objects),
            "plate_index": len(space.plates),
            "table_index": len(space.tables),
            "template_index": len(space.templates),
            "texture_index": len(space.textures or [None]),
            "yaw_index": len(space.yaws_deg),
        }
        for factor, levels in sizes.items():
            assert len({getattr(episode, factor) for episode in episodes}) == levels
            assert spread(episodes, factor) <= 3, (name, factor)


def test_places_are_balanced_too_and_nothing_is_so_by_itself(drawn):
    evenly, at_random = Counter(), Counter()
    for name, episodes in drawn.items():
        plain = draw(name, 64, 0, "corrected", at_random=64)
        for factor in FACTORS:
            evenly[factor] += spread(episodes, factor)
            at_random[factor] += spread(plain, factor)
    assert all(evenly[factor] < 0.75 * at_random[factor] for factor in FACTORS), evenly


@pytest.mark.parametrize("name", ["in_distribution", "multi_plate", "ee_pose"])
def test_fewer_episodes_are_the_first_of_more(name):
    many = ids(draw(name, 40, 3, "corrected", 16))
    for n in (1, 16, 17, 31):
        assert ids(draw(name, n, 3, "corrected", 16)) == many[:n]
    assert ids(draw(name, 40, 4, "corrected", 16)) != many


def test_recipes_are_chosen_by_other_episodes_than_the_tables():
    """The study's file says which; the purposes' lists are disjoint whatever the seed."""
    mini = load(FOLDER / "mini.yaml")
    chosen_by = load(FOLDER / "mini.yaml", {"rollout.purpose": "validation"})
    for name in ("in_distribution", "multi_carrot"):
        tables = {i for seed in range(3) for i in ids(evaluation_episodes(mini, name, seed))}
        validation = ids(evaluation_episodes(chosen_by, name, 0))
        assert validation == ids(draw(name, len(validation), 0, "corrected", 99, "validation"))
        assert not tables & set(validation)


def test_other_scales_draw_at_random():
    paper = load(FOLDER / "paper.yaml")
    for name in ("in_distribution", "plate"):
        wanted = sample_ids(name, 128, 4, get(name).split)
        assert ids(evaluation_episodes(paper, name, 4)) == wanted
