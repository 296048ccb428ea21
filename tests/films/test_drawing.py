"""Boards of panels, marks, maps over pictures, and text that fits."""

import matplotlib
import numpy as np
import pytest

from unblind.films import drawing
from unblind.films.drawing import LOST, WON, Board, Shown

SIZE = (200, 150)


def panel(shade, won=False):
    return Shown(np.full((SIZE[1], SIZE[0], 3), shade, np.uint8), "step 3 of 80", won)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_board_shows_its_panels_side_by_side(count):
    board = Board("put carrot on plate", ["Default", "Align", "Freeze", "Base"][:count], SIZE)
    shades = [40, 90, 140, 210][:count]
    picture = board.picture([panel(shade) for shade in shades])
    height, width, _ = picture.shape
    assert (width, height) == board.size and width % 2 == height % 2 == 0
    middle = picture[height - SIZE[1] // 2]  # a row of pixels through all the panels
    found = [value for value in middle[:, 0].tolist() if value in shades]
    assert [found.count(shade) for shade in shades] == [SIZE[0]] * count
    assert found == sorted(found)
    assert (picture[:20] < 100).any(), "the instruction is written on top"


def test_a_success_is_marked_in_its_panel_alone():
    board = Board("put carrot on plate", ["Default", "Align"], SIZE)
    picture = board.picture([panel(100), panel(100, won=True)])
    green = (picture == WON).all(-1)
    left, right = np.array_split(green, 2, axis=1)
    assert not left.any() and right.sum() > 2 * sum(SIZE)
    assert (picture == LOST).all(-1).any(), "the other panel has a border, too"


def test_what_stays_is_drawn_anew_in_no_picture():
    board = Board("put carrot on plate", ["Default"], SIZE, top=7.0, layer=3)
    first = board.picture([panel(100, won=True)])
    assert (board.picture([panel(100)]) != first).any()
    assert (board.picture([panel(100, won=True)]) == first).all()


def test_a_map_covers_a_picture_in_the_colours_of_the_figure():
    picture = np.full((40, 60, 3), 100, np.uint8)
    shown = drawing.covered(picture, np.array([[0.0, 2.0], [4.0, 9.0]]), 4.0)
    viridis = matplotlib.colormaps["viridis"]
    for place, share in (((5, 5), 0.0), ((5, 50), 0.5), ((35, 5), 1.0), ((35, 50), 1.0)):
        cover = 0.65 * share**0.5
        expected = (1 - cover) * 100 + cover * np.array(viridis(share, bytes=True)[:3])
        assert shown[place] == pytest.approx(expected, abs=1)


def test_text_is_wrapped_and_cut_to_its_room():
    face = drawing.font(14)
    text = "put the small green carrot on the large yellow plate"
    lines = drawing.wrapped(text, face, 120)
    assert " ".join(lines) == text and len(lines) > 2
    assert all(face.getlength(line) <= 120 for line in lines)
    cut = drawing.fitted(text, face, 120)
    assert cut.endswith("...") and text.startswith(cut[:-3])
    assert face.getlength(cut) <= 120
    assert drawing.fitted("put", face, 120) == "put"
