"""What flat drawings show: shapes, digits, arrows, weather icons, laundry icons and signs.

Everything is drawn here, from a few strokes on a square of side 1 with y downwards; no released
picture is used. The names are those of the released boards where there is one of that name.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

SIDE = 128
"""Pixels of a drawing's side."""
PENS = {
    "black": (25, 25, 28),
    "red": (214, 34, 34),
    "green": (32, 150, 60),
    "blue": (36, 84, 205),
    "orange": (245, 135, 20),
    "purple": (130, 50, 165),
    "yellow": (245, 210, 35),
    "brown": (125, 75, 35),
    "white": (250, 250, 250),
    "grey": (140, 148, 158),
    "night": (28, 36, 84),
    "sky": (70, 150, 230),
}
"""RGB of the pens; the first eight are the colours that names speak of."""

Pad = np.ndarray
Stroke = Callable[[Pad, str], None]
Point = tuple[float, float]
_PEN = ""  # stands for the colour that the whole drawing is asked in


def _ink(pen: str, color: str) -> tuple[int, ...]:
    return (*PENS[pen or color], 255)


def _pixel(points: Sequence[Point]) -> np.ndarray:
    """Return points as sixteenths of a pixel, what cv2 calls ``shift=4``."""
    return np.round(np.array(points, float) * SIDE * 16).astype(np.int32)


def disc(center: Point, radius: float, pen: str = _PEN, width: float = 0) -> Stroke:
    """A disc, or a circle's line of some width."""
    return oval(center, (radius, radius), 0, 360, pen, width)


def oval(
    center: Point, radii: Point, start: float, stop: float, pen: str = _PEN, width: float = 0
) -> Stroke:
    """A part of an ellipse between two angles (degrees, clockwise from the right)."""

    def draw(pad: Pad, color: str) -> None:
        middle, axes = _pixel([center, radii]).tolist()
        thick = round(width * SIDE) or -1
        ink = _ink(pen, color)
        cv2.ellipse(pad, middle, axes, 0, start, stop, ink, thick, cv2.LINE_AA, 4)

    return draw


def fill(points: Sequence[Point], pen: str = _PEN) -> Stroke:
    """A filled polygon."""

    def draw(pad: Pad, color: str) -> None:
        cv2.fillPoly(pad, [_pixel(points)], _ink(pen, color), cv2.LINE_AA, 4)

    return draw


def line(points: Sequence[Point], width: float, pen: str = _PEN, closed: bool = False) -> Stroke:
    """A line through points."""

    def draw(pad: Pad, color: str) -> None:
        corners = [_pixel(points)]
        cv2.polylines(pad, corners, closed, _ink(pen, color), round(width * SIDE), cv2.LINE_AA, 4)

    return draw


def text(letters: str, height: float, middle: Point = (0.5, 0.5), pen: str = _PEN) -> Stroke:
    """Letters of some height around a point."""

    def draw(pad: Pad, color: str) -> None:
        font, thick = cv2.FONT_HERSHEY_DUPLEX, max(round(height * 16), 2)
        scale = height * SIDE / 21  # capitals are 21 px high at scale 1
        (width, tall), _ = cv2.getTextSize(letters, font, scale, thick)
        at = round(middle[0] * SIDE - width / 2), round(middle[1] * SIDE + tall / 2)
        cv2.putText(pad, letters, at, font, scale, _ink(pen, color), thick, cv2.LINE_AA)

    return draw


def turned(degrees: float, points: Sequence[Point]) -> list[Point]:
    """Return points turned clockwise about the middle of the square."""
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return [tuple(p) for p in ((np.array(points) - 0.5) @ turn + 0.5).tolist()]


def box(low: Point, high: Point) -> list[Point]:
    """Return the corners of a rectangle."""
    return [low, (high[0], low[1]), high, (low[0], high[1])]


def regular(sides: int, radius: float = 0.47, first_deg: float = -90) -> list[Point]:
    """Return the corners of a regular polygon around the middle."""
    angles = np.radians(first_deg + 360 * np.arange(sides) / sides)
    return [(0.5 + radius * np.cos(a), 0.5 + radius * np.sin(a)) for a in angles]


