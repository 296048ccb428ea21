"""A narrow batch decides what a wide one would, or the wide one is computed."""

from dataclasses import replace

import models
import numpy as np
import pytest

from unblind.films import sparing
from unblind.films.sparing import SparingPolicy
from unblind.rollout.factory import ScenePolicy
from unblind.rollout.policies import Observation
from unblind.sim.episodes import decode
from unblind.vla.decode import Sampling
from unblind.vla.policy import Policy


@pytest.fixture(scope="module")
def policy():
    return Policy(models.loaded(), sampling=Sampling(0.6), width=16)


@pytest.fixture(scope="module")
def observations():
    coarse = np.random.default_rng(0).integers(0, 256, (12, 12, 16, 3), dtype=np.uint8)
    episode = replace(decode("in_distribution", 3), instruction="put cube on plate")
    return [
        Observation(episode, step, image.repeat(8, 0).repeat(8, 1))
        for step, image in enumerate(coarse)
    ]


def one_by_one(policy, observations):
    return np.concatenate([policy.act([seen]) for seen in observations])


@pytest.fixture
def wide(monkeypatch):
    """Return the sizes of batches that were computed as in evaluations."""
    seen, act = [], ScenePolicy.act

    def noted(self, observations):
        seen.append(len(observations))
        return act(self, observations)

    monkeypatch.setattr(ScenePolicy, "act", noted)
    return seen


def test_actions_are_those_of_the_evaluation(policy, observations, wide):
    expected = ScenePolicy(policy, 7).act(observations)
    wide.clear()
    found = one_by_one(SparingPolicy(policy, 7, 0.6), observations)
    assert found.tobytes() == expected.tobytes()
    assert len(wide) <= 2, "nearly all are decided by the narrow batch"
    assert len(np.unique(expected, axis=0)) > 6
    assert (ScenePolicy(policy, 8).act(observations) != expected).any()


def test_where_the_margin_matters_the_whole_batch_decides(policy, observations, wide, monkeypatch):
    monkeypatch.setattr(sparing, "MARGIN", 0.4)
    some = observations[:3]
    expected = ScenePolicy(policy, 7).act(some)
    wide.clear()
    assert SparingPolicy(policy, 7, 0.6).act(some).tobytes() == expected.tobytes()
    assert wide == [1, 1, 1]


@pytest.mark.parametrize(("temperature", "count"), [(None, 2), (0.6, sparing.FEW + 1)])
def test_many_scenes_and_greedy_choices_are_computed_as_ever(
    observations, wide, temperature, count
):
    sampling = temperature and Sampling(temperature)
    own = Policy(models.loaded(), sampling=sampling, width=16)
    found = SparingPolicy(own, 7, temperature).act(observations[:count])
    assert wide == [count] and found.shape == (count, 7)
