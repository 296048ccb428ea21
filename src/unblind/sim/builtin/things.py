"""Procedural tools, toys and other things, in mm, in the pose of the released models.

Each function returns an object's coloured parts and collision pieces before they are fitted to the
released bounding box. The centre of the collision's box, which the released planner takes hold
of, is inside a piece of every object.
"""

import numpy as np

from unblind.sim.builtin import colors, prints
from unblind.sim.builtin.primitives import Part, ball, box, loft, shell


def shovel() -> Part:
    """Grey slotted blade and a thick red handle, which passes the middle."""
    blade = box((-28.5, -61, -12.3), (28.5, -8, -9), colors.GREY, taper=0.97)
    slots = [box((x - 3, -52, -9.2), (x + 3, -18, -8.8), colors.BLACK) for x in (-16, 0, 16)]
    neck = loft("y", [(-14, 3, 20, -9, 0), (4, 8, 8, -4, 0)], colors.GREY, sides=12)
    handle = loft(
        "y",
        [(0, 9, 8, -3.3, 0), (60, 10.6, 9.5, -1.7, 0), (87.6, 10.6, 8, -1.7, 0)],
        colors.RED,
        power=3,
    )
    band = loft("y", [(68, 11, 9.9, -1.7, 0), (76, 11, 9.7, -1.7, 0)], colors.WHITE, power=3)
    grip = loft(
        "y",
        [(-4, 9, 9, -3.3, 0), (60, 10.6, 9.5, -1.7, 0), (87.6, 10.6, 8, -1.7, 0)],
        colors.RED,
        sides=8,
    )
    return sum(slots, blade + shell(blade)) + neck + handle + band + shell(grip)


def pipe() -> Part:
    """Grey tube with brass collars and a dark bore."""
    outside = loft(
        "y",
        [(-37, 17.3), (-24, 17.3), (-23.9, 13.5), (23.9, 13.5), (24, 17.3), (37, 17.3)],
        [colors.GOLD, colors.GOLD, colors.GREY, colors.GOLD, colors.GOLD],
        smooth=True,
    )
    outside = Part(outside.visual[:-2])
    bore = loft(
        "y",
        [(37, 17.3), (36.9, 12), (-36.9, 12), (-37, 17.3)],
        [colors.GOLD, colors.BLACK, colors.GOLD],
    )
    piece = [
        shell(loft("y", r, colors.GREY, sides=8, power=3))
        for r in ([(-37, 17.3), (-24, 17.3)], [(-24, 13.5), (24, 13.5)], [(24, 17.3), (37, 17.3)])
    ]
    return sum(piece, outside + Part(bore.visual[:-2]))


def bear() -> Part:
    """Sitting brown bear with pale belly, muzzle and soles, and a red scarf."""
    fur, pale = colors.BROWN, colors.CREAM
    looks = [
        ball((0, 0, -9), (17, 15, 17), fur),
        ball((0, -7, -9), (11, 10, 12), pale),
        ball((0, -1, 15), (14, 13, 13), fur),
        ball((0, -12, 12), (6.5, 5.5, 5), pale),
        ball((0, -17, 14), (2.4, 1.8, 1.8), colors.BLACK, 8, 6),
        ball((-5.5, -12, 18), (1.9, 1.9, 1.9), colors.BLACK, 8, 6),
        ball((5.5, -12, 18), (1.9, 1.9, 1.9), colors.BLACK, 8, 6),
        ball((-11, 0, 26), (5.5, 4, 5), fur, 12, 6),
        ball((11, 0, 26), (5.5, 4, 5), fur, 12, 6),
        ball((-11, -3, 26), (3.2, 2.4, 3.2), pale, 8, 6),
        ball((11, -3, 26), (3.2, 2.4, 3.2), pale, 8, 6),
        ball((-17, -4, -3), (5, 6, 9), fur, 12, 6),
        ball((17, -4, -3), (5, 6, 9), fur, 12, 6),
        ball((-10, -13, -20), (7, 8, 6.5), fur, 12, 6),
        ball((10, -13, -20), (7, 8, 6.5), fur, 12, 6),
        ball((-10, -19, -20), (4, 2, 4), pale, 8, 6),
        ball((10, -19, -20), (4, 2, 4), pale, 8, 6),
        loft("z", [(2, 12, 12), (5, 12, 12)], colors.RED, at=(0, -1, 0)),
    ]
    trunk = loft(
        "z", [(-26, 15, 15, 0, -2), (-14, 21, 19.3, 0, -2), (3, 18, 15, 0, 0)], fur, sides=10
    )
    head = loft("z", [(3, 12, 12, 0, -1), (18, 15, 14, 0, -2), (30.3, 12, 6, 0, 0)], fur, sides=10)
    return sum(looks, Part()) + shell(trunk) + shell(head)