def _star(points: int, inner: float) -> list[Point]:
    pairs = zip(regular(points), regular(points, inner, -90 + 180 / points), strict=True)
    return [corner for pair in pairs for corner in pair]


_HEART = [
    (0.5 + 0.0285 * 16 * np.sin(a) ** 3, 0.47 - 0.0285 * (13 * np.cos(a) - 5 * np.cos(2 * a)
     - 2 * np.cos(3 * a) - np.cos(4 * a)))
    for a in np.linspace(0, 2 * np.pi, 60)
]  # fmt: skip
_ARROW = [(0.5, 0.03), (0.9, 0.45), (0.64, 0.45), (0.64, 0.97), (0.36, 0.97), (0.36, 0.45),
          (0.1, 0.45)]  # fmt: skip
_CROSS = [(0.34, 0.03), (0.66, 0.03), (0.66, 0.34), (0.97, 0.34), (0.97, 0.66), (0.66, 0.66),
          (0.66, 0.97), (0.34, 0.97), (0.34, 0.66), (0.03, 0.66), (0.03, 0.34),
          (0.34, 0.34)]  # fmt: skip

# ---- one colour of choice ---------------------------------------------------------------------

SHAPES: dict[str, Sequence[Stroke]] = {
    "triangle": [fill([(0.5, 0.05), (0.97, 0.9), (0.03, 0.9)])],
    "right_triangle": [fill([(0.06, 0.06), (0.94, 0.94), (0.06, 0.94)])],
    "square": [fill(box((0.08, 0.08), (0.92, 0.92)))],
    "rectangle": [fill(box((0.02, 0.26), (0.98, 0.74)))],
    "parallelogram": [fill([(0.28, 0.22), (1, 0.22), (0.72, 0.78), (0, 0.78)])],
    "trapezoid": [fill([(0.28, 0.2), (0.72, 0.2), (1, 0.8), (0, 0.8)])],
    "pentagon": [fill(regular(5))],
    "hexagon": [fill(regular(6, first_deg=0))],
    "heptagon": [fill(regular(7))],
    "circle": [disc((0.5, 0.5), 0.46)],
    "heart": [fill(_HEART)],
    "star": [fill(_star(5, 0.19))],
    "cross": [fill(_CROSS)],
}
NUMBERS = {f"number {digit}": [text(str(digit), 0.78)] for digit in range(10)}
ARROWS = {
    f"arrow {name}": [fill(turned(degrees, _ARROW))]
    for name, degrees in (("up", 0), ("right", 90), ("down", 180), ("left", 270))
}

# ---- weather and laundry ----------------------------------------------------------------------


def _cloud(pen: str = "grey", lift: float = 0.0) -> list[Stroke]:
    puffs = [(0.3, 0.5, 0.17), (0.52, 0.4, 0.22), (0.73, 0.51, 0.16)]
    base = [fill(box((0.3, 0.5 - lift), (0.73, 0.67 - lift)), pen)]
    return base + [disc((x, y - lift), r, pen) for x, y, r in puffs]


def _rays(count: int, first_deg: float = 0.0, span_deg: float = 360.0) -> list[Stroke]:
    angles = first_deg + span_deg * np.arange(count) / count
    ray = [(0.84, 0.5), (0.97, 0.5)]
    return [line(turned(angle, ray), 0.06, "orange") for angle in angles]


def _flake(x: float, y: float) -> list[Stroke]:
    arms = [(np.cos(a) * 0.075, np.sin(a) * 0.075) for a in np.radians([90, 30, 150])]
    return [line([(x - u, y - v), (x + u, y + v)], 0.03, "sky") for u, v in arms]


def _gust(y: float, length: float, pen: str = "blue") -> list[Stroke]:
    curl = oval((length, y - 0.09), (0.09, 0.09), -140, 90, pen, 0.05)
    return [line([(0.06, y), (length, y)], 0.05, pen), curl]


def _drops(*places: Point) -> list[Stroke]:
    return [line([(x, y), (x - 0.06, y + 0.16)], 0.05, "blue") for x, y in places]


