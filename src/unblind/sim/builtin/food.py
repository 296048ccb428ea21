"""Procedural food, in mm, in the pose of the released models.

Each function returns an object's coloured parts and collision pieces before they are fitted to the
released bounding box. The centre of the collision's box, which the released planner takes hold
of, is inside a piece of every object.
"""

import numpy as np

from unblind.sim.builtin import colors
from unblind.sim.builtin.primitives import Part, arc, ball, box, loft, lying, lying_y, shell, tube


def carrot() -> Part:
    """Orange cone with a darker ring and a tuft of leaves that rises from the table."""
    body = lying([(-64, 2), (-60, 4), (-20, 11), (5, 14), (24, 16), (33, 14), (37, 6)], -17.8)
    rings = [
        colors.ORANGE,
        colors.ORANGE,
        colors.TERRACOTTA,
        colors.ORANGE,
        colors.ORANGE,
        colors.ORANGE,
    ]
    tuft = [
        tube([(36, 0, 0), (44, y / 2, z / 2), (54, y, z)], 2.4, color, sides=6)
        for y, z, color in (
            (0, 23, colors.LEAF),
            (-13, 12, colors.GREEN),
            (13, 12, colors.GREEN),
            (-5, 18, colors.FOREST),
            (5, 20, colors.LEAF),
        )
    ]
    grip = loft("x", [body[0], body[2], body[4], body[6]], colors.ORANGE, sides=8, power=4)
    crown = box((37, -16, -14), (54, 16, 23.4), colors.LEAF, taper=0.8)
    return sum(tuft, loft("x", body, rings)) + shell(grip) + shell(crown)


def bread() -> Part:
    """Loaf with a brown, scored crust and cream cut faces."""
    section = [(-22.2, 19, 12), (-21, 22, 14.5), (21, 22, 14.5), (22.2, 19, 12)]
    loaf = loft("x", section, [colors.CREAM, colors.TAN, colors.CREAM], power=3.2, sides=24)
    crust = loft(
        "x", [(-20, 20, 10, 0, 5.2), (20, 20, 10, 0, 5.2)], colors.BROWN, power=2.6, sides=24
    )
    scores = [box((x - 1.6, -15, 13), (x + 1.6, 15, 15.6), colors.CREAM) for x in (-11, 0, 11)]
    return sum(scores, shell(loft("x", section, colors.TAN, sides=8, power=4))) + loaf + crust


def zucchini() -> Part:
    """Dark green, bent, with light stripes, a pale stem and a yellow blossom end."""
    bow = lambda h: 0.0022 * h * h - 4.0  # noqa: E731
    rows = [(-61, 6), (-56, 11), (-30, 13), (10, 12.5), (30, 11), (38, 7), (40, 5)]
    body = loft(
        "x",
        [(h, r, r, bow(h), r - 12.3) for h, r in rows],
        colors.FOREST,
        sides=24,
        wedges=(colors.FOREST, colors.FOREST, colors.LEAF) * 4,
    )
    stem = loft("x", [(39, 4.6, 4.6, 0, -5), (48.6, 6, 6, 1.5, -3)], colors.TAN, sides=12)
    bloom = ball((-60, bow(60), -5), (3, 6, 6), colors.YELLOW, sides=12, rows=6)
    grip = loft(
        "x",
        [(h, r, r, bow(h), r - 12.3) for h, r in ((-61, 8), (-30, 13), (10, 13), (36, 10))],
        colors.FOREST,
        sides=8,
    )
    return body + stem + bloom + shell(grip) + shell(stem)


def banana() -> Part:
    """Yellow arc of edged segments with brown ends and spots; the pieces follow the bend."""
    points = arc(212, 328, 52, (0, 26), 13)
    size = np.array([3.0, 4.2, 6.6, 8.6, 9.2, 9.2, 9.2, 9.2, 9.2, 8.6, 6.6, 4.2, 3.0])
    rows = [(x, r * 1.25, r, y, r - 9.2) for (x, y), r in zip(points, size, strict=True)]
    paint = [colors.COCOA] + [colors.YELLOW] * 10 + [colors.BROWN]
    skin = loft("x", rows, paint, sides=10, smooth=False)
    spots = [
        ball((x, -15 + 0.006 * x * x, 8.2), (4, 2, 1.4), colors.BROWN, 8, 4) for x in (-14, 6, 22)
    ]
    pieces = [
        shell(loft("x", rows[a:b], colors.YELLOW, sides=6))
        for a, b in ((0, 4), (3, 6), (5, 8), (7, 10), (9, 13))
    ]
    return sum(pieces, sum(spots, skin))


