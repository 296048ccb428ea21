"""Icon-100: a hundred concepts that pretraining does not name, some of their styles held out."""

import numpy as np
import pytest

from unblind.diagnosis import emblems
from unblind.diagnosis.emblems import CONCEPTS, STYLES, STYLES_OF
from unblind.errors import UnblindError
from unblind.pictures import questions
from unblind.sim.catalogs import load_catalog


def test_a_hundred_concepts_none_of_which_the_base_was_pretrained_on():
    """No word of theirs is one that its tower or its questions know."""
    assert len(CONCEPTS) == len(set(CONCEPTS)) == 100
    catalog = load_catalog("pretraining")
    shown = [item.name for item in (*catalog.objects, *catalog.plates, *catalog.tables)]
    known = set(questions.vocabulary(shown))
    assert {"carrot", "pizza", "heart"} < known
    assert {word for name in CONCEPTS for word in name.split("-")} & known == set()


@pytest.mark.parametrize("source", ["mdi", "tabler", "twemoji"])
def test_every_set_draws_every_concept(source):
    pads = {name: emblems.drawing(source, name) for name in CONCEPTS}
    for name, pad in pads.items():
        assert pad.shape == (128, 128, 4), name
        assert (pad[..., 3] > 127).mean() > 0.02, name
        assert (pad[..., :3] <= pad[..., 3:]).all(), "colours are multiplied by coverage"
    assert len({pad.tobytes() for pad in pads.values()}) == 100, "no two are drawn alike"


def test_styles_of_the_test_are_not_those_of_training():
    assert set(STYLES_OF["train"]).isdisjoint(STYLES_OF["test"])
    assert set(STYLES) == {*STYLES_OF["train"], *STYLES_OF["test"]} and len(STYLES) >= 5
    for split in STYLES_OF.values():
        assert {STYLES[style].icons for style in split} == {"mdi", "tabler", "twemoji"}


def test_a_picture_depends_on_its_arguments_alone():
    first = emblems.draw("bell", "solid", [0, 1])
    assert first.shape == (96, 128, 3) and first.dtype == np.uint8
    emblems.draw("cat", "line", [5])
    assert np.array_equal(first, emblems.draw("bell", "solid", [0, 1]))
    others = [("bell", "solid", [0, 2]), ("bell", "line", [0, 1]), ("key", "solid", [0, 1])]
    assert all(not np.array_equal(first, emblems.draw(*other)) for other in others)


def test_a_contour_leaves_the_inside_empty():
    pad = np.zeros((128, 128, 4), np.float32)
    pad[30:100, 30:100] = 255
    line = emblems.contour(pad, np.random.default_rng(0))
    assert line[64, 64].max() == 0 == line[10, 10].max()
    assert (line[64, 30] == 255).all() and (line[99, 50] == 255).all()


def test_what_is_pasted_lies_within_the_picture_and_covers_what_it_covers():
    ground = np.full((96, 128, 3), 255, np.float32)
    pad = np.zeros((128, 128, 4), np.float32)
    pad[34:94, 34:94, 3] = 255  # a black square, 60 of 128 px
    for seed in range(5):
        dark = emblems.paste(np.random.default_rng(seed), ground, pad).mean(-1) < 90
        share = dark.sum() / (96 * 128)
        # A stamp of 56 to 84 px shows 0.9 x 60 / 128 of its side as dark.
        assert 0.5 * (56 * 0.42) ** 2 < share * 96 * 128 < 1.5 * (84 * 0.42) ** 2
    assert (ground == 255).all()


def test_a_drawing_that_is_not_there_is_one_error():
    with pytest.raises(UnblindError, match="has no drawing of 'unicorn-tears'"):
        emblems.drawing("mdi", "unicorn-tears")
