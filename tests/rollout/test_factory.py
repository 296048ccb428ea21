"""Who acts in a run: scripted policies by name, models with what the run has trained."""

from dataclasses import replace

import commands
import numpy as np
import pytest
import synthetic

from unblind.config import Run, load
from unblind.errors import UnblindError
from unblind.rollout.factory import ScenePolicy, make_policy
from unblind.rollout.policies import NoopPolicy, Observation
from unblind.sim.episodes import decode
from unblind.study import jobs
from unblind.vla import checkpoint
from unblind.vla.decode import Sampling
from unblind.vla.policy import Policy

INSTRUCTIONS = ("put carrot on plate", "put cube on plate", "put the plate on the robot")


@pytest.fixture
def config(tmp_path):
    return load(commands.SMOKE, {"results": str(tmp_path), "rebuild_base": True})


@pytest.fixture
def observations():
    coarse = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 3), dtype=np.uint8)
    episode = decode("in_distribution", 0)
    return [
        Observation(replace(episode, instruction=text), step, image.repeat(8, 0).repeat(8, 1))
        for step, (text, image) in enumerate(zip(INSTRUCTIONS, coarse, strict=True))
    ]


def test_scripted_policies_need_no_model(config, observations):
    assert make_policy(config, "oracle", 0) is None, "it acts in the workers"
    assert isinstance(make_policy(config, "noop", 0), NoopPolicy)
    first, other = (make_policy(config, "random", n).act(observations) for n in (0, 1))
    assert (first != other).any()


def test_a_run_without_a_method_acts_as_the_base(config, observations):
    synthetic.tiny_base(jobs.rebuilt(config))
    policy = make_policy(config, "base", 0)
    assert policy.needs_images
    sampling = Sampling(config.rollout.temperature)
    model = Policy(checkpoint.load(jobs.rebuilt(config)), sampling=sampling, width=16)
    images = np.stack([seen.image for seen in observations])
    keys = [(0, seen.episode.episode_id, seen.step) for seen in observations]
    assert policy.act(observations).tobytes() == model.act(images, INSTRUCTIONS, keys).tobytes()


def test_what_acts_behind_a_socket_is_not_replaced_by_the_base(config):
    served = {"policy": "served", "label": "Theirs", "method": None}
    others = config.model_copy(update={"runs": {"theirs": Run.model_validate(served)}})
    with pytest.raises(UnblindError, match="acts behind a socket"):
        make_policy(others, "theirs", 0)


def test_sampled_actions_have_a_stream_for_each_seed_episode_and_step(observations):
    class Keys:
        def act(self, images, instructions, keys):
            return keys

    number = observations[0].episode.episode_id
    keys = ScenePolicy(Keys(), seed=7).act(observations)
    assert keys == [(7, number, 0), (7, number, 1), (7, number, 2)]


def test_unknown_runs_and_missing_adapters_are_refused(config):
    synthetic.tiny_base(jobs.rebuilt(config))
    with pytest.raises(UnblindError, match="unknown run 'vla'"):
        make_policy(config, "vla", 0)
    with pytest.raises(UnblindError, match="missing or incomplete"):
        make_policy(config, "default", 0)