_OUT = [
    line([(0.08, 0.12), (0.92, 0.9)], 0.06, "red"),
    line([(0.92, 0.12), (0.08, 0.9)], 0.06, "red"),
]
_TUB = [
    line([(0.06, 0.25), (0.2, 0.85), (0.8, 0.85), (0.94, 0.25)], 0.06, "black"),
    line([(0.08, 0.36), (0.29, 0.3), (0.5, 0.36), (0.71, 0.3), (0.92, 0.36)], 0.05, "black"),
]
_IRON = [
    line([(0.05, 0.78), (0.95, 0.78), (0.86, 0.28), (0.35, 0.28)], 0.06, "black"),
    line([(0.86, 0.5), (0.3, 0.5), (0.05, 0.78)], 0.06, "black"),
]
_BLEACH = [line([(0.5, 0.1), (0.95, 0.88), (0.05, 0.88)], 0.06, "black", closed=True)]
_RING = [disc((0.5, 0.5), 0.4, "black", 0.06)]


def _dots(count: int) -> list[Stroke]:
    return [disc((0.5 + 0.16 * (k - (count - 1) / 2), 0.62), 0.055, "black") for k in range(count)]


def _bars(count: int) -> list[Stroke]:
    return [
        line([(0.2, 0.92 + 0.06 * k), (0.8, 0.92 + 0.06 * k)], 0.03, "black") for k in range(count)
    ]


ICONS: dict[str, Sequence[Stroke]] = {
    "sunny icon": [disc((0.5, 0.5), 0.27, "yellow"), *_rays(8)],
    "sunrise icon": [oval((0.5, 0.7), (0.26, 0.26), 180, 360, "orange"),
                     line([(0.04, 0.72), (0.96, 0.72)], 0.05, "black"), *_rays(4, 202.5, 180)],
    "clear night icon": [disc((0.5, 0.5), 0.48, "night"), disc((0.47, 0.52), 0.28, "yellow"),
                         disc((0.59, 0.44), 0.24, "night"), disc((0.74, 0.3), 0.035, "white")],
    "cloudy icon": [*_cloud()],
    "rainy icon": [*_cloud(lift=0.15), *_drops((0.34, 0.62), (0.52, 0.7), (0.7, 0.62))],
    "snowing icon": [*_cloud(lift=0.15), *_flake(0.32, 0.7), *_flake(0.52, 0.84),
                     *_flake(0.72, 0.7)],
    "storm icon": [*_cloud("night", 0.15), fill([(0.55, 0.45), (0.36, 0.72), (0.5, 0.72),
                   (0.42, 0.98), (0.68, 0.64), (0.53, 0.64), (0.66, 0.45)], "yellow")],
    "windy icon": [*_gust(0.38, 0.62), *_gust(0.58, 0.8), *_gust(0.8, 0.5)],
    "windy and cloudy icon": [*_cloud(lift=0.16), *_gust(0.72, 0.7), *_gust(0.92, 0.5)],
    "machine wash icon": _TUB,
    "cold wash icon": [*_TUB, *_dots(1)],
    "warm wash icon": [*_TUB, *_dots(2)],
    "hot wash icon": [*_TUB, *_dots(3)],
    "machine wash permanent press icon": [*_TUB, *_bars(1)],
    "machine wash delicate icon": [*_TUB, *_bars(2)],
    "do not wash icon": [*_TUB, *_OUT],
    "hand wash icon": [*_TUB, fill([(0.3, 0.08), (0.4, 0.04), (0.6, 0.44), (0.68, 0.62),
                       (0.56, 0.68), (0.42, 0.5)], "black")],
    "iron icon": _IRON,
    "do not iron icon": [*_IRON, *_OUT],
    "bleach allowed icon": _BLEACH,
    "non chlorine bleach icon": [*_BLEACH, line([(0.36, 0.36), (0.66, 0.86)], 0.05, "black"),
                                 line([(0.22, 0.6), (0.38, 0.86)], 0.05, "black")],
    "do not bleach icon": [*_BLEACH, *_OUT],
    "dryclean icon": _RING,
    "do not dryclean icon": [*_RING, *_OUT],
    "any solvent icon": [*_RING, text("A", 0.4, pen="black")],
    "wet cleaning icon": [*_RING, text("W", 0.36, pen="black")],
}  # fmt: skip

