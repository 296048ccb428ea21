import re
import xml.etree.ElementTree as ET

import pytest

from unblind.errors import UnblindError
from unblind.paper import drawing
from unblind.report.render import tex

SVG = '<svg xmlns="http://www.w3.org/2000/svg">{}</svg>'


def draw(folder, shape):
    path = folder / "drawing.svg"
    path.write_text(SVG.format(shape))
    return drawing.tikz(path)


def test_the_figure_shows_every_shape_and_word_of_the_drawing():
    root, made = ET.parse(drawing.SOURCE).getroot(), drawing.tikz()
    words = list(root.iter("{http://www.w3.org/2000/svg}text"))
    texts = [one.text for one in words if "here" not in one.get("class").split()]
    assert len(texts) == len(words) - 1  # the numbers, which the caption computes
    assert len(texts) > 10
    assert all(f"{{{tex(text)}}};" in made for text in texts)
    assert made.count(r"\node") == len(texts)
    rectangles = len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) - 1  # the background
    assert made.count("rectangle") == rectangles
    arrows = [one for one in root if one.get("class") == "arrow"]
    assert made.count(r"\draw[svg arrow]") == len(arrows)


def test_every_style_of_the_drawing_is_defined(tmp_path):
    preamble = (drawing.SOURCE.parents[2] / "paper/templates/paper/preamble.tex.j2").read_text()
    used = set(re.findall(r"svg \w+", drawing.tikz()))
    assert used == set(re.findall(r"(svg \w+)/\.style", preamble))


def test_shapes_are_turned_by_hand(tmp_path):
    box = draw(tmp_path, '<rect class="cold" x="20" y="40" width="110" height="64" rx="6"/>')
    assert box == "\\draw[svg cold, rounded corners=3pt] (20,40) rectangle (130,104);\n"
    path = draw(tmp_path, '<path class="arrow" d="M574 172 H614 V238 H688"/>')
    assert path == "\\draw[svg arrow] (574,172) -- (614,172) -- (614,238) -- (688,238);\n"
    text = draw(tmp_path, '<text class="note left" x="1" y="2">50 % of_it</text>')
    assert text == "\\node[svg note, svg left] at (1,2) {50 \\% of\\_it};\n"


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        ('<circle r="3"/>', "circle"),
        ('<path class="arrow" d="M0 0 C1 1 2 2 3 3"/>', "path"),
        ("<rect", "no SVG"),
    ],
)
def test_what_cannot_be_drawn_is_named(tmp_path, shape, word):
    with pytest.raises(UnblindError, match=word):
        draw(tmp_path, shape)


def test_a_missing_drawing_is_named(tmp_path):
    with pytest.raises(UnblindError, match="cannot read the drawing"):
        drawing.tikz(tmp_path / "none.svg")
