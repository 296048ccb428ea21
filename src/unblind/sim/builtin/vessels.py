"""Procedural bottles, cans, cups and glasses, in mm, in the pose of the released models.

Each function returns an object's coloured parts and collision pieces before they are fitted to the
released bounding box. The centre of the collision's box, which the released planner takes hold
of, is inside a piece of every object.
"""

from unblind.sim.builtin import colors
from unblind.sim.builtin.primitives import Part, arc, ball, box, loft, lying_y, shell, tube


def plastic_bottle() -> Part:
    """Pale blue bottle, lying, with a white and blue label and a dark cap."""
    rows = [
        (-52, 12),
        (-50, 17),
        (-20, 18),
        (-17, 16.6),
        (8, 16.6),
        (11, 18),
        (28, 17),
        (44, 9),
        (56, 7.5),
    ]
    paint = [
        colors.SKY,
        colors.SKY,
        colors.SKY,
        colors.WHITE,
        colors.BLUE,
        colors.SKY,
        colors.SKY,
        colors.SKY,
    ]
    cap = loft("y", lying_y([(54, 9), (69, 9)], -9), colors.NAVY)
    bottle = loft("y", [(h, r) for h, r in rows], paint)
    stripe = loft("y", [(-10, 17), (0, 17)], colors.BLUE)
    hull = [(-52, 18), (28, 18), (45, 9), (69, 9)]
    return bottle + stripe + cap + shell(loft("y", hull, colors.SKY, sides=8, power=3))


def can_7up() -> Part:
    """Green can, lying, with a white and a yellow band and a red spot."""
    rows = [(-31, 12), (-30, 14.5), (-27, 16.5), (25, 16.5), (28.5, 14), (29.6, 13)]
    paint = [colors.SILVER, colors.SILVER, colors.GREEN, colors.SILVER, colors.SILVER]
    spot = [ball((0, -2, z), (8, 8, 3), colors.RED, sides=12, rows=6) for z in (-14.5, 14.5)]
    bands = loft("y", [(-22, 16.7), (-17, 16.7)], colors.WHITE) + loft(
        "y", [(15, 16.7), (20, 16.7)], colors.YELLOW
    )
    can = loft("y", rows, paint)
    return sum(spot, can + bands) + shell(
        loft("y", [(-31, 14), (-27, 16.5), (29.6, 16.5)], colors.GREEN, sides=8, power=3)
    )


def ketchup() -> Part:
    """Thin red bottle, lying, with a white label and a white nozzle."""
    rows = [(-37.4, 8), (-36, 10.4), (14, 10.4), (22, 8), (28, 5)]
    bottle = loft("y", rows, colors.RED)
    label = loft("y", [(-22, 10.7), (-2, 10.7)], colors.WHITE)
    cap = loft("y", [(26, 7), (36, 6), (43.9, 3)], [colors.WHITE, colors.WHITE])
    tomato = ball((0, -12, 8.5), (6, 6, 3), colors.RED, sides=12, rows=6)
    return (
        bottle
        + label
        + tomato
        + cap
        + shell(loft("y", [(-37.4, 10.4), (20, 10.4), (43.9, 5)], colors.RED, sides=8, power=3))
    )


def watering_can() -> Part:
    """Blue can with a yellow rim, rose and handle; its body stands at the middle."""
    body = loft("z", [(-19.2, 28, 20, 2, 0), (12, 26, 20, 2, 0), (16, 22, 17, 2, 0)], colors.BLUE)
    rim = loft("z", [(14, 23, 18, 2, 0), (17, 23, 18, 2, 0)], colors.YELLOW)
    water = loft("z", [(17, 19, 15, 2, 0), (17.3, 19, 15, 2, 0)], colors.NAVY)
    spout = tube([(20, 0, -10), (42, 0, 4), (58, 0, 22)], 4.5, colors.BLUE)
    rose = loft("z", [(18, 3, 3), (29.6, 9, 9)], colors.YELLOW, at=(58.9, 0, 0), sides=16)
    ring = [(x - 20, 0, z) for x, z in arc(60, 285, 18, (-6, 2), 9)]
    handle = tube(ring, 3, colors.YELLOW)
    pieces = [
        loft("z", [(-19.2, 28, 20, 2, 0), (16, 26, 20, 2, 0)], colors.BLUE, sides=12),
        loft("z", [(-8, 6, 5, 26, 0), (4, 4, 4, 42, 0), (18, 4, 4, 58, 0)], colors.BLUE, sides=6),
        loft("z", [(18, 4, 4), (29.6, 9, 9)], colors.YELLOW, at=(58.9, 0, 0), sides=8),
        box((-44.3, -4, -14), (-24, 4, 18), colors.YELLOW),
    ]
    return sum(map(shell, pieces), body + rim + water + spout + rose + handle)


def fast_food_cup() -> Part:
    """Red and white paper cup with a lid and a yellow straw."""
    cup = loft(
        "z",
        [(-22, 9, 9), (14, 12, 12)],
        colors.WHITE,
        sides=24,
        wedges=(colors.RED, colors.WHITE) * 6,
    )
    lid = loft(
        "z", [(13.5, 12.4, 12.4), (17, 12.4, 12.4), (19, 9.5, 9.5)], [colors.WHITE, colors.WHITE]
    )
    straw = tube([(3, 0, 18), (3.5, 0, 27), (6.5, 0, 31.7)], 1.6, colors.YELLOW)
    grip = loft("z", [(-22, 9.6, 9.6), (14, 12.4, 12.4), (19, 12, 12)], colors.RED, sides=12)
    return cup + lid + straw + shell(grip) + shell(box((-4, -5, 18), (8, 5, 31.7), colors.YELLOW))


