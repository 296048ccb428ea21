"""Collages: portraits and drawings in styles, of which each name keeps one back."""

from collections import Counter

import numpy as np
import pytest

from unblind.pictures import collages, icons
from unblind.sim.builtin import BUILTIN

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def artist(renderer):
    from unblind.pictures.portraits import Portraits

    names = {
        "object": [[model.name for model in BUILTIN.objects]],
        "plate": [[model.name for model in BUILTIN.plates]],
        **{kind: [list(drawn)] for kind, drawn in icons.NAMES.items()},
    }
    portraits = Portraits([*BUILTIN.objects, *BUILTIN.plates])
    return collages.CollageArtist(portraits, names, BUILTIN.tables, 21)


@pytest.fixture(scope="module")
def drawn(artist):
    return [artist.draw([3, number]) for number in range(300)]


def test_a_collage_depends_on_its_seed_alone(artist):
    first, other = artist.draw([1, 1]), artist.draw([1, 2])
    again = artist.draw([1, 1])
    np.testing.assert_array_equal(first.image, again.image)
    assert first.scene == again.scene
    assert not np.array_equal(first.image, other.image)
    assert first.image.shape == (96, 128, 3)
    assert first.image.dtype == np.uint8


def test_collages_show_every_kind_no_name_twice_and_hide_nothing(drawn):
    kinds = Counter(thing.kind for picture in drawn for thing in picture.scene.things)
    assert kinds.keys() == {"object", "plate", *icons.NAMES}
    for picture in drawn:
        names = [thing.name for thing in picture.scene.things]
        assert len(names) == len(set(names)) <= 5
        assert not picture.scene.hidden
        for thing in picture.scene.things:
            assert all(0.08 < share < 0.92 for share in thing.place)
            assert (thing.color is None) == (thing.kind not in ("shape", "number", "arrow"))
    tables = {picture.scene.table for picture in drawn} - {None}
    assert tables <= {table.name for table in BUILTIN.tables} and len(tables) > 10


def test_training_never_shows_a_name_in_the_style_that_it_keeps_back():
    shown = {collages.style_of("carrot", "train", RNG(k)) for k in range(200)}
    kept = collages.held_out_style("carrot")
    assert shown == {collages.plain, *collages.STYLES} - {kept}
    assert {collages.style_of("carrot", "style", RNG(k)) for k in range(20)} == {kept}
    names = [model.name for model in (*BUILTIN.objects, *BUILTIN.plates)]
    assert {collages.held_out_style(name) for name in names} == set(collages.STYLES)


@pytest.mark.parametrize("style", collages.STYLES)
def test_a_style_changes_the_look_and_keeps_the_thing(style):
    pad = icons.pad_of("shape", "circle", "red").astype(np.float32)
    changed = style(pad.copy(), RNG(0))
    assert changed.shape == pad.shape
    assert np.abs(changed - pad).mean() > 2
    assert changed.min() >= 0
    assert (changed[..., :3] <= changed[..., 3:] + 1e-2).all(), "colours stay below coverage"
    inside = changed[48:80, 48:80, :3].mean((0, 1))
    assert inside[0] > 1.5 * inside[1:].max(), "a red circle stays red"


def test_spoiling_has_a_strength_and_leaves_its_argument_alone():
    image = np.full((96, 128, 3), 120, np.uint8)
    image[30:60, 40:80] = (200, 40, 40)
    before = image.copy()
    change = [
        np.mean([np.abs(collages.spoil(image, RNG(k), most) - image.astype(float)).mean()
                 for k in range(30)])
        for most in (0.0, 0.3, 1.0)
    ]  # fmt: skip
    assert change[0] == 0 < change[1] < change[2] < 60
    np.testing.assert_array_equal(image, before)


def test_a_portrait_fills_its_square_and_every_view_differs(artist):
    portraits = artist._portraits
    for name in ("carrot", "plate", "toy bear"):
        pads = [portraits.draw(name, view) for view in range(3)]
        for pad in pads:
            rows, columns = np.nonzero(pad[..., 3])
            assert max(np.ptp(rows), np.ptp(columns)) > 40
            assert 0 < rows.min() and rows.max() < pad.shape[0] - 1
            assert not pad[pad[..., 3] == 0].any()
        assert not np.array_equal(pads[0], pads[1])