def plant() -> Part:
    """Green bushy plant with a yellow flower in a terracotta pot."""
    pot = loft("z", [(-41, 13, 13), (-12, 19, 19), (-12, 21, 21), (-5, 21, 21)], colors.TERRACOTTA)
    soil = loft("z", [(-5, 19, 19), (-4.6, 19, 19)], colors.COCOA)
    leaves = [
        ball(
            (14 * np.cos(a), 14 * np.sin(a), 6 + 5 * (k % 2)),
            (7, 7, 9),
            (colors.LEAF, colors.GREEN)[k % 2],
            10,
            6,
        )
        for k, a in enumerate(np.linspace(0, 2 * np.pi, 7)[:-1])
    ]
    top = ball((0, 0, 19), (11, 11, 12), colors.LEAF, 12, 8) + ball(
        (3, -4, 25), (4, 4, 4), colors.YELLOW, 8, 6
    )
    base = loft("z", [(-41, 14, 14), (-12, 21, 21), (-5, 21, 21)], colors.TERRACOTTA, sides=12)
    crown = loft("z", [(-5, 18, 18), (10, 21, 21), (31.4, 8, 8)], colors.LEAF, sides=10)
    return sum(leaves, pot + soil + top) + shell(base) + shell(crown)


def golf_ball() -> Part:
    """White ball with grey dimples and a red mark, flattened where it rests."""
    skin = ball(
        (0, 0, 0), (15.3, 15.3, 15.3), colors.WHITE, sides=24, rows=14, image=prints.golf_ball()
    )
    grip = loft(
        "z",
        [(-15.3, 7, 7), (-9, 13, 13), (0, 15.3, 15.3), (9, 13, 13), (15.3, 5, 5)],
        colors.WHITE,
        sides=8,
    )
    return skin + shell(grip)


def spoon() -> Part:
    """Silver bowl with a grey hollow on a thick blue handle, which passes the middle."""
    back = loft(
        "z",
        [(-1.4, 12, 13), (3, 22, 22), (8, 24.8, 25.5)],
        colors.SILVER,
        at=(0, 24.7, 0),
        sides=24,
    )
    hollow = loft("z", [(8.1, 20, 20.5), (8.2, 20, 20.5)], colors.GREY, at=(0, 24.7, 0), sides=24)
    neck = loft("y", [(-24, 7, 8, 5.6, 0), (8, 4, 7, 4, 0)], colors.SILVER, power=3)
    handle = loft(
        "y",
        [(-76, 6, 7, 5, 0), (-70, 8.6, 9.5, 7.2, 0), (-20, 7, 8, 5.6, 0)],
        [colors.TEAL, colors.CYAN],
        power=3,
    )
    grip = loft(
        "y",
        [(-76, 8.6, 9.5, 7.2, 0), (-20, 7, 8, 5.6, 0), (10, 7, 8, 5.6, 0)],
        colors.TEAL,
        sides=8,
    )
    under = loft("z", [(-1.4, 13, 14), (8, 24.8, 25.5)], colors.SILVER, at=(0, 24.7, 0), sides=12)
    return back + hollow + neck + handle + shell(under) + shell(grip)