# ---- signs ------------------------------------------------------------------------------------

_BLUE = disc((0.5, 0.5), 0.47, "blue")
_PANEL = fill(box((0.06, 0.06), (0.94, 0.94)), "blue")
_FORBID = [disc((0.5, 0.5), 0.47, "red"), disc((0.5, 0.5), 0.37, "white")]
_SLASH = line([(0.22, 0.22), (0.78, 0.78)], 0.08, "red")
_WARN = [fill([(0.5, 0.03), (0.99, 0.9), (0.01, 0.9)], "red"),
         fill([(0.5, 0.2), (0.84, 0.81), (0.16, 0.81)], "white")]  # fmt: skip
_UP = [(0.5, 0.16), (0.68, 0.4), (0.56, 0.4), (0.56, 0.84), (0.44, 0.84), (0.44, 0.4), (0.32, 0.4)]
_BEND = [(0.62, 0.8), (0.62, 0.5), (0.44, 0.5), (0.44, 0.62), (0.2, 0.44), (0.44, 0.26),
         (0.44, 0.38), (0.74, 0.38), (0.74, 0.8)]  # fmt: skip


def _mirrored(points: Sequence[Point]) -> list[Point]:
    return [(1 - x, y) for x, y in points]


def _person(x: float, skirt: float) -> list[Stroke]:
    body = [(x - 0.08, 0.34), (x + 0.08, 0.34), (x + 0.08 + skirt, 0.66), (x - 0.08 - skirt, 0.66)]
    legs = [line([(x + d, 0.64), (x + d, 0.86)], 0.06, "white") for d in (-0.04, 0.04)]
    return [disc((x, 0.23), 0.075, "white"), fill(body, "white"), *legs]


def _chase(degrees: float, pen: str) -> list[Stroke]:
    """One of the arrows that run round in a circle."""
    path = turned(degrees, [(0.22, 0.66), (0.2, 0.42), (0.36, 0.24)])
    head = turned(degrees, [(0.26, 0.14), (0.52, 0.18), (0.4, 0.4)])
    return [line(path, 0.1, pen), fill(head, pen)]


_U_TURN = [line([(0.62, 0.76), (0.62, 0.42)], 0.09, "black"),
           oval((0.51, 0.42), (0.11, 0.11), 180, 360, "black", 0.09),
           line([(0.4, 0.42), (0.4, 0.58)], 0.09, "black"),
           fill([(0.26, 0.55), (0.54, 0.55), (0.4, 0.74)], "black")]  # fmt: skip
_WHEELCHAIR = [disc((0.42, 0.2), 0.07, "white"), disc((0.45, 0.66), 0.19, "white", 0.05),
               line([(0.42, 0.3), (0.45, 0.52), (0.65, 0.54), (0.76, 0.8)], 0.07, "white"),
               line([(0.44, 0.4), (0.64, 0.4)], 0.05, "white")]  # fmt: skip
_STAIRS = [(0.14, 0.84), (0.14, 0.7), (0.32, 0.7), (0.32, 0.54), (0.5, 0.54), (0.5, 0.38),
           (0.68, 0.38), (0.68, 0.22), (0.86, 0.22), (0.86, 0.84)]  # fmt: skip

