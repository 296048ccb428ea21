"""Acting again is the rollout once more: the same pictures, actions and success."""

import commands
import numpy as np
import pytest
import sizes
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.films import acting
from unblind.films.acting import Actor
from unblind.films.sparing import SparingPolicy
from unblind.report.records import load_cell
from unblind.rollout import run
from unblind.rollout.policies import HOLD
from unblind.rollout.worker import Scenes, Setup
from unblind.sim.episodes import decode
from unblind.study import jobs


class Onlooker:
    """Stands still and remembers what it saw."""

    needs_images = True

    def __init__(self):
        self.seen = []

    def act(self, observations):
        self.seen += [o.image for o in observations]
        return np.tile(HOLD, (len(observations), 1))


class Recorder:
    """Acts as a policy does, and remembers how, by episode id."""

    needs_images = True

    def __init__(self, policy):
        self.done, self._policy = {}, policy

    def act(self, observations):
        actions = self._policy.act(observations)
        for seen, action in zip(observations, actions, strict=True):
            self.done.setdefault(seen.episode.episode_id, []).append(action)
        return actions


def test_a_policy_sees_pictures_of_evaluation(renderer):
    config, onlooker, steps = load(commands.SMOKE, {"rollout.max_steps": 2}), Onlooker(), []
    episodes = [decode("in_distribution", number) for number in (5, 6)]
    takes = acting.act(config, Actor("noop", "", 0, onlooker), episodes, steps.append)
    assert [image.shape for image in onlooker.seen] == [(48, 64, 3)] * 4
    assert all(image.std() > 10 for image in onlooker.seen)
    assert steps == [0, 2, 2]
    assert [take.episode for take in takes] == episodes
    for number, take in enumerate(takes):
        assert take.pictures.shape == (3, 48, 64, 3) and len(take.successes) == 3
        seen = onlooker.seen[number::2]
        assert all((a == b).all() for a, b in zip(seen, take.pictures, strict=False))
        assert (take.actions == HOLD).all() and not take.success
    larger = acting.show_again(config, takes[0], (128, 96))
    assert larger.shape == (3, 96, 128, 3)
    near = larger.reshape(3, 48, 2, 64, 2, 3).mean((2, 4)) - takes[0].pictures
    assert np.abs(near).mean() < 8


def test_a_model_acts_as_in_its_rollout(renderer, tmp_path, monkeypatch):
    changes = {"results": str(tmp_path), "rebuild_base": True, "rollout.max_steps": 5}
    config = load(commands.SMOKE, {**sizes.episodes(2), **changes})
    synthetic.tiny_base(jobs.rebuilt(config))
    make_policy, made = run.make_policy, []

    def recorded(*words):
        made.append(Recorder(make_policy(*words)))
        return made[-1]

    monkeypatch.setattr(run, "make_policy", recorded)
    folder = tmp_path / "rollouts"
    run.rollout(config, "base", 0, folder / "base" / "0", ["carrot"], 1)
    frame, _ = load_cell(config, "base", 0, "carrot", folder)
    who = acting.actor(config, "base", 0)
    assert isinstance(who.policy, SparingPolicy) and who.model is not None
    for episode, success in zip(
        run.evaluation_episodes(config, "carrot", 0), frame["success_final"], strict=True
    ):
        (take,) = acting.act(config, who, [episode])
        assert take.success == success
        assert take.actions.tobytes() == np.array(made[0].done[episode.episode_id]).tobytes()


def test_the_planner_succeeds_as_in_its_rollout(renderer):
    config = load(commands.SMOKE)
    episode = run.evaluation_episodes(config, "in_distribution", 0)[0]
    scenes = Scenes(Setup(config, images=False, oracle=True))
    scenes.reset(0, episode)
    replies = [scenes.step(0, None) for _ in range(config.rollout.max_steps)]
    (take,) = acting.act(config, acting.actor(config, "oracle", 0), [episode])
    assert take.successes[1:].tolist() == [reply.success for reply in replies]
    assert take.success


def test_who_cannot_act_is_refused(tmp_path):
    config = load(commands.SMOKE, {"results": str(tmp_path), "rebuild_base": True})
    acting.check(config, ["oracle", "random", "noop"], 0)
    with pytest.raises(UnblindError, match="unknown run 'defualt', did you mean 'default'"):
        acting.check(config, ["defualt"], 0)
    with pytest.raises(UnblindError, match="no base in"):
        acting.check(config, ["noop", "default"], 0)
