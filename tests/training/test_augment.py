"""Augmentation against the standard library's colour conversions and hand-computed pictures."""

import colorsys
import math

import numpy as np
import pytest
import torch
from commands import ROOT

from unblind.config import load
from unblind.training import augment

HOW = load(ROOT / "workflow" / "config" / "paper.yaml").training.augmentation
#: No change: the crop is the whole picture and all colour draws lie in the middle.
NONE = HOW.model_copy(update={"crop_area": 1.0})
MIDDLE = np.full((1, augment.DRAWS), 0.5, np.float32)


def colors(count=200, seed=0):
    """Return (1, 3, count, 1) colours, greys and pure ones among them."""
    values = np.random.default_rng(seed).random((count, 3), np.float32)
    values[:4] = [[0.3, 0.3, 0.3], [0, 0, 0], [1, 0, 0], [0.2, 0.9, 0.9]]
    return torch.from_numpy(values.T.copy())[None, :, :, None]


def by_hsv(pictures, change):
    """Apply a change of (h, s, v) to each colour with `colorsys`."""
    rows = pictures[0, :, :, 0].T.tolist()
    changed = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*row))) for row in rows]
    return torch.tensor(changed).T[None, :, :, None]


def test_the_published_numbers():
    assert HOW.model_dump() == {
        "crop_area": 0.9,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
        "hue": 0.05,
    }


@pytest.mark.parametrize("factor", [0.0, 0.8, 1.0, 1.2, 5.0])
def test_saturation(factor):
    found = augment.saturate(colors(), torch.tensor(factor))
    wanted = by_hsv(colors(), lambda h, s, v: (h, min(s * factor, 1), v))
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)


@pytest.mark.parametrize("turn", [-0.05, 0.0, 0.02, 0.5])
def test_hue(turn):
    found = augment.turn_hue(colors(), torch.tensor(turn))
    wanted = by_hsv(colors(), lambda h, s, v: ((h + turn) % 1, s, v))
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)


def test_the_crop_of_a_ramp_is_a_shorter_ramp():
    """Bilinear resizing keeps a linear picture linear, so its ends tell the square's place."""
    size, side = 224, math.sqrt(0.9)
    ramp = torch.linspace(0, 1, size)
    picture = torch.stack([ramp.expand(size, size), ramp[:, None].expand(size, size)])
    picture = torch.cat([picture, picture[:1]])[None]
    found = augment.crop(picture, torch.tensor([0.25]), torch.tensor([1.0]), 0.9)
    across, down = found[0, 0, 7], found[0, 1, :, 7]
    assert across[[0, -1]].tolist() == pytest.approx([1 - side, 1], abs=1e-5)
    assert down[[0, -1]].tolist() == pytest.approx(
        [0.25 * (1 - side), 0.25 + 0.75 * side], abs=1e-5
    )
    torch.testing.assert_close(
        across.diff(), torch.full((size - 1,), side / (size - 1)), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    ("place", "number", "wanted"),
    [
        (2, 1.0, lambda x: x + 0.2),
        (2, 0.0, lambda x: x - 0.2),
        (3, 1.0, lambda x: (x - x.mean((2, 3), keepdim=True)) * 1.2 + x.mean((2, 3), keepdim=True)),
    ],
)
def test_brightness_and_contrast(place, number, wanted):
    picture = 0.25 + 0.5 * torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    numbers = MIDDLE.copy()
    numbers[0, place] = number
    found = augment.augment(picture, numbers, NONE)
    torch.testing.assert_close(found, wanted(picture), atol=1 / 255, rtol=0)


def test_bytes_stay_bytes_and_the_middle_changes_nothing():
    rng = np.random.default_rng(0)
    picture = torch.from_numpy(rng.integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)).float() / 255
    torch.testing.assert_close(augment.augment(picture, MIDDLE, NONE), picture, atol=1e-6, rtol=0)
    found = 255 * augment.augment(picture, augment.draws(0, [3]), HOW)
    torch.testing.assert_close(found, found.round(), atol=1e-3, rtol=0)
    assert found.min() >= 0 and found.max() <= 255


def test_place_and_seed_alone_decide():
    alone, together = augment.draws(5, [7]), augment.draws(5, [6, 7, 8])
    assert np.array_equal(alone[0], together[1])
    assert not np.array_equal(together[0], together[1])
    assert not np.array_equal(alone, augment.draws(6, [7]))
    assert together.shape == (3, 6) and together.dtype == np.float32


def test_the_release_crops_on_the_diagonal_and_draws_the_colours_apart():
    free, numbers = augment.draws(5, [6, 7]), augment.draws(5, [6, 7], diagonal=True)
    assert np.array_equal(numbers[:, 0], numbers[:, 1]) and (free[:, 0] != free[:, 1]).all()
    assert np.array_equal(np.delete(numbers, 1, axis=1), np.delete(free, 1, axis=1))


def test_pictures_of_a_batch_do_not_touch_each_other():
    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    numbers = augment.draws(0, [0, 1, 2])
    whole = augment.augment(pictures, numbers, HOW)
    for row in range(3):
        one = augment.augment(pictures[row : row + 1], numbers[row : row + 1], HOW)
        assert torch.equal(one[0], whole[row])
