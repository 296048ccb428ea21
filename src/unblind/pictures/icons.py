"""Flat drawings (shapes, digits, arrows, icons, signs) and the grounds that they can lie on."""

from functools import cache

import cv2
import numpy as np

from unblind.pictures.pictograms import COLORED, FIXED, PENS, sketch

SIZE = (128, 96)
"""Width and height of a picture, px."""
NAMES: dict[str, tuple[str, ...]] = {
    kind: tuple(drawings) for kind, drawings in {**COLORED, **FIXED}.items()
}
"""The names of all that can be drawn, by kind."""
_BOARDS = {"shape": 0.7, "number": 0.7, "arrow": 0.7, "icon": 1.0, "sign": 0.4}
"""Share of drawings that lie on a pale board, by kind; icons do not show without."""
_LEAST_CONTRAST = 150
"""Summed over the channels (0..255); below it there is always a board."""


@cache
def pad_of(kind: str, name: str, color: str | None) -> np.ndarray:
    """Return a drawing (see :func:`sketch`), read-only."""
    strokes = (COLORED[kind] if kind in COLORED else FIXED[kind])[name]
    pad = sketch(strokes, color or "black")
    pad.flags.writeable = False
    return pad


def ground(rng: np.random.Generator) -> np.ndarray:
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


def needs_board(kind: str, color: str | None, below: np.ndarray, rng: np.random.Generator) -> bool:
    """Tell whether a drawing lies on a board: where it would be lost on its ground, or at random.

    A random number is drawn only where the ground leaves the choice.
    """
    if color and np.abs(below.mean((0, 1)) - PENS[color]).sum() < _LEAST_CONTRAST:
        return True
    return bool(rng.random() < _BOARDS[kind])
