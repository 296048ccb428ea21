"""Collages: portraits and flat drawings in several styles, pasted on photos and plain grounds.

They stand for what a tower trained on the web has seen: the same thing from other sides, drawn,
printed, half covered, blurred, on any ground. Of the styles each name has one that training never
shows (`held_out_style`); a split of its own asks for it.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from unblind.pictures import icons
from unblind.pictures.pictograms import COLORED
from unblind.pictures.scenes import COLORS, Scene, Thing
from unblind.sim.catalog import Table

if TYPE_CHECKING:
    from unblind.pictures.portraits import Portraits

SIZE = icons.SIZE
"""Width and height of a picture, px."""
Mode = Literal["train", "style"]
"""Styles that are shown: those of training, or each name's held-out one."""
_SHARES = {
    "object": 0.34,
    "plate": 0.22,
    "shape": 0.14,
    "number": 0.07,
    "arrow": 0.05,
    "icon": 0.09,
    "sign": 0.09,
}
_MOST_THINGS = 5
_SIDES = {"object": (26, 52), "plate": (32, 60)}
_DRAWN_SIDES = (22, 46)
"""Shortest and longest side of a thing, px."""
_PLAIN = 0.4
"""Share of things in their plain look."""
_TILT_DEG = {"object": 25.0, "plate": 25.0}
_DRAWN_TILT_DEG = 12.0
_OVERLAP = 0.12
"""Most of its side by which a thing may reach over another."""


@dataclass(frozen=True, eq=False)
class Collage:
    """A picture (H, W, 3) uint8 and what it shows."""

    image: np.ndarray
    scene: Scene


class CollageArtist:
    """Draws collages; a picture depends on its seed alone.

    Args:
        portraits: of the objects and plates.
        names: by kind, in groups that are drawn from with equal chances.
        tables: whose photos serve as grounds.
        named: how many of the first tables are told by name.
    """

    def __init__(
        self,
        portraits: "Portraits",
        names: Mapping[str, Sequence[Sequence[str]]],
        tables: Sequence[Table],
        named: int,
    ) -> None:
        self._portraits, self._names, self._tables, self._named = portraits, names, tables, named

    def draw(self, seed: int | Sequence[int], mode: Mode = "train") -> Collage:
        """Return the picture of a seed: one to five things."""
        rng = np.random.default_rng(seed)
        canvas, table = self._ground(rng)
        things: list[Thing] = []
        boxes: list[tuple[int, int, int]] = []
        for _ in range(1 + rng.integers(_MOST_THINGS)):
            thing = self._paste(rng, canvas, boxes, mode, {t.name for t in things})
            if thing is not None:
                things.append(thing)
        image = spoil(canvas.round().clip(0, 255).astype(np.uint8), rng)
        return Collage(image, Scene(tuple(things), table=table))

    def _ground(self, rng: np.random.Generator) -> tuple[np.ndarray, str | None]:
        """Return a ground (H, W, 3) float32, and its name where it is a table's photo."""
        if rng.random() < 0.5:
            return icons.ground(rng), None
        table = self._tables[int(rng.integers(len(self._tables)))]
        photo = table.photo(320, 240)
        share = rng.uniform(0.55, 1)
        high, wide = int(240 * share), int(320 * share)
        y, x = rng.integers(0, 241 - high), rng.integers(0, 321 - wide)
        window = photo[y : y + high, x : x + wide]
        if rng.random() < 0.5:
            window = window[:, ::-1]
        canvas = cv2.resize(window, SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        return canvas, table.name if table.index < self._named else None

    def _paste(
        self,
        rng: np.random.Generator,
        canvas: np.ndarray,
        boxes: list[tuple[int, int, int]],
        mode: Mode,
        known: set[str],
    ) -> Thing | None:
        """Paste one thing onto the canvas, in place; None where there was no room."""
        kind = list(_SHARES)[rng.choice(len(_SHARES), p=list(_SHARES.values()))]
        name, color, pad = self._pick(rng, kind)
        low, high = _SIDES.get(kind, _DRAWN_SIDES)
        side = int(low + (high - low) * rng.random() ** 1.5)
        corner = _free_corner(rng, side, boxes)
        if corner is None or name in known:
            return None
        boxes.append((*corner, side))
        x, y = corner
        below = canvas[y : y + side, x : x + side]
        drawn = kind not in ("object", "plate")
        stamp = _stamp(rng, style_of(name, mode, rng)(pad, rng), side, kind)
        if drawn and icons.needs_board(kind, color, below, rng):
            stamp = _on_board(rng, stamp)
        _lay(below, stamp)
        middle = (y + side / 2) / SIZE[1], (x + side / 2) / SIZE[0]
        return Thing(name, kind, middle, color)

    def _pick(self, rng: np.random.Generator, kind: str) -> tuple[str, str | None, np.ndarray]:
        """Return a name of a kind, its colour if it is drawn in one, and its pad."""
        groups = self._names[kind]
        group = groups[int(rng.integers(len(groups)))]
        name = group[int(rng.integers(len(group)))]
        if kind in ("object", "plate"):
            pad = self._portraits.draw(name, int(rng.integers(self._portraits.views)))
            return name, None, pad.astype(np.float32)
        color = COLORS[int(rng.integers(len(COLORS)))] if kind in COLORED else None
        return name, color, icons.pad_of(kind, name, color).astype(np.float32)


# ---- styles -----------------------------------------------------------------------------------
# All take and return a pad (S, S, 4) float32: RGB multiplied by coverage, and coverage, in 0..255.

Style = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def plain(pad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As it is."""
    return pad


def sticker(pad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut out of white paper, with a rim."""
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(rng.integers(2, 6)) + 1,) * 2)
    paper = cv2.dilate(pad[..., 3], rim)[..., None].repeat(4, axis=2)
    paper[..., :3] *= rng.uniform(0.85, 1)
    return pad + paper * (1 - pad[..., 3:] / 255)


