"""The 21 procedural tables: a photo that fills the study camera's frame, and a texture each."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from unblind.sim.builtin import extras
from unblind.sim.builtin.patterns import paint, rgb
from unblind.sim.builtin.primitives import outline_circle, outline_rectangle
from unblind.sim.builtin.scenes import SCENES, TEXTURES, Look, Scene
from unblind.sim.camera import AXES, CENTER, EYE, FOCAL, FRAME, TABLE_Z, project
from unblind.sim.catalog import Split


def _plane(
    look: Look, seed: int, origin: tuple, u: tuple, v: tuple, spread: float, step: int = 1
) -> np.ndarray:
    """Paint a plane as the camera sees it: pattern px (s, t) lies at origin + spread (s u + t v).

    Args:
        look: the pattern, repeated without end by mirroring.
        seed: of the pattern.
        origin: world place of the pattern's first pixel, m.
        u: direction of the pattern's columns.
        v: direction of its rows.
        spread: m a pattern pixel.
        step: only every so many pixels of the frame.
    """
    kind, colors, scale = look
    tile = paint(kind, colors, seed, 640, 1024, scale)
    axes = np.stack([u, v, np.cross(u, v)])
    column, row = (np.arange(0, size, step) + (step - 1) / 2 for size in FRAME)
    x, y = np.meshgrid((column - CENTER[0]) / FOCAL, (row - CENTER[1]) / FOCAL)
    turn = AXES @ axes.T
    start = axes @ (EYE - np.asarray(origin))
    across, along, away = (x * turn[0, k] + y * turn[1, k] + turn[2, k] for k in range(3))
    reach = -start[2] / np.where(np.abs(away) < 1e-9, 1e-9, away)
    place = [
        ((s + reach * d) / spread).astype(np.float32)
        for s, d in zip(start, (across, along), strict=False)
    ]
    return cv2.remap(tile, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _mask(points: np.ndarray) -> np.ndarray:
    """Return the convex outline's coverage (480, 640, 1) in [0, 1] of world points (N, 3)."""
    mask = np.zeros(FRAME[::-1], np.uint8)
    pixels = cv2.convexHull(project(points).astype(np.float32))
    cv2.fillConvexPoly(mask, np.round(pixels * 16).astype(np.int32), 255, cv2.LINE_AA, shift=4)
    return (mask / 255.0).astype(np.float32)[..., None]


def _at(outline: np.ndarray, z: float) -> np.ndarray:
    """Return outline corners (N, 2) at height z, (N, 3)."""
    return np.column_stack([outline, np.full(len(outline), z)])


def _background(scene: Scene, seed: int) -> np.ndarray:
    """Paint the floor, and the wall that stands on it behind the table."""
    picture = _plane(scene.floor, seed, (-3, -3, 0.12), (0, 1, 0), (1, 0, 0), 0.004, 2)
    if scene.wall is not None:
        wall = _plane(scene.wall, seed + 1, (-0.75, -3, 3), (0, 1, 0), (0, 0, -1), 0.003, 2)
        corners = np.array([(-0.75, y, z) for y in (-3, 1.5) for z in (0.12, 3)])
        picture = _blend(picture, wall, _mask(corners)[::2, ::2])
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8)  # out of focus, so half the pixels are enough
    return cv2.resize(picture, FRAME, interpolation=cv2.INTER_LINEAR)


def _blend(below: np.ndarray, above: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Lay ``above`` over ``below`` where ``cover`` is 1."""
    return below + cover * (above - below)


def _shade(scene: Scene, picture: np.ndarray) -> np.ndarray:
    """Multiply by a slope of light and darken the corners."""
    width, height = FRAME
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    light = 1 + scene.light[0] * x + scene.light[1] * y - 0.06 * (x * x + y * y)
    return picture * light[..., None].astype(np.float32)


def _reflection(strength: float) -> np.ndarray:
    """Return the glow of a lamp on the table top, (480, 640, 1), 0..255."""
    x, y = np.meshgrid(np.arange(FRAME[0]), np.arange(FRAME[1]))
    near = np.exp(-(((x - 430) / 190.0) ** 2 + ((y - 150) / 90.0) ** 2))
    return (strength * 110 * near).astype(np.float32)[..., None]


def _scene(index: int) -> Scene:
    """Return what a table shows; indices beyond the study's 21 are the extra ones'."""
    return SCENES[index] if index < len(SCENES) else extras.scene(index - len(SCENES))


@cache
def _photo(index: int) -> np.ndarray:
    """Return a table's photo at its own size, (480, 640, 3) uint8, read-only."""
    scene, seed = _scene(index), 1000 + 10 * index
    if len(scene.bounds) == 3:
        outline = outline_circle(scene.bounds[2], 64, scene.bounds[:2])
    else:
        outline = outline_rectangle(scene.bounds[:2], scene.bounds[2:], 0.012)
    picture = _background(scene, seed)
    sides = _mask(np.concatenate([_at(outline, TABLE_Z), _at(outline, TABLE_Z - 0.025)]))
    picture = _blend(picture, rgb(scene.edge), sides)
    patches = [
        (outline, scene.top),
        *((outline_rectangle(e[:2], e[2:4]), e[4]) for e in scene.extra),
    ]
    for k, (shape, look) in enumerate(patches):
        top = _plane(look, seed + 2 + k, (-0.6, -0.5, TABLE_Z), (0, 1, 0), (1, 0, 0), 0.001)
        picture = _blend(picture, top + _reflection(scene.gloss), _mask(_at(shape, TABLE_Z)))
    photo = np.clip(_shade(scene, picture), 0, 255).astype(np.uint8)
    photo.flags.writeable = False
    return photo


@cache
def _resized(index: int, width: int, height: int) -> np.ndarray:
    """Return a table's photo at another size, averaged over areas, read-only."""
    photo = cv2.resize(_photo(index), (width, height), interpolation=cv2.INTER_AREA)
    photo.flags.writeable = False
    return photo


@cache
def _texture(index: int) -> np.ndarray:
    """Return a texture, (480, 640, 3) uint8, read-only."""
    kind, colors, scale = TEXTURES[index]
    texture = paint(kind, colors, 5000 + index, FRAME[1], FRAME[0], scale).astype(np.uint8)
    texture.flags.writeable = False
    return texture


@dataclass(frozen=True)
class PaintedTable:
    """A procedural table; pictures are painted on first use, from seeds fixed by the index.

    Attributes:
        name: as released where that is unique, else the released file's stem without its number.
        index: position in the released model_db.json (0-based).
        split: train or test.
        texture_name: released file name of its texture.
        mix: released weight of the texture.
    """

    name: str
    index: int
    split: Split
    texture_name: str
    mix: float

    def photo(self, width: int, height: int) -> np.ndarray:
        """Return the photo as (height, width, 3) uint8, read-only, without copying."""
        return (
            _photo(self.index) if (width, height) == FRAME else _resized(self.index, width, height)
        )

    def texture(self) -> np.ndarray:
        """Return the texture as (480, 640, 3) uint8, read-only, without copying."""
        return _texture(self.index)
