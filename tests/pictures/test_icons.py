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


def test_colour_and_place_of_a_scene_are_those_of_its_picture():
    checked = 0
    for number in range(150):
        drawing = icons.draw([7, number])
        assert drawing.image.shape == (96, 128, 3)
        assert drawing.image.dtype == np.uint8
        for thing in drawing.scene.things:
            if thing.name not in ("square", "circle", "cross", "hexagon", "star"):
                continue
            row, column = (round(f * n - 0.5) for f, n in zip(thing.place, (96, 128), strict=True))
            pixel = drawing.image[row, column].astype(int)
            assert np.abs(pixel - PENS[thing.color]).max() < 12
            checked += 1
    assert checked > 30


def test_drawings_lie_inside_and_apart():
    for number in range(100):
        things = icons.draw([1, number]).scene.things
        assert 1 <= len(things) <= 4
        places = np.array([thing.place for thing in things]) * (96, 128)
        assert (places > 11).all()
        assert (places < np.array([96, 128]) - 11).all()
        gaps = np.abs(places[:, None] - places[None]).max(-1) + 1e3 * np.eye(len(things))
        assert gaps.min() >= 22


def test_all_that_can_be_drawn_is_drawn():
    seen = {t.name for number in range(700) for t in icons.draw([2, number]).scene.things}
    assert seen == {name for names in icons.NAMES.values() for name in names}


def test_a_drawing_depends_on_its_seed_alone():
    first = icons.draw([3, 1])
    icons.draw([3, 2])
    again = icons.draw([3, 1])
    assert first.image.tobytes() == again.image.tobytes()
    assert first.scene == again.scene
    assert icons.draw([3, 2]).image.tobytes() != first.image.tobytes()
