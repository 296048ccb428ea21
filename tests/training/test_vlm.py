"""What VLM pretraining asks of a picture, and when."""

import numpy as np
import pytest
import torch

from unblind.pictures.scenes import Scene, Thing
from unblind.training import pretrain
from unblind.training.team import Team
from unblind.training.vlm import Reading

SCENE = Scene(
    (
        Thing("star", "shape", (0.3, 0.7), "red"),
        Thing("arrow", "shape", (0.6, 0.2), "blue"),
        Thing("carrot", "object", (0.5, 0.4), on="plate"),
        Thing("plate", "plate", (0.52, 0.41)),
    )
)


NAMES = {
    "shape": [["star", "arrow", "cross"]],
    "object": [["carrot", "spoon"]],
    "plate": [["plate", "cloth"]],
}


class Pictures:
    """An album of two pictures that show one scene."""

    def __init__(self):
        self.scenes, self.names = [SCENE, SCENE], NAMES

    def __len__(self):
        return len(self.scenes)

    def low(self, numbers):
        return torch.zeros(len(numbers), 1)


@pytest.fixture(scope="module")
def words():
    return pretrain.make_vocabulary()


@pytest.fixture
def feed(words):
    return Reading(Team(), Pictures(), words, batch=4, turns=12, reading_steps=3, seed=0)


def answers(feed, words, steps):
    told = set()
    for step in steps:
        batch = feed(step, 0).batch
        told |= {words.decode([token]) for token in batch.targets.tolist()}
    return told


def test_a_beginner_is_asked_nothing_that_is_answered_yes_or_no(feed, words):
    told = answers(feed, words, range(3))
    assert not told & {"yes", "no"}
    assert {"star", "carrot", "red"} <= told


def test_after_the_first_steps_both_answers_occur(feed, words):
    assert {"yes", "no", "star"} <= answers(feed, words, range(3, 9))


def test_a_picture_is_asked_anew_at_every_step_and_the_same_at_the_same_step(feed):
    first, again, later = feed(4, 0), feed(4, 0), feed(5, 0)
    assert torch.equal(first.batch.text.ids, again.batch.text.ids)
    assert first.batch.text.ids.shape != later.batch.text.ids.shape or not np.array_equal(
        first.batch.text.ids, later.batch.text.ids
    )


def test_no_picture_is_asked_more_questions_than_the_configuration_says(feed):
    branches = feed(7, 0).batch.text.branches
    assert 0 < int(branches.max()) < 12
