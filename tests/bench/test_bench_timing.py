"""Calls that take turns, the simulator's steps, and the policy's batches."""

import models
import numpy as np
import pytest

from unblind.bench import policy, timing
from unblind.config import load
from unblind.vla import checkpoint
from unblind.vla.pixels import Squeezed
from unblind.vla.text import Words


def test_calls_take_turns_and_only_they_are_timed():
    now, order = [0.0], []

    def work(name, seconds):
        order.append(name)
        now[0] += seconds

    calls = {"slow": lambda: work("slow", 0.4), "fast": lambda: work("fast", 0.1)}
    before = {name: lambda: work("reset", 7) for name in calls}
    took = timing.turns(calls, 2, 3, clock=lambda: now[0], before=before)
    assert took == {"slow": pytest.approx([400] * 3), "fast": pytest.approx([100] * 3)}
    assert order == ["reset", "slow", "slow", "reset", "fast", "fast"] * 3


def test_the_first_round_always_takes_place():
    took = timing.turns({"call": lambda: None}, 1, 5, end=0.0)
    assert len(took["call"]) == 1
    assert len(timing.turns({"call": lambda: None}, 1, 5)["call"]) == 5


def test_the_simulator_is_compared_with_bare_sapien_and_the_released_layout(
    renderer, request, monkeypatch
):
    from unblind.bench import simulator

    monkeypatch.setattr(simulator, "_STEPS", 2)
    monkeypatch.setattr(simulator, "_ROUNDS", 1)
    config = load(request.config.rootpath / "workflow" / "config" / "smoke.yaml")
    figures = simulator._compare(config, 64, "minimal", "rgb")
    assert figures["steps_per_cpu_s"] == pytest.approx(1000 / figures["ours_ms"], rel=0.01)
    ratio = figures["bare_ms"] / figures["ours_ms"]
    assert figures["to_bare_sapien"] == pytest.approx(ratio, abs=0.01)
    assert figures["released_ms"] > figures["bare_ms"] > 0


def test_the_policy_is_timed_at_all_batch_sizes():
    vocabulary = Words.build([*models.WORDS, "In: What action should the robot take to"])
    model = models.small(vocab_size=vocabulary.size)
    statistics = {"none": models.STATISTICS.to_release()}
    loaded = checkpoint.Checkpoint(model, vocabulary, Squeezed(64), statistics, None)
    images = np.random.default_rng(0).integers(0, 256, (16, 48, 64, 3), np.uint8)
    figures = policy.milliseconds(loaded, images, "put carrot on plate", rounds=1)
    assert min(figures[f"batch_{size}_ms"] for size in (1, 8, 16)) > 0
    each = figures["batch_8_ms"] / 8
    assert figures["batch_8_ms_an_episode"] == pytest.approx(each, abs=0.02)