def bbq_sauce() -> Part:
    """Dark red bottle, standing, with an amber and black label and a black cap."""
    body = loft(
        "z",
        [(-28.6, 24, 14), (-27, 26.5, 16.2), (10, 26.5, 16.2), (24, 12, 10), (34, 7, 7)],
        colors.MAROON,
    )
    label = loft("z", [(-20, 26.9, 16.6), (4, 26.9, 16.6)], colors.AMBER)
    flame = loft("z", [(-12, 27.2, 16.9), (-5, 27.2, 16.9)], colors.BLACK)
    cap = loft("z", [(32, 9, 9), (48.6, 8, 8)], colors.BLACK)
    grip = loft("z", [(-28.6, 26.5, 16.2), (10, 26.5, 16.2), (26, 11, 9)], colors.MAROON, sides=12)
    return (
        body
        + label
        + flame
        + cap
        + shell(grip)
        + shell(loft("z", [(24, 9, 9), (48.6, 8, 8)], colors.BLACK, sides=8))
    )


def travel_cup() -> Part:
    """Magenta flask, lying, with a silver band, a black lid and a handle."""
    body = loft(
        "y", lying_y([(-40, 13), (-38, 14.5), (20, 17.2), (30, 17.2)], -17.2), colors.MAGENTA
    )
    band = loft("y", lying_y([(2, 16.8), (12, 17.4)], -17.3), colors.SILVER)
    lid = loft("y", lying_y([(30, 17.2), (38, 17), (45.6, 12)], -17.2), colors.BLACK)
    loop = [(x, y, 0) for y, x in arc(-10, 190, 17, (0, 14), 9)]
    handle = tube(loop, 3.6, colors.BLACK)
    grip = loft(
        "y", lying_y([(-40, 15), (24, 17.2), (45.6, 14)], -17.2), colors.MAGENTA, sides=8, power=4
    )
    return (
        body
        + band
        + lid
        + handle
        + shell(grip)
        + shell(box((10, -16, -4), (32, 18, 4), colors.BLACK))
    )


def nonstop_can() -> Part:
    """Tall black can, standing, with lime rings and silver ends."""
    rows = [(-42.8, 13), (-41, 15), (-38, 17.4), (36, 17.4), (41, 14), (42.5, 13)]
    can = loft(
        "z", rows, [colors.SILVER, colors.SILVER, colors.BLACK, colors.SILVER, colors.SILVER]
    )
    zigzag = [
        loft("z", [(z, 17.6), (z + 9, 17.6)], colors.LIME, turn=t)
        for z, t in ((-28, 0), (-4, 0), (20, 0))
    ]
    grip = loft("z", [(-42.8, 14, 14), (-38, 17.4, 17.4), (42.5, 16, 16)], colors.BLACK, sides=12)
    return sum(zigzag, can) + shell(grip)


def champagne_glass() -> Part:
    """Flute filled with amber; its bowl reaches below the middle, where it is held."""
    foot = loft("z", [(-54, 14.2, 14.2), (-52, 14, 14), (-49, 3, 3)], colors.SILVER)
    stem = loft("z", [(-50, 2.6, 2.6), (-32, 2.6, 2.6)], colors.SILVER)
    bowl = loft(
        "z",
        [(-33, 3, 3), (-26, 11, 11), (4, 13.6, 13.6), (18, 13.6, 13.6), (31.3, 12.5, 12.5)],
        [colors.AMBER, colors.AMBER, colors.CREAM, colors.SKY],
    )
    inside = loft("z", [(31.4, 11.5, 11.5), (31.5, 11.5, 11.5)], colors.WHITE)
    grip = loft(
        "z", [(-33, 6, 6), (-24, 12, 12), (18, 14, 14), (31.3, 13, 13)], colors.AMBER, sides=10
    )
    base = loft("z", [(-54, 14.2, 14.2), (-50, 14.2, 14.2), (-33, 4, 4)], colors.SILVER, sides=12)
    return foot + stem + bowl + inside + shell(grip) + shell(base)


def cup() -> Part:
    """Light blue mug with a white band, coffee and a dark handle."""
    outside = loft("z", [(-1.2, 17, 17), (2, 19, 19), (36, 22.1, 22.1)], [colors.NAVY, colors.SKY])
    outside = Part(outside.visual[:-1])
    band = loft("z", [(12, 20.3, 20.3), (18, 20.9, 20.9)], colors.WHITE)
    rim = loft(
        "z", [(36, 22.1, 22.1), (36.1, 20, 20), (30, 19.6, 19.6)], [colors.WHITE, colors.WHITE]
    )
    coffee = loft("z", [(30, 19.7, 19.7), (30.1, 19.7, 19.7)], colors.BROWN)
    loop = [(x, 0, z) for x, z in arc(-95, 95, 12.5, (21, 18), 9)]
    handle = tube(loop, 3.4, colors.NAVY)
    grip = loft("z", [(-1.2, 18, 18), (36, 22.1, 22.1)], colors.SKY, sides=8)
    return (
        outside
        + band
        + Part(rim.visual[:2])
        + coffee
        + handle
        + shell(grip)
        + shell(box((18, -7, 5), (36.5, 7, 31), colors.NAVY))
    )
