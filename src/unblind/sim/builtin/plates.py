"""Shapes of the 17 procedural plates, in mm, in the pose of the released models.

Each collides as one convex piece: the thin wedges of a rim, a few mm across, would make PhysX
report contacts of hundreds of N that shoot a carried object away. Dishes are shallow, so that what
lies on that piece is hardly seen to float above the pictured floor.
"""

import numpy as np

from unblind.sim.builtin import colors, prints
from unblind.sim.builtin.primitives import (
    Color,
    Part,
    box,
    loft,
    outline_circle,
    outline_rectangle,
    shell,
    slab,
)


def _dish(
    foot: float,
    floor: float,
    rim: float,
    height: float,
    color: Color,
    edge: Color,
    image: np.ndarray,
) -> Part:
    """Return a round dish whose side leans outward.

    Args:
        foot: radius of the underside.
        floor: radius of the pictured floor, at 0.7 of the height.
        rim: radius of the upper edge.
        height: of the upper edge.
        color: of the side.
        edge: of the upper edge.
        image: of the floor.
    """
    base = slab(outline_circle(floor, 32), 0.6 * height, 0.7 * height, color, image)
    wall = loft(
        "z",
        [(0, foot), (height, rim), (height, rim - 1.5), (0.7 * height, floor - 0.5)],
        [color, edge, color],
        sides=32,
    )
    under = loft("z", [(0, foot), (0.01, foot)], color, sides=32)
    around = loft("z", [(0, foot), (height, rim)], color, sides=16)
    return base + Part(wall.visual[:-2]) + under + shell(around)


def _disk(height: float, color: Color, image: np.ndarray) -> Part:
    """Return a flat round plate; its collision has 20 sides."""
    look = slab(outline_circle(55, 40), 0, height, color, image)
    return look + shell(slab(outline_circle(55, 20), 0, height, color))


def _rectangle(
    width: float, depth: float, height: float, color: Color, image: np.ndarray, radius: float = 0
) -> Part:
    """Return a flat rectangular plate; ``radius`` rounds its corners."""
    look = slab(outline_rectangle((0, 0), (width, depth), radius), 0, height, color, image)
    return look + shell(look)


def _layers(
    size: tuple[float, float], heights: list[float], edges: list[Color], image: np.ndarray
) -> Part:
    """Return folded sheets: each layer smaller than the one below, the picture on the last."""
    looks = []
    for k, (low, high, edge) in enumerate(zip(heights[:-1], heights[1:], edges, strict=True)):
        outline = outline_rectangle((0.8 * k, 0.8 * k), (size[0] - 0.8 * k, size[1] - 0.8 * k))
        looks.append(slab(outline, low, high, edge, image if k == len(edges) - 1 else None))
    look = sum(looks, Part())
    return look + shell(look)


def _frying_pan() -> Part:
    """A pan with two pouring lips and the stub of its handle inside the released extent."""
    pan = _dish(42, 44, 49, 8.5, colors.BLACK, colors.GREY, prints.frying_pan())
    handle = box((-9, 44, 3), (9, 61, 8.4), colors.MAROON)
    lips = [box((x - 5, -7, 5), (x + 5, 7, 8.4), colors.SILVER) for x in (-50, 50)]
    around = loft("z", [(0, 42), (8.5, 49)], colors.BLACK, sides=8)
    body = shell(sum(lips, around + handle))
    return Part(sum(lips, pan + handle).visual) + body


def _pizza() -> Part:
    """A pizza: the pictured floor and a raised crust around it."""
    floor = slab(outline_circle(55, 40), 0, 5, (0.78, 0.50, 0.20), prints.pizza())
    crust = loft(
        "z",
        [(3, 55), (5.5, 54.6), (6.5, 52), (6, 49.5), (5, 48.5)],
        (0.80, 0.53, 0.24),
        sides=40,
    )
    around = loft("z", [(0, 54), (3, 55), (6.5, 52)], colors.BROWN, sides=12)
    return floor + Part(crust.visual[:-2]) + shell(around)


_WOOD = (0.70, 0.50, 0.28)

SHAPES = {
    "plate": lambda: _dish(42, 47, 55, 6, colors.WHITE, colors.SKY, prints.plate()),
    "cloth": lambda: _layers(
        (110, 110), [0, 3.1, 6.2, 9.4], [colors.RED, colors.WHITE, colors.RED], prints.cloth()
    ),
    "carpet": lambda: _rectangle(110, 94, 3.7, colors.MAROON, prints.carpet()),
    "newspaper": lambda: _layers(
        (81, 116), [0, 1.4, 2.8, 4.1], [colors.CREAM, colors.GREY, colors.WHITE], prints.newspaper()
    ),
    "sheet metal": lambda: _rectangle(111, 94, 3.2, colors.GREY, prints.sheet_metal()),
    "drawing tablet": lambda: _rectangle(113, 84, 3.6, colors.BLACK, prints.drawing_tablet(), 7),
    "tomato slice": lambda: _disk(4.3, colors.RED, prints.tomato_slice()),
    "pizza": _pizza,
    "flat bowl": lambda: _dish(
        36, 44, 55, 12, (0.20, 0.50, 0.46), colors.CREAM, prints.flat_bowl()
    ),
    "gramophone disk": lambda: _disk(2.7, colors.BLACK, prints.gramophone_disk()),
    "frying pan": _frying_pan,
    "mouse pad": lambda: _rectangle(110, 110, 6.4, colors.BLACK, prints.mouse_pad(), 10),
    "cutting board": lambda: _rectangle(126, 110, 2.7, _WOOD, prints.cutting_board(), 12),
    "chess board": lambda: _rectangle(110, 110, 6, colors.BROWN, prints.chess_board()),
    "manhole cover": lambda: _disk(4.5, (0.36, 0.27, 0.22), prints.manhole_cover()),
    "envelope": lambda: _rectangle(110, 80, 3, colors.CREAM, prints.envelope()),
    "notepad": lambda: _rectangle(110, 80, 4, colors.YELLOW, prints.notepad()),
}
"""What builds each plate's parts, in released order."""