def hatched(pad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Printed in lines, between which the ground shows."""
    side = pad.shape[0]
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    turn = rng.uniform(0, np.pi)
    along = (x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / rng.uniform(7, 14)
    lines = np.where(np.sin(along) > -0.3, 1.0, rng.uniform(0.1, 0.5))
    return pad * lines[..., None].astype(np.float32)


def chalk(pad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rubbed onto a rough ground that shows through in grains."""
    side = pad.shape[0]
    grain = rng.random((side // 3, side // 3)).astype(np.float32)
    grain = cv2.resize(grain, (side, side), interpolation=cv2.INTER_LINEAR)
    return pad * np.clip((grain - 0.2) * 3, 0.05, 1)[..., None]


def poster(pad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In few colours, with a dark contour."""
    cover = pad[..., 3:] / 255
    color = pad[..., :3] / np.maximum(cover, 1e-3)
    flat = np.round(color / 85) * 85 * cover
    edge = cv2.morphologyEx(pad[..., 3], cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    flat *= 1 - 0.85 * np.minimum(edge, pad[..., 3])[..., None] / 255
    return np.concatenate([flat, pad[..., 3:]], axis=-1)


def faded(pad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Old print: pale, soft, half transparent."""
    soft = cv2.GaussianBlur(pad, (0, 0), rng.uniform(1, 2.5))
    pale = soft[..., 3:] * rng.uniform(190, 235) / 255
    soft[..., :3] += 0.35 * (pale - soft[..., :3])
    return soft * np.float32(rng.uniform(0.75, 0.95))


STYLES: tuple[Style, ...] = (sticker, hatched, chalk, poster, faded)
"""The looks beside the plain one."""


def held_out_style(name: str) -> Style:
    """Return the style in which training never shows what is called ``name``."""
    return STYLES[zlib.crc32(name.encode()) % len(STYLES)]


def style_of(name: str, mode: Mode, rng: np.random.Generator) -> Style:
    """Draw a style for a thing."""
    if mode == "style":
        return held_out_style(name)
    if rng.random() < _PLAIN:
        return plain
    seen = [style for style in STYLES if style is not held_out_style(name)]
    return seen[int(rng.integers(len(seen)))]


# ---- picture ----------------------------------------------------------------------------------


def spoil(image: np.ndarray, rng: np.random.Generator, most: float = 1.0) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 as a worse camera in other light would have taken it.

    Args:
        image: the picture.
        rng: draws light, colour cast, blur, noise and what stands before it.
        most: strength; 0 leaves the picture as it is.
    """
    if not most:
        return image
    values = image.astype(np.float32)
    if rng.random() < 0.25 * most:
        values = _cover(values, rng)
    gain = 1 + most * rng.uniform(-0.2, 0.2, 3).astype(np.float32)
    contrast = np.float32(1 + most * rng.uniform(-0.3, 0.25))
    values = ((values - 128) * contrast + 128 + most * np.float32(rng.normal(0, 12))) * gain
    if rng.random() < 0.3:
        height, width = values.shape[:2]
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        slope = rng.normal(0, 0.12 * most, 2)
        values *= (1 + slope[0] * x + slope[1] * y)[..., None].astype(np.float32)
    if rng.random() < 0.35:
        values = cv2.GaussianBlur(values, (0, 0), 0.25 + most * rng.uniform(0, 0.75))
    if rng.random() < 0.4:
        values += rng.normal(0, most * rng.uniform(0, 9), values.shape).astype(np.float32)
    return values.round().clip(0, 255).astype(np.uint8)


def _cover(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay a bar or a blot over a part of the picture."""
    height, width = values.shape[:2]
    color = tuple(rng.uniform(0, 255, 3).tolist())
    ends = (rng.random((2, 2)) * [width, height]).astype(int).tolist()
    if rng.random() < 0.5:
        return cv2.line(values, ends[0], ends[1], color, int(rng.integers(2, 6)), cv2.LINE_AA)
    return cv2.circle(values, ends[0], int(rng.integers(3, 9)), color, -1, cv2.LINE_AA)


def _free_corner(
    rng: np.random.Generator, side: int, boxes: list[tuple[int, int, int]]
) -> tuple[int, int] | None:
    """Return the upper left corner of a square that covers little of the others, or None."""
    room = np.array(SIZE) - side
    for x, y in rng.integers(0, room, (20, 2), endpoint=True).tolist():
        if all(
            abs(x + side / 2 - left - other / 2) > (0.5 - _OVERLAP) * (side + other)
            or abs(y + side / 2 - top - other / 2) > (0.5 - _OVERLAP) * (side + other)
            for left, top, other in boxes
        ):
            return x, y
    return None


def _stamp(rng: np.random.Generator, pad: np.ndarray, side: int, kind: str) -> np.ndarray:
    """Return a pad tilted, brightened or darkened, and resized to ``side``."""
    whole = pad.shape[0]
    tilt = _TILT_DEG.get(kind, _DRAWN_TILT_DEG)
    matrix = cv2.getRotationMatrix2D((whole / 2, whole / 2), rng.uniform(-tilt, tilt), 0.92)
    pad = cv2.warpAffine(pad, matrix, (whole, whole), flags=cv2.INTER_LINEAR)
    pad = cv2.resize(pad, (side, side), interpolation=cv2.INTER_AREA)
    pad[..., :3] *= np.float32(rng.uniform(0.8, 1.1))
    return pad


def _on_board(rng: np.random.Generator, stamp: np.ndarray) -> np.ndarray:
    """Return a stamp on a pale board."""
    side = stamp.shape[0]
    small = cv2.resize(stamp, (int(side * 0.86),) * 2, interpolation=cv2.INTER_AREA)
    edge = side - small.shape[0]
    around = (edge // 2, edge - edge // 2) * 2
    stamp = cv2.copyMakeBorder(small, *around, cv2.BORDER_CONSTANT, value=0)
    paper = np.full((side, side, 4), 255, np.float32)
    paper[..., :3] = np.clip(rng.uniform(205, 250) + rng.normal(0, 6, 3), 0, 255)
    return stamp + paper * (1 - stamp[..., 3:] / 255)


def _lay(below: np.ndarray, stamp: np.ndarray) -> None:
    """Lay a stamp over a part of the canvas, in place."""
    below *= 1 - stamp[..., 3:].clip(0, 255) / 255
    below += stamp[..., :3]
