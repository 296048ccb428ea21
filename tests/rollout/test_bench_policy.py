"""Where the time of a rollout goes, told with a clock of our own."""

from collections import Counter

import models
import numpy as np
import pytest
import torch

from unblind.config import load
from unblind.rollout import bench_policy, worker
from unblind.rollout.policies import NoopPolicy
from unblind.sim.episodes import decode
from unblind.sim.success import Milestones
from unblind.vla import checkpoint
from unblind.vla.pixels import Squeezed
from unblind.vla.text import Words


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose only number is the CPU time in seconds."""
    now = [0.0]
    monkeypatch.setattr(bench_policy.time, "process_time", lambda: now[0])
    return now


@pytest.fixture
def config(request):
    return load(request.config.rootpath / "workflow" / "config" / "smoke.yaml")


def test_a_ledger_charges_the_innermost_part(clock):
    ledger = bench_policy.Ledger()
    clock[0] = 1
    with ledger.on("physics"):
        clock[0] = 3
        with ledger.on("rendering"):
            clock[0] = 7
        clock[0] = 8
    clock[0] = 16
    assert ledger.take() == {"other": 9, "physics": 3, "rendering": 4}
    clock[0] = 17
    assert ledger.take() == {"other": 1}


def test_scenes_tell_resets_physics_and_rendering_apart(config, clock, monkeypatch):
    class Env:
        def get_obs(self):
            clock[0] += 2
            return {"image": torch.zeros(1, 3, 4, 3, dtype=torch.uint8)}

        def reset(self, options):
            clock[0] += 5
            return self.get_obs(), {"success": False, **Milestones().to_info()}

        def step(self, action):
            clock[0] += 10
            return self.get_obs(), 0, False, False, {"success": True, **Milestones().to_info()}

    monkeypatch.setattr(worker.Scenes, "_build", lambda self, episode: Env())
    scenes = bench_policy.TimedScenes(worker.Setup(config, images=True, oracle=False))
    scenes.reset(0, decode("in_distribution", 0))
    assert scenes.step(0, np.zeros(7)).success
    scenes.step(0, np.zeros(7))
    clock[0] += 3
    wanted = {"resets": 5, "physics": 20, "rendering": 6, "other": 3}
    assert scenes.spent(0, None) == wanted


def test_shares_are_of_all_cores():
    spent = Counter(policy=3.0, physics=2.0, rendering=1.0, resets=0.5, other=0.5)
    found = bench_policy.as_shares(spent, 10.0)
    assert found["policy"] == 0.3 and found["idle"] == pytest.approx(0.3)
    assert sum(found.values()) == pytest.approx(1)
    assert bench_policy.as_shares(spent, 6.0)["idle"] == 0


def test_a_rollout_of_the_real_environment_is_accounted_for(config, renderer, monkeypatch):
    monkeypatch.setattr(bench_policy, "_EPISODES", 2)
    monkeypatch.setattr(bench_policy, "_STEPS", 3)
    found = bench_policy.shares(config, NoopPolicy(), n_workers=1, rounds=1)
    parts = [found[part] for part in (*bench_policy.PARTS, "other", "idle")]
    assert sum(parts) == pytest.approx(1, abs=0.01)
    assert found["physics"] > 0 and found["resets"] > 0 and 1 <= found["cores"] <= 2


def test_the_policy_is_timed_at_all_batch_sizes():
    vocabulary = Words.build([*models.WORDS, "In: What action should the robot take to"])
    model = models.small(vocab_size=vocabulary.size)
    statistics = {"none": models.STATISTICS.to_release()}
    loaded = checkpoint.Checkpoint(model, vocabulary, Squeezed(64), statistics, None)
    images = np.random.default_rng(0).integers(0, 256, (16, 48, 64, 3), np.uint8)
    found = bench_policy.milliseconds(loaded, images, "put carrot on plate", rounds=1)
    assert [found[f"batch_{size}_ms"] > 0 for size in (1, 8, 16)] == [True] * 3
    assert found["batch_8_ms_an_episode"] == pytest.approx(found["batch_8_ms"] / 8, abs=0.02)
