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


def spread(episodes, factor, levels):
    """How many times more the commonest value comes than the rarest of ``levels``."""
    counts = Counter(getattr(episode, factor) for episode in episodes)
    return max(counts.values()) - (min(counts.values()) if len(counts) == levels else 0)


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
    """Sixty-four episodes of, say, 16 objects: four of each, give or take one or two.

    The first 16, drawn at random, may hold a value more often than its share; that is kept.
    """
    for name, episodes in drawn.items():
        space = get(name).space(get(name).split)
        sizes = {
            "object_index": len(space.objects),
            "plate_index": len(space.plates),
            "table_index": len(space.tables),
            "template_index": len(space.templates),
            "yaw_index": len(space.yaws_deg),
        }
        if space.textures:
            sizes["texture_index"] = len(space.textures)
        first = episodes[: 32 if name == "in_distribution" else 16]
        for factor, levels in sizes.items():
            most = max(Counter(getattr(episode, factor) for episode in first).values())
            allowed = max(2, most - 64 // levels + 1)
            assert spread(episodes, factor, levels) <= allowed, (name, factor)


def test_at_random_the_counts_differ_more(drawn):
    """What is balanced is not so by itself."""
    together, at_random = 0, 0
    for name, episodes in drawn.items():
        plain = draw(name, 64, 0, "corrected", at_random=64)
        for factor in FACTORS:
            together += max(Counter(getattr(e, factor) for e in episodes).values())
            at_random += max(Counter(getattr(e, factor) for e in plain).values())
    assert together < 0.8 * at_random


@pytest.mark.parametrize("name", ["in_distribution", "multi_plate", "ee_pose"])
def test_fewer_episodes_are_the_first_of_more(name):
    many = ids(draw(name, 40, 3, "corrected", 16))
    for n in (1, 16, 17, 31):
        assert ids(draw(name, n, 3, "corrected", 16)) == many[:n]
    assert ids(draw(name, 40, 4, "corrected", 16)) != many


def test_other_scales_draw_at_random():
    paper = load(FOLDER / "paper.yaml")
    for name in ("in_distribution", "plate"):
        wanted = sample_ids(name, 128, 4, get(name).split)
        assert ids(evaluation_episodes(paper, name, 4)) == wanted
