"""Flat drawings and the strokes they consist of."""

import numpy as np
import pytest

from unblind.pictures import icons
from unblind.pictures.pictograms import COLORED, FIXED, PENS, SIDE, sketch
from unblind.pictures.scenes import COLORS


def test_there_are_the_kinds_and_names_of_the_study_boards():
    assert {kind: len(names) for kind, names in icons.NAMES.items()} == {
        "shape": 13, "number": 10, "arrow": 4, "icon": 26, "sign": 27,
    }  # fmt: skip
    assert len({name for names in icons.NAMES.values() for name in names}) == 80
    assert set(COLORS) < set(PENS)


@pytest.mark.parametrize("kind", ["shape", "number", "arrow"])
def test_drawings_of_a_choice_are_in_that_colour(kind):
    for strokes in COLORED[kind].values():
        pad = sketch(strokes, "blue")
        full = pad[pad[..., 3] == 255]
        assert len(full) > 0.06 * SIDE**2
        assert (full[:, :3] == PENS["blue"]).all()


def test_no_two_drawings_look_alike():
    pads = [
        (name, sketch(strokes).astype(float))
        for group in (*COLORED.values(), *FIXED.values())
        for name, strokes in group.items()
    ]
    for k, (name, pad) in enumerate(pads):
        for other, their in pads[:k]:
            assert np.abs(pad - their).mean() > 0.9, (name, other)


@pytest.mark.parametrize(
    ("name", "axis", "side"),
    [("arrow left", 0, 0), ("arrow right", 0, 1), ("arrow up", 1, 0), ("arrow down", 1, 1)],
)
def test_arrows_are_widest_on_the_side_that_they_point_to(name, axis, side):
    widths = (sketch(COLORED["arrow"][name])[..., 3] > 128).sum(axis)
    assert (widths.argmax() > SIDE / 2) == side
    assert (sketch(COLORED["arrow"][name])[..., 3] > 128).sum(1 - axis).argmax() in range(48, 80)


def test_a_ground_depends_on_its_seed_alone_and_a_faint_drawing_gets_a_board():
    one, same, other = (icons.ground(np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    rng, like = np.random.default_rng(0), np.full((9, 9, 3), PENS["red"], float)
    assert all(icons.needs_board("shape", "red", like, rng) for _ in range(20))
    boards = [icons.needs_board("sign", None, like, rng) for _ in range(200)]
    assert 40 < sum(boards) < 120
