"""What boards show: the drawings of the base's pictures, and those that these do not have.

The ten signs and the one shape below are drawn here, and not among the pictures from which a base
learns words: they are concepts of VL-Think that its pictures never name.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from unblind.pictures import icons
from unblind.pictures.pictograms import ARROWS, SIGNS, Stroke, disc, fill, line, oval, sketch

# The frames of signs are those of the base's pictures.
_WARNING = SIGNS["steep upwards sign"][:2]
_FORBIDDEN, _SLASH = SIGNS["no parking sign"][:2], SIGNS["no parking sign"][-1]
_PANEL = SIGNS["stairs sign"][:1]


def _car(x: float, pen: str) -> list[Stroke]:
    """A car from behind."""
    body = [(x - 0.13, 0.5), (x + 0.13, 0.5), (x + 0.13, 0.64), (x - 0.13, 0.64)]
    roof = [(x - 0.08, 0.38), (x + 0.08, 0.38), (x + 0.11, 0.52), (x - 0.11, 0.52)]
    wheels = [line([(x + d, 0.63), (x + d, 0.7)], 0.06, pen) for d in (-0.09, 0.09)]
    return [fill(body, pen), fill(roof, pen), *wheels]


def _pebbles(*places: tuple[float, float], radius: float) -> list[Stroke]:
    return [disc(place, radius, "black") for place in places]


_ROADSIDE: dict[str, Sequence[Stroke]] = {
    "falling rocks sign": [*_WARNING, fill([(0.28, 0.78), (0.28, 0.68), (0.5, 0.4), (0.5, 0.78)],
                           "black"), *_pebbles((0.6, 0.5), (0.64, 0.62), (0.7, 0.73),
                                               radius=0.045)],
    "loose chippings sign": [*_WARNING, *_car(0.42, "black"), *_pebbles(
        (0.6, 0.56), (0.66, 0.66), (0.6, 0.72), (0.72, 0.74), radius=0.03)],
    "road works sign": [*_WARNING, disc((0.44, 0.42), 0.055, "black"),
                        line([(0.45, 0.5), (0.38, 0.62), (0.34, 0.78)], 0.06, "black"),
                        line([(0.43, 0.52), (0.66, 0.72)], 0.045, "black"),
                        fill([(0.58, 0.78), (0.68, 0.64), (0.78, 0.78)], "black")],
    "wild animals sign": [*_WARNING, fill([(0.36, 0.56), (0.64, 0.5), (0.66, 0.62), (0.38, 0.66)],
                          "black"), line([(0.64, 0.54), (0.7, 0.42)], 0.06, "black"),
                          line([(0.7, 0.42), (0.62, 0.34)], 0.025, "black"),
                          line([(0.7, 0.42), (0.73, 0.32)], 0.025, "black"),
                          line([(0.4, 0.62), (0.34, 0.8)], 0.035, "black"),
                          line([(0.62, 0.6), (0.7, 0.76)], 0.035, "black")],
    "no overtaking sign": [*_FORBIDDEN, *_car(0.34, "red"), *_car(0.66, "black")],
    "sharp route deviation sign": [fill([(0.02, 0.22), (0.98, 0.22), (0.98, 0.78), (0.02, 0.78)],
                                   "black"), *[line([(x + 0.14, 0.28), (x, 0.5), (x + 0.14, 0.72)],
                                                    0.1, "white") for x in (0.1, 0.42, 0.74)]],
}  # fmt: skip
_INDOORS: dict[str, Sequence[Stroke]] = {
    "escalator sign": [*_PANEL, line([(0.16, 0.8), (0.34, 0.8), (0.66, 0.42), (0.86, 0.42)], 0.1,
                       "white"), disc((0.5, 0.2), 0.065, "white"),
                       line([(0.5, 0.28), (0.5, 0.5)], 0.09, "white")],
    "fire escape sign": [fill([(0.02, 0.14), (0.98, 0.14), (0.98, 0.86), (0.02, 0.86)], "green"),
                         fill([(0.62, 0.24), (0.88, 0.24), (0.88, 0.86), (0.62, 0.86)], "white"),
                         disc((0.42, 0.28), 0.065, "white"),
                         line([(0.4, 0.38), (0.36, 0.56)], 0.09, "white"),
                         line([(0.36, 0.56), (0.5, 0.66), (0.48, 0.8)], 0.06, "white"),
                         line([(0.36, 0.56), (0.28, 0.7), (0.12, 0.7)], 0.06, "white"),
                         line([(0.4, 0.4), (0.56, 0.48)], 0.05, "white")],
    "hairdresser sign": [*_PANEL, disc((0.34, 0.72), 0.1, "white", 0.05),
                         disc((0.66, 0.72), 0.1, "white", 0.05),
                         line([(0.4, 0.64), (0.64, 0.18)], 0.06, "white"),
                         line([(0.6, 0.64), (0.36, 0.18)], 0.06, "white")],
    "no dogs sign": [*_FORBIDDEN, fill([(0.3, 0.46), (0.62, 0.46), (0.62, 0.6), (0.3, 0.6)],
                     "black"), oval((0.68, 0.4), (0.1, 0.07), 0, 360, "black"),
                     *[line([(x, 0.56), (x, 0.74)], 0.05, "black") for x in (0.34, 0.58)],
                     line([(0.31, 0.48), (0.22, 0.36)], 0.04, "black"), _SLASH],
}  # fmt: skip
#: By kind, what the base's pictures do not show.
FURTHER: Mapping[str, Mapping[str, Sequence[Stroke]]] = {
    "shape": {"arrow": ARROWS["arrow right"]},
    "sign": {**_ROADSIDE, **_INDOORS},
}


def is_pictured(kind: str, name: str) -> bool:
    """Tell whether the base's pictures show a drawing by its name."""
    return name in icons.NAMES[kind]


@cache
def pad_of(kind: str, name: str, color: str | None) -> np.ndarray:
    """Return a drawing (S, S, 4) uint8 (`pictograms.sketch`), read-only."""
    if is_pictured(kind, name):
        return icons.pad_of(kind, name, color)
    pad = sketch(FURTHER[kind][name], color or "black")
    pad.flags.writeable = False
    return pad