def hamburger() -> Part:
    """Bun with seeds, lettuce, patty, cheese and tomato."""
    bottom = loft("z", [(-18.9, 20, 20), (-17, 24, 24), (-11, 25, 25)], colors.GOLD)
    lettuce = loft("z", [(-11, 26, 26), (-8, 26.5, 26.5)], colors.LIME, sides=16, smooth=False)
    patty = loft("z", [(-8, 24.5, 24.5), (0, 24.5, 24.5)], colors.COCOA)
    cheese = box((-19, -19, 0), (19, 19, 2.4), colors.YELLOW)
    tomato = loft("z", [(2.4, 23, 23), (5, 23, 23)], colors.RED)
    bun = loft("z", [(5, 25, 25), (10, 24, 24), (17, 18, 18), (22.3, 0, 0)], colors.GOLD)
    seeds = [
        ball((r * np.cos(a), r * np.sin(a), z), (2, 2, 1.4), colors.CREAM, 6, 4)
        for r, z, n in ((0, 22, 1), (10, 19.5, 5), (18.5, 15.5, 8))
        for a in np.arange(n) * 2 * np.pi / n
    ]
    grip = loft(
        "z", [(-18.9, 21, 21), (-10, 25, 25), (8, 25, 25), (22.3, 9, 9)], colors.GOLD, sides=10
    )
    return sum(seeds, bottom + lettuce + patty + cheese + tomato + bun) + shell(grip)


def pepper() -> Part:
    """Four red lobes around a dark core, a green collar and stem."""
    lobes = [
        ball((9 * np.cos(a), 9 * np.sin(a), -2), (13, 13, 18), colors.RED, 14, 10)
        for a in np.arange(4) * np.pi / 2
    ]
    core = ball((0, 0, -1), (14, 14, 15), colors.MAROON, 12, 8)
    collar = loft("z", [(11, 11, 11), (15.5, 6, 6)], colors.GREEN)
    stem = tube([(0, 0, 12), (0, 0, 18), (3, 1, 22.8)], 3, colors.GREEN)
    grip = loft(
        "z", [(-22.8, 12, 12), (-8, 22, 22), (6, 22, 22), (16, 14, 14)], colors.RED, sides=10
    )
    return (
        sum(lobes, core + collar + stem)
        + shell(grip)
        + shell(box((-3, -3, 12), (4, 3, 22.8), colors.GREEN))
    )


def potato() -> Part:
    """Tan lump with brown eyes and a flat underside."""
    rows = [
        (-37, 8, 8, -5, 0),
        (-31, 16, 17, -4, 0),
        (-22, 20, 21.5, -2, -1),
        (-8, 22, 24, 0, -1),
        (10, 22, 23.5, 0, 1),
        (22, 19.5, 20, -2, 1),
        (31, 14.5, 15, -4, 1),
        (37, 7, 7, -6, 0),
    ]
    skin = loft("y", rows, colors.TAN)
    eyes = [
        ball((x, y, z), (3, 3.4, 2), colors.BROWN, 8, 4)
        for x, y, z in (
            (8, -20, 17.5),
            (-12, -8, 18.5),
            (10, 6, 20.2),
            (-6, 22, 17.6),
            (20, -5, 11),
            (-19, 14, 11.5),
            (18, 18, 11),
        )
    ]
    grip = [(-37, 12, 12, -10, 0), (-18, 22, 24, 0, 0), (14, 22, 24, 0, 0), (37, 12, 12, -10, 0)]
    return sum(eyes, skin) + shell(loft("y", grip, colors.TAN, sides=8, power=2.6))


def baguette() -> Part:
    """Long golden loaf with slanting pale scores."""
    rows = lying_y([(-70.7, 3), (-64, 8), (-50, 12), (50, 12.5), (62, 8), (68.2, 3)], -12.4)
    rows = [(h, rz, rz * 1.5, oz, ox) for h, rz, _, oz, ox in rows]
    crust = loft("y", rows, colors.GOLD)
    scores = [
        tube([(-9, y - 7, 9.5), (0, y, 12.4), (9, y + 7, 9.5)], 2.2, colors.CREAM, 6)
        for y in (-44, -22, 0, 22, 44)
    ]
    sole = loft("y", [(-60, 3, 14, -9.5, 0), (58, 3, 14, -9.5, 0)], colors.BROWN)
    grip = [rows[0], rows[2], rows[3], rows[5]]
    return sum(scores, crust + sole) + shell(loft("y", grip, colors.GOLD, sides=8, power=4))


def onion() -> Part:
    """Purple and lilac bulb with a pale tip and roots."""
    shape = [
        (-25.7, 8, 9),
        (-23, 15, 18),
        (-17, 20.5, 25),
        (-9, 24.5, 29.6),
        (0, 25.6, 31),
        (8, 23, 27.6),
        (14, 17.5, 20),
        (18, 11, 12),
        (22, 6, 6),
        (25.5, 3, 3),
    ]
    bulb = loft(
        "z", shape, colors.PURPLE, sides=24, wedges=(colors.PURPLE, colors.PURPLE, colors.LILAC) * 4
    )
    tip = loft("z", [(14, 9, 10), (20, 6, 6), (25.5, 2.5, 2.5)], [colors.TAN, colors.CREAM])
    roots = loft("z", [(-25.7, 5, 5), (-24.5, 8, 8)], colors.CREAM)
    grip = loft(
        "z",
        [(-25.7, 18, 22), (-12, 25.6, 31), (9, 25.6, 31), (18, 14, 16)],
        colors.PURPLE,
        sides=8,
        power=2.6,
    )
    crown = loft("z", [(14, 9, 9), (25.5, 5, 5)], colors.TAN, sides=8)
    return bulb + tip + roots + shell(grip) + shell(crown)
