"""What robot pretraining sees: frames in several looks beside pictures, and their weights."""

import commands
import demonstrations
import models
import numpy as np
import pytest
import torch

from unblind import png
from unblind.config import load
from unblind.demos import shards
from unblind.training import data, robot
from unblind.training.frames import ActionWeights, Labelled
from unblind.training.team import Team
from unblind.vla.text import Words
from unblind.vla.tokens import ActionCodec, ActionTokenizer

WORDS = Words.build([*models.WORDS, data.HEIGHT_QUESTION, data.HOLD_QUESTION, "the where is"])
FRAMES = 2 * demonstrations.STEPS


@pytest.fixture(scope="module")
def config():
    return load(commands.SMOKE, {"demos.noop_filter": "none", "base.jittered_copies": 2})


@pytest.fixture(scope="module")
def labelled(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("robot") / "demos"
    return Labelled(demonstrations.write(folder, config, train=2), "train", "none")


@pytest.fixture(scope="module")
def low(config, labelled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("low")
    return robot.write_low(models.loaded(), config, labelled, folder, Team())


# ---- looks ------------------------------------------------------------------------------------


def test_jitter_is_seeded_and_bounded():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    changed = [robot.jitter(image, np.random.default_rng(seed), 0.2) for seed in (1, 1, 2)]
    assert (changed[0] == changed[1]).all() and (changed[0] != changed[2]).any()
    # At most 20 % of contrast about 128, then 20 % of each colour; and one for rounding.
    value = image.astype(float)
    far = np.abs(value - 128) * 0.2 + (np.abs(value - 128) * 1.2 + 128) * 0.2 + 1
    assert (np.abs(changed[0].astype(float) - value) <= far).all()
    assert (robot.jitter(image, np.random.default_rng(0), 0.0) == image).all()


def test_a_frame_is_stored_as_it_is_and_with_other_colours(labelled, low):
    assert len(low) == FRAMES
    rows = low[[0, 20]]
    images = [data for one in shards.load(labelled.folder, "train") for data in one["images"]]
    same = np.stack([png.decode(images[row]) for row in (0, 20)])
    loaded = models.loaded()
    expected = loaded.model.vision_backbone.low(loaded.pixels.training(same))
    torch.testing.assert_close(torch.from_numpy(rows[:, 0]).float(), expected, rtol=2e-3, atol=2e-3)
    assert rows.shape[:2] == (2, 3) and rows.dtype == np.float16
    far = [np.abs(rows[:, a] - rows[:, b]).max() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(far) > 0.05


def test_what_an_interrupted_call_has_written_is_kept(config, labelled, low, tmp_path):
    path = tmp_path / "train-00000.npy"
    for _ in range(2):
        again = robot.write_low(models.loaded(), config, labelled, tmp_path, Team())
        np.testing.assert_array_equal(again[range(FRAMES)], low[range(FRAMES)])
        stamp = path.stat().st_mtime_ns
    robot.write_low(models.loaded(seed=1), config, labelled, tmp_path, Team())
    assert path.stat().st_mtime_ns == stamp


# ---- a step -----------------------------------------------------------------------------------


def acting(labelled, low, batch=6, seed=0):
    codec = ActionCodec(models.STATISTICS, ActionTokenizer(WORDS.size))
    demos = data.Demonstrations(labelled, WORDS, codec, ActionWeights(1, 1, 1), 1, seed)
    return robot.Acting(Team(), demos, low, batch, seed)


def test_the_parts_of_a_step_are_its_frames_in_some_look(labelled, low):
    feed = acting(labelled, low)
    stored, seen = low[range(FRAMES)].astype(np.float32), set()
    for step in range(6):
        parts = [feed(step, part) for part in (0, 1)]
        wanted = [feed.demos.rows(range(6 * step + part, 6 * step + 6, 2)) for part in (0, 1)]
        for inputs, rows in zip(parts, wanted, strict=True):
            for features, row in zip(inputs.low.numpy(), rows, strict=True):
                (look,) = (k for k in range(3) if (stored[row, k] == features).all())
                seen.add(look)
            first = inputs.batch.rows[inputs.batch.is_action].unique()
            assert len(first) == len(rows), "each has its action"
            assert not inputs.batch.is_action.all(), "and a question"
    assert seen == {0, 1, 2}
    assert sum(feed.counts) == 6


def test_a_step_depends_on_its_number_and_the_seed_alone(labelled, low):
    one, same, other = (acting(labelled, low, seed=seed)(3, 1) for seed in (0, 0, 1))
    assert torch.equal(one.low, same.low)
    assert torch.equal(one.batch.targets, same.batch.targets)
    assert not torch.equal(one.low, other.low)


def constant(value, **numbers):
    told = {name: torch.tensor(float(number)) for name, number in numbers.items()}
    return lambda step, part: (torch.tensor(float(value)), {"loss": torch.tensor(0.0)} | told)


def test_each_picture_weighs_the_same_in_whatever_part_it_is():
    mixture = robot.Mixture([(constant(1), [3, 2]), (constant(10), [0, 1])])
    parts = [mixture(0, part)[0].item() for part in (0, 1)]
    assert sum(parts) / 2 == pytest.approx((5 * 1 + 1 * 10) / 6)
    assert parts[0] == pytest.approx(3 / 3)


def test_a_mixture_tells_its_own_loss_and_what_each_share_knows():
    nan = float("nan")
    shares = [(constant(1, x=0.5, answers=0.2), [1, 1]), (constant(3, x=nan, answers=0.4), [0, 1])]
    alone, both = (robot.Mixture(shares)(0, part)[1] for part in (0, 1))
    assert alone.keys() == both.keys() == {"loss", "x", "answers"}
    assert {name: pytest.approx(v.item()) for name, v in both.items()} == {
        "loss": (1 + 3) / 1.5,
        "x": 0.5,
        "answers": 0.3,
    }
