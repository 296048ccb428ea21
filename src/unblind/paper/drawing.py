"""The figure of the method for TeX: TikZ commands made of ``docs/figures/method.svg``.

The drawing uses a few shapes of SVG alone: rectangles, straight paths with or without an arrow's
head, and single lines of text. A class ``name`` becomes the style ``svg name``, which the report's
preamble defines.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from unblind.errors import UnblindError
from unblind.report.render import tex

SOURCE = Path(__file__).resolve().parents[3] / "docs" / "figures" / "method.svg"
_NAMESPACE = "{http://www.w3.org/2000/svg}"
#: What a figure in a document does not need: names for readers of screens, looks, arrows' heads;
#: and by class the background, and the note of numbers, which the report's caption computes.
_LEFT_OUT = ("title", "desc", "style", "defs")
_CLASSES_LEFT_OUT = {"paper", "here"}
#: A step of a path: a letter and its numbers.
_STEP = re.compile(r"([MHV])\s*([-\d.]+)(?:\s+([-\d.]+))?\s*")


def tikz(path: Path = SOURCE) -> str:
    """Return the drawing as commands for a ``tikzpicture`` with y downwards, a unit an SVG pixel.

    Raises:
        UnblindError: the file is missing or holds a shape that this cannot draw.
    """
    try:
        # A tracked file of this checkout, not one from elsewhere.
        root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314
    except OSError as error:
        cause = f"cannot read the drawing {path}: {error.strerror}"
        raise UnblindError(cause, "run from a checkout of this repository") from None
    except ET.ParseError as error:
        raise UnblindError(f"the drawing {path} is no SVG: {error}", "restore the file") from None
    commands = [command for shape in root for command in _draw(path, shape)]
    return "\n".join(commands) + "\n"


def _draw(path: Path, shape: ET.Element) -> Iterator[str]:
    name, classes = shape.tag.removeprefix(_NAMESPACE), shape.get("class", "").split()
    if name in _LEFT_OUT or _CLASSES_LEFT_OUT.intersection(classes):
        return
    style = ", ".join(f"svg {one}" for one in classes)
    if name == "rect":
        x, y, width, height = (float(shape.get(key, "0")) for key in ("x", "y", "width", "height"))
        corner = f"rounded corners={float(shape.get('rx', '0')) / 2:g}pt"
        yield rf"\draw[{style}, {corner}] ({x:g},{y:g}) rectangle ({x + width:g},{y + height:g});"
    elif name == "text":
        # A text stands on its base line.
        place = f"({float(shape.get('x', '0')):g},{float(shape.get('y', '0')):g})"
        yield rf"\node[{style}] at {place} {{{tex(shape.text or '')}}};"
    elif name == "path":
        yield rf"\draw[{style}] {' -- '.join(_points(path, shape.get('d', '')))};"
    else:
        raise UnblindError(f"{path} holds a shape that is not known: {name}", "draw it otherwise")


def _points(path: Path, steps: str) -> Iterator[str]:
    """Yield the corners of a path of straight lines along the axes."""
    if _STEP.sub("", steps):
        raise UnblindError(f"{path} holds a path that is not known: {steps}", "use M, H and V")
    x = y = 0.0
    for letter, first, second in _STEP.findall(steps):
        x, y = {
            "M": (float(first), float(second or 0)),
            "H": (float(first), y),
            "V": (x, float(first)),
        }[letter]
        yield f"({x:g},{y:g})"