SIGNS: dict[str, Sequence[Stroke]] = {
    "ahead only sign": [_BLUE, fill(_UP, "white")],
    "turn left ahead sign": [_BLUE, fill(_BEND, "white")],
    "roundabout sign": [_BLUE, *_chase(0, "white"), *_chase(120, "white"), *_chase(240, "white")],
    "minimum speed sign": [_BLUE, text("30", 0.34, pen="white")],
    "max speed sign": [*_FORBID, text("50", 0.34, pen="black")],
    "no entry sign": [disc((0.5, 0.5), 0.47, "red"), fill(box((0.2, 0.42), (0.8, 0.58)), "white")],
    "no left turn sign": [*_FORBID, fill(_BEND, "black"), _SLASH],
    "no right turn sign": [*_FORBID, fill(_mirrored(_BEND), "black"), _SLASH],
    "no U-turn sign": [*_FORBID, *_U_TURN, _SLASH],
    "no waiting sign": [disc((0.5, 0.5), 0.47, "red"), disc((0.5, 0.5), 0.38, "blue"), _SLASH],
    "no stopping sign": [disc((0.5, 0.5), 0.47, "red"), disc((0.5, 0.5), 0.38, "blue"), _SLASH,
                         line([(0.78, 0.22), (0.22, 0.78)], 0.08, "red")],
    "no through road sign": [_PANEL, line([(0.5, 0.82), (0.5, 0.36)], 0.13, "white"),
                             line([(0.26, 0.28), (0.74, 0.28)], 0.15, "red")],
    "stop give way sign": [fill(regular(8, 0.49, 22.5), "red"), text("STOP", 0.2, pen="white")],
    "yield sign": [fill([(0.01, 0.1), (0.99, 0.1), (0.5, 0.97)], "red"),
                   fill([(0.17, 0.19), (0.83, 0.19), (0.5, 0.79)], "white")],
    "uneven road sign": [*_WARN, oval((0.4, 0.72), (0.1, 0.12), 180, 360, "black"),
                         oval((0.6, 0.72), (0.1, 0.12), 180, 360, "black")],
    "road narrows right sign": [*_WARN, line([(0.42, 0.78), (0.42, 0.42)], 0.05, "black"),
                                line([(0.66, 0.78), (0.66, 0.66), (0.55, 0.52), (0.55, 0.42)],
                                     0.05, "black")],
    "steep downwards sign": [*_WARN, fill([(0.3, 0.5), (0.72, 0.76), (0.3, 0.76)], "black")],
    "steep upwards sign": [*_WARN, fill([(0.7, 0.5), (0.7, 0.76), (0.28, 0.76)], "black")],
    "information sign": [_PANEL, disc((0.5, 0.24), 0.075, "white"),
                         line([(0.5, 0.42), (0.5, 0.8)], 0.13, "white")],
    "no parking sign": [*_FORBID, text("P", 0.42, pen="black"), _SLASH],
    "no smoking sign": [*_FORBID, fill(box((0.22, 0.52), (0.7, 0.62)), "black"),
                        line([(0.74, 0.48), (0.7, 0.36), (0.76, 0.28)], 0.04, "grey"), _SLASH],
    "recycle sign": [*_chase(0, "green"), *_chase(120, "green"), *_chase(240, "green")],
    "stairs sign": [_PANEL, fill(_STAIRS, "white")],
    "toilets sign": [_PANEL, *_person(0.3, 0.0), *_person(0.7, 0.08)],
    "disabled access sign": [_PANEL, *_WHEELCHAIR],
    "telephone sign": [_PANEL, oval((0.5, 0.52), (0.27, 0.27), 110, 250, "white", 0.11),
                       fill(box((0.36, 0.2), (0.56, 0.34)), "white"),
                       fill(box((0.36, 0.7), (0.56, 0.84)), "white")],
    "taxi sign": [fill(box((0.02, 0.2), (0.98, 0.8)), "yellow"), text("TAXI", 0.24, pen="black")],
}  # fmt: skip

COLORED: dict[str, dict[str, Sequence[Stroke]]] = {
    "shape": SHAPES,
    "number": NUMBERS,
    "arrow": ARROWS,
}
"""Drawings in any colour, by kind."""
FIXED: dict[str, dict[str, Sequence[Stroke]]] = {"icon": ICONS, "sign": SIGNS}
"""Drawings with colours of their own, by kind."""


def sketch(strokes: Sequence[Stroke], color: str = "black") -> np.ndarray:
    """Return a drawing as (SIDE, SIDE, 4) uint8: RGB multiplied by coverage, and coverage."""
    pad = np.zeros((SIDE, SIDE, 4), np.uint8)
    for stroke in strokes:
        stroke(pad, color)
    return pad
