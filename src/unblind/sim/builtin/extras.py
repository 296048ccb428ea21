"""More things for robot pretraining: plain coloured solids, receptacles and tables.

None of them occurs in the study's conditions. They follow the 25 objects, 17 plates and 21 tables
of the builtin assets in one longer catalog, so that an index means the same in both.
"""

from functools import cache
from itertools import product

import numpy as np

from unblind.sim.builtin.primitives import (
    Color,
    Part,
    ball,
    box,
    loft,
    outline_circle,
    outline_rectangle,
    shell,
    slab,
)
from unblind.sim.builtin.scenes import Look, Scene
from unblind.sim.catalog import Model

TABLES = 32
"""Number of extra tables."""

COLORS: dict[str, Color] = {
    "red": (0.80, 0.12, 0.10),
    "orange": (0.93, 0.50, 0.08),
    "yellow": (0.94, 0.82, 0.15),
    "green": (0.15, 0.58, 0.20),
    "blue": (0.12, 0.28, 0.78),
    "purple": (0.48, 0.20, 0.62),
    "white": (0.92, 0.92, 0.90),
    "black": (0.10, 0.10, 0.11),
}


def _prism(radius: float, height: float, color: Color, sides: int) -> Part:
    look = slab(outline_circle(radius, sides), 0, height, color)
    return look + shell(look)


def _solid(low: tuple, high: tuple, color: Color, taper: float = 1.0) -> Part:
    look = box(low, high, color, taper)
    return look + shell(look)


def _ball(color: Color) -> Part:
    return ball((0, 0, 16), (16, 16, 16), color) + shell(
        ball((0, 0, 16), (16, 16, 16), color, sides=10, rows=6)
    )


#: Solids of at most 5 cm between the fingers, as the released objects are (mm).
_SOLIDS = {
    "cube": lambda c: _solid((-14, -14, 0), (14, 14, 28), c),
    "bar": lambda c: _solid((-38, -11, 0), (38, 11, 20), c),
    "brick": lambda c: _solid((-24, -14, 0), (24, 14, 22), c),
    "pyramid": lambda c: _solid((-20, -20, 0), (20, 20, 30), c, 0.35),
    "cylinder": lambda c: _prism(14, 42, c, 16),
    "hexagon": lambda c: _prism(18, 24, c, 6),
    "puck": lambda c: _prism(19, 16, c, 20),
    "ball": _ball,
}


def _dish(color: Color) -> Part:
    wall = loft("z", [(0, 38), (9, 54), (9, 51), (6, 42)], color, sides=28)
    floor = slab(outline_circle(43, 28), 5, 6.5, color)
    return Part(wall.visual[:-2]) + floor + shell(loft("z", [(0, 38), (9, 54)], color, sides=14))


def _flat(width: float, depth: float, height: float, radius: float, color: Color) -> Part:
    corner = (width / 2, depth / 2)
    look = slab(outline_rectangle((-corner[0], -corner[1]), corner, radius), 0, height, color)
    return look + shell(look)


#: Receptacles of about the plates' size (mm).
_RECEPTACLES = {
    "saucer": _dish,
    "coaster": lambda c: _prism(52, 5, c, 24),
    "tray": lambda c: _flat(114, 92, 5, 8, c),
    "tile": lambda c: _flat(104, 104, 6, 0, c),
    "mat": lambda c: _flat(112, 100, 3, 14, c),
}


def _models(shapes: dict, first: int, density: float, centered: bool) -> tuple[Model, ...]:
    """Build every shape in every colour in m, on its origin or (as objects are) around it."""
    models = []
    for index, (color, shape) in enumerate(product(COLORS, shapes), first):
        part = shapes[shape](COLORS[color])
        height = np.concatenate(part.collision)[:, 2].max()
        shift = np.array([0, 0, -height / 2000 if centered else 0.0])
        part = part.map(np.full(3, 1e-3), shift)
        name = f"{color} {shape}"
        models.append(Model(name, index, "train", density, part.collision, part.visual))
    return tuple(models)


def objects(first: int) -> tuple[Model, ...]:
    """Return the 64 extra objects ("red cube" ...), counted from ``first``."""
    return _models(_SOLIDS, first, 700.0, centered=True)


def receptacles(first: int) -> tuple[Model, ...]:
    """Return the 40 extra receptacles ("red saucer" ...), counted from ``first``."""
    return _models(_RECEPTACLES, first, 3000.0, centered=False)


_TOPS = ("wood", "plain", "marble", "tiles", "checker", "speckle", "planks", "weave", "dots")
_TOPS += ("plaid", "stripes", "terrazzo", "clouds", "parquet", "waves", "camouflage", "slats")


@cache
def scene(number: int) -> Scene:
    """Return what extra table ``number`` shows, drawn from a seed of its own."""
    rng = np.random.default_rng([21, number])

    def look(kinds: tuple[str, ...]) -> Look:
        grey, tint = rng.uniform(40, 225), rng.uniform(-90, 90, 3) * rng.uniform(0.1, 1)
        lighter = rng.normal(0, 30, (6, 1)) + rng.normal(0, 12, (6, 3))
        colors = np.clip(grey + tint + lighter, 0, 255).astype(int)
        packed = tuple(int(r) << 16 | int(g) << 8 | int(b) for r, g, b in colors)
        return str(rng.choice(kinds)), packed, float(rng.uniform(0.6, 1.6))

    shift = rng.uniform(-0.03, 0.03, 4)
    top = look(_TOPS)
    return Scene(
        top,
        top[1][-1],
        look(("plain", "planks", "tiles", "weave", "grass")),
        look(("plain", "bricks", "stripes")) if rng.random() < 0.7 else None,
        tuple((np.array([-0.36, -0.31, 0.01, 0.56]) + shift).tolist()),
        float(rng.uniform(0, 0.4)),
        tuple(rng.uniform(-0.2, 0.2, 2).tolist()),
    )
