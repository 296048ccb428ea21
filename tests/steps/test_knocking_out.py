"""The closed loop with the target hidden: which tokens, which layers, and the records."""

from pathlib import Path

import commands
import models
import numpy as np
import pandas as pd
import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.rollout.factory import ScenePolicy
from unblind.rollout.policies import Observation
from unblind.rollout.run import evaluation_episodes
from unblind.steps import knocking_out
from unblind.steps.knocking_out import VARIANTS, KnockoutPolicy, hidden_tokens
from unblind.study import jobs, provenance
from unblind.vla import checkpoint
from unblind.vla.policy import Policy


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A study in the working folder with a small base."""
    monkeypatch.chdir(tmp_path)
    changes = {"rebuild_base": True, "results": "results", "rollout.max_steps": 3}
    config = load(commands.SMOKE, changes)
    base = jobs.base_folder(config)
    checkpoint.save(base, models.small(), models.VOCABULARY, models.STATISTICS.to_json())
    return config


def seen(config, name, number=0, step=0):
    """Return an observation whose target is in the left upper corner: 2 x 2 of 4 x 4 tokens."""
    episode = knocking_out.knockout_episodes(config, name, 0)[number]
    target = np.zeros((48, 64), bool)
    target[2:14, 3:18] = True
    image = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return Observation(episode, step, image, target)


@pytest.mark.parametrize(
    ("depth", "first", "second"), [(2, [1], [2]), (5, [1, 2, 3], [4, 5]), (6, [1, 2, 3], [4, 5, 6])]
)
def test_halves_share_the_layers(depth, first, second):
    layers = range(1, depth + 1)
    held = {name: [n for n in layers if v.holds(n, depth)] for name, v in VARIANTS.items()}
    assert held["target"] == held["elsewhere"] == [*layers]
    assert (held["target_first_half"], held["target_second_half"]) == (first, second)


def test_tokens_that_show_the_target_are_hidden_or_as_many_others(config):
    target = np.zeros((4, 4), bool)
    target[:2, :2] = True  # rows of 12 and columns of 16 pixels: both are crossed
    some = [seen(config, name) for name in VARIANTS]
    hidden = dict(zip(VARIANTS, hidden_tokens(some, 4, 2).numpy(), strict=True))
    assert not hidden["nothing"].any()
    assert (hidden["target"] == target.ravel()).all()
    assert (hidden["target_first_half"][0] == target.ravel()).all()
    assert not hidden["target_first_half"][1].any()
    assert (hidden["target_second_half"] == hidden["target_first_half"][::-1]).all()
    others = hidden["elsewhere"]
    assert (others.sum(1) == 4).all() and not (others & target.ravel()).any()
    again = hidden_tokens([seen(config, "elsewhere", step=5)], 4, 2)[0].numpy()
    assert (again == others).all(), "the episode decides"
    another = hidden_tokens([seen(config, "elsewhere", 1)], 4, 2)[0].numpy()
    assert (another != others).any()


def test_scenes_of_a_batch_do_not_see_each_others_masks(config):
    loaded = models.loaded()
    own, plain = KnockoutPolicy(Policy(loaded), 0), ScenePolicy(Policy(loaded), 0)
    some = [seen(config, name, number) for number in (0, 1) for name in VARIANTS]
    assert len(some) == 10, "more than a batch"
    together = own.act(some)
    assert together.dtype == np.float32 and together.shape == (10, 7)
    for one, action in zip(some, together, strict=True):
        assert (own.act([one])[0] == action).all()
    assert (together[[0, 5]] == plain.act([some[0], some[5]])).all()


def test_what_is_none_is_refused(config):
    with pytest.raises(UnblindError, match="'left' is no knockout") as caught:
        knocking_out.knock_out(config, "base", 0, Path("out"), ["left"], 1)
    assert "target_first_half" in caught.value.remedy
    with pytest.raises(UnblindError, match="nothing to do for run 'oracle'"):
        knocking_out.knock_out(config, "oracle", 0, Path("out"), None, 1)


def test_records_hold_the_same_episodes_with_the_simulator_s_masks(config, monkeypatch):
    """The real simulator, two episodes of three steps, with nothing and with the target hidden."""
    masks = []

    def watched(some, grid, layers):
        masks.extend(one.target for one in some)
        return hidden_tokens(some, grid, layers)

    monkeypatch.setattr(knocking_out, "hidden_tokens", watched)
    job = jobs.Job(config, "knockout", "base", 0)
    out = job.outputs[0].parent
    knocking_out.knock_out(config, "base", 0, out, ["nothing", "target"], 1)
    assert [path.stem for path in sorted(out.glob("*.parquet"))] == ["nothing", "target"]
    wanted = [e.episode_id for e in evaluation_episodes(config, "in_distribution", 0)]
    for name in ("nothing", "target"):
        frame = pd.read_parquet(out / f"{name}.parquet")
        assert list(frame["episode_id"]) == wanted and set(frame["hidden"]) == {name}
        assert set(frame["condition"]) == {"in_distribution"} and set(frame["steps"]) == {3}
        assert provenance.is_current(out / f"{name}.parquet", **vars(job.origin))
    assert len(masks) == 2 * 2 * 3
    shares = [mask.mean() for mask in masks]
    assert {mask.shape for mask in masks} == {(48, 64)} and 0 < max(shares) < 0.1
