"""Flat drawings: a few shapes, digits, arrows, icons or signs on a plain or textured ground."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from unblind.pictures.pictograms import COLORED, FIXED, PENS, SIDE, sketch
from unblind.pictures.scenes import COLORS, Scene, Thing

SIZE = (128, 96)
"""Width and height of a picture, px."""
NAMES: dict[str, tuple[str, ...]] = {
    kind: tuple(drawings) for kind, drawings in {**COLORED, **FIXED}.items()
}
"""The names of all that can be drawn, by kind."""
_SHARES = {"shape": 0.35, "number": 0.15, "arrow": 0.1, "icon": 0.2, "sign": 0.2}
_SIDES = (22, 44)
"""Shortest and longest side of a drawing, px."""
_BOARDS = {"shape": 0.7, "number": 0.7, "arrow": 0.7, "icon": 1.0, "sign": 0.4}
"""Share of drawings that lie on a pale board, by kind; icons do not show without."""
_LEAST_CONTRAST = 150
"""Summed over the channels (0..255); below it there is always a board."""
_MOST_TILT_DEG = 12.0
_GAP = 2
"""Least distance between drawings and to the edge, px."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture (H, W, 3) uint8 and what it shows."""

    image: np.ndarray
    scene: Scene


@cache
def _pad(kind: str, name: str, color: str | None) -> np.ndarray:
    """Return a drawing (see :func:`sketch`), read-only."""
    strokes = (COLORED[kind] if kind in COLORED else FIXED[kind])[name]
    pad = sketch(strokes, color or "black")
    pad.flags.writeable = False
    return pad


def draw(seed: int | list[int]) -> Drawing:
    """Return the picture of a seed: one to four drawings that do not touch each other."""
    rng = np.random.default_rng(seed)
    canvas = _ground(rng)
    things, boxes = [], []
    for _ in range(1 + rng.integers(4)):
        kind = list(_SHARES)[rng.choice(len(_SHARES), p=list(_SHARES.values()))]
        name = NAMES[kind][int(rng.integers(len(NAMES[kind])))]
        color = COLORS[int(rng.integers(len(COLORS)))] if kind in COLORED else None
        side = int(rng.integers(*_SIDES, endpoint=True))
        corner = _free_corner(rng, side, boxes)
        if corner is None:
            continue
        boxes.append((*corner, side))
        x, y = corner
        below = canvas[y : y + side, x : x + side]
        board = _needs_board(kind, color, below) or bool(rng.random() < _BOARDS[kind])
        _lay(below, _stamp(rng, _pad(kind, name, color), board, side))
        middle = (corner[1] + side / 2) / SIZE[1], (corner[0] + side / 2) / SIZE[0]
        things.append(Thing(name, kind, middle, color))
    return Drawing(canvas.round().clip(0, 255).astype(np.uint8), Scene(tuple(things)))


def _ground(rng: np.random.Generator) -> np.ndarray:
    """Return a ground (H, W, 3) float32 in 0..255: plain, sloping, blotched, striped, grainy."""
    base, other = rng.uniform(30, 240, (2, 3))
    if rng.random() < 0.5:  # mostly pale or grey, as paper and walls are
        base, other = rng.uniform(60, 250, (2, 1)) + rng.normal(0, 12, (2, 3))
    width, height = SIZE
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    turn = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    kind = rng.integers(4)
    if kind == 0:
        share = np.zeros_like(x)
    elif kind == 1:
        share = 0.5 + 0.5 * along
    elif kind == 2:
        coarse = rng.random(rng.integers(3, 14, 2)).astype(np.float32)
        share = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_LINEAR)
    else:
        share = 0.5 + 0.5 * np.sign(np.sin(along * rng.uniform(4, 30)))
    share = np.clip(share, 0, 1)[..., None] * rng.uniform(0.1, 0.6)
    grain = rng.normal(0, max(rng.uniform(-4, 6), 0), (height, width, 1))  # none on many
    return np.clip(base + share * (other - base) + grain, 0, 255).astype(np.float32)


def _free_corner(
    rng: np.random.Generator, side: int, boxes: list[tuple[int, int, int]]
) -> tuple[int, int] | None:
    """Return the upper left corner (column, row) of a free square, None if none was found."""
    room = np.array(SIZE) - side - _GAP
    for x, y in rng.integers(_GAP, room, (20, 2), endpoint=True).tolist():
        if all(
            x + side + _GAP <= left
            or left + other + _GAP <= x
            or y + side + _GAP <= top
            or top + other + _GAP <= y
            for left, top, other in boxes
        ):
            return x, y
    return None


def _needs_board(kind: str, color: str | None, ground: np.ndarray) -> bool:
    """Tell whether a drawing of one colour would be lost on its ground."""
    if color is None:
        return False
    return bool(np.abs(ground.mean((0, 1)) - PENS[color]).sum() < _LEAST_CONTRAST)


def _stamp(rng: np.random.Generator, pad: np.ndarray, board: bool, side: int) -> np.ndarray:
    """Return a drawing, tilted a little, with or without a pale board behind it.

    The result is (side, side, 4) float32, RGB multiplied by coverage, and coverage.
    """
    tilt, size = rng.uniform(-_MOST_TILT_DEG, _MOST_TILT_DEG), 0.78 if board else 0.9
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), tilt, size)
    pad = cv2.warpAffine(pad, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR).astype(np.float32)
    if board:
        paper = np.full((SIDE, SIDE, 4), 255, np.float32)
        paper[..., :3] = np.clip(rng.uniform(215, 250) + rng.normal(0, 4, 3), 0, 255)
        pad += paper * (1 - pad[..., 3:] / 255)
    return cv2.resize(pad, (side, side), interpolation=cv2.INTER_AREA)


def _lay(below: np.ndarray, stamp: np.ndarray) -> None:
    """Lay a stamp over a part of the canvas, in place."""
    below *= 1 - stamp[..., 3:] / 255
    below += stamp[..., :3]
