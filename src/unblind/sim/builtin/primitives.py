"""Meshes from a few numbers: lofts, tubes, boxes and slabs, as coloured parts of a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial import ConvexHull

from unblind.sim.catalog import Surface

Color = tuple[float, float, float]
Row = tuple[float, ...]

_AXES = {"z": (0, 1, 2), "x": (2, 0, 1), "y": (1, 2, 0)}
"""Where the loft's own (a, b, h) land in (x, y, z), for each axis of the loft; all right-handed."""


@dataclass(frozen=True)
class Part:
    """A piece of a model: surfaces to look at, convex pieces to touch, or both.

    Attributes:
        visual: coloured meshes, in the units of the design.
        collision: convex pieces, each (N, 3) vertices.
    """

    visual: tuple[Surface, ...] = ()
    collision: tuple[np.ndarray, ...] = field(default=())

    def __add__(self, other: "Part") -> "Part":
        """Return both parts as one."""
        return Part(self.visual + other.visual, self.collision + other.collision)

    def map(self, scale: np.ndarray, shift: np.ndarray) -> "Part":
        """Return the part with every vertex v at ``v * scale + shift``."""
        move = lambda v: (v * scale + shift).astype(np.float32)  # noqa: E731
        visual = tuple(replace(s, vertices=move(s.vertices)) for s in self.visual)
        return Part(visual, tuple(move(p) for p in self.collision))


def hull(points: np.ndarray) -> np.ndarray:
    """Return the corners of the points' convex hull, (N, 3) float32."""
    return points[ConvexHull(points).vertices].astype(np.float32)


def shell(part: Part) -> Part:
    """Return the convex hull of all that is seen of a part as one collision piece, unseen."""
    corners = hull(np.concatenate([surface.vertices for surface in part.visual]))
    return Part(collision=(corners,))


def _rings(
    axis: str, rows: Sequence[Row], sides: int, power: float, at: Row, turn: float
) -> np.ndarray:
    """Return (rows, sides + 1, 3) points; the last point of a ring repeats the first."""
    full = np.array([(*r, r[1], 0.0, 0.0)[:5] if len(r) == 2 else (*r, 0.0, 0.0)[:5] for r in rows])
    angle = (np.arange(sides + 1) % sides + 0.5) * 2 * np.pi / sides + turn
    cos, sin = np.cos(angle), np.sin(angle)
    # A superellipse: power 2 is the ellipse, larger ones approach a rectangle. The corners lie
    # outside it, so that the polygon reaches the half axes and rests on a face, not on a corner.
    cos, sin = (np.sign(part) * np.abs(part) ** (2 / power) for part in (cos, sin))
    cos, sin = cos / np.abs(cos).max(), sin / np.abs(sin).max()
    height = full[:, :1] + np.zeros(sides + 1)
    own = np.stack([full[:, 1:2] * cos + full[:, 3:4], full[:, 2:3] * sin + full[:, 4:5], height])
    a, b, c = np.asarray(_AXES[axis])
    return np.stack([own[a], own[b], own[c]], -1) + np.asarray(at)


def _skin(rings: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the loft's vertices, triangles (rows - 1, sides, 2, 3) and uvs."""
    rows, columns = rings.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    low, right, up, far = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    triangles = np.stack([np.stack([low, right, far], -1), np.stack([low, far, up], -1)], 2)
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return rings.reshape(-1, 3), triangles, np.stack([u, v], -1).reshape(-1, 2)


def _surface(vertices: np.ndarray, triangles: np.ndarray, uvs: np.ndarray, **look) -> Surface:
    """Return a surface of the used vertices only, without triangles that have no area."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    triangles = triangles[area > 1e-9 * max(area.max(initial=0.0), 1e-12)]
    used, triangles = np.unique(triangles, return_inverse=True)
    return Surface(
        vertices[used].astype(np.float32),
        triangles.reshape(-1, 3),
        uvs=uvs[used].astype(np.float32),
        **look,
    )


def loft(
    axis: str,
    rows: Sequence[Row],
    color: Color | Sequence[Color],
    at: Row = (0, 0, 0),
    sides: int = 20,
    power: float = 2.0,
    turn: float = 0.0,
    wedges: Sequence[Color] = (),
    smooth: bool = True,
    image: np.ndarray | None = None,
) -> Part:
    """Sweep an ellipse along an axis; ends with a radius above zero are closed by a flat cap.

    Args:
        axis: "x", "y" or "z".
        rows: (h, r), (h, ra, rb) or (h, ra, rb, oa, ob): place on the axis, half axes, offset of
            the centre. For axis z (a, b) is (x, y), for x it is (y, z), for y it is (z, x).
            h rises from row to row for an outside, and falls for the inside of a hollow.
        color: one, or one for each segment between two rows.
        at: shift of the whole loft.
        sides: corners of a ring; flat sides face the axes when ``sides`` is a multiple of 4.
        power: 2 for ellipses, larger for rounded rectangles.
        turn: rotation of the corners about the axis, rad.
        wedges: instead of ``color``: colours taking turns around the axis.
        smooth: passed to the surfaces.
        image: texture; u goes around, v along.
    """
    rings = _rings(axis, rows, sides, power, at, turn)
    vertices, triangles, uvs = _skin(rings)
    bands = list(color) if isinstance(color[0], Sequence) else [color] * (len(rows) - 1)
    look = {"smooth": smooth}
    groups: dict[Color, list[np.ndarray]] = {}
    for i, band in enumerate(bands):
        for j in range(sides):
            tint = wedges[j * len(wedges) // sides] if wedges else band
            groups.setdefault(tint, []).append(triangles[i, j])
    surfaces = [
        _surface(vertices, np.concatenate(t), uvs, color=c, image=image, **look)
        for c, t in groups.items()
    ]
    for end, flip in ((0, True), (-1, False)):
        if np.ptp(rings[end], axis=0).max() > 1e-9:
            surfaces.append(_cap(rings[end, :-1], flip, bands[end]))
    return Part(tuple(surfaces))


def _cap(ring: np.ndarray, flip: bool, color: Color) -> Surface:
    """Close a convex ring by a fan from its centre."""
    n = len(ring)
    vertices = np.concatenate([ring, ring.mean(0, keepdims=True)])
    k = np.arange(n)
    fan = np.stack([k, (k + 1) % n, np.full(n, n)], 1)
    fan = fan[:, ::-1] if flip else fan
    return _surface(vertices, fan, np.zeros((n + 1, 2)), color=color)


def ball(
    center: Row, radii: Row, color: Color, sides: int = 16, rows: int = 8, **options: object
) -> Part:
    """Return an ellipsoid with half axes ``radii``."""
    angle = np.linspace(0, np.pi, rows + 1)
    profile = [
        (-np.cos(t) * radii[2], np.sin(t) * radii[0], np.sin(t) * radii[1])
        for t in angle.round(9)  # sin(pi) is not quite 0: the poles must be points
    ]
    profile[0], profile[-1] = (-radii[2], 0.0, 0.0), (radii[2], 0.0, 0.0)
    return loft("z", profile, color, at=center, sides=sides, **options)


def box(low: Row, high: Row, color: Color, taper: float = 1.0) -> Part:
    """Return an upright box between two corners; ``taper`` scales its top face."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    half, center = np.array([x1 - x0, y1 - y0]) / 2, np.array([x1 + x0, y1 + y0]) / 2
    rows = [(z0, *half), (z1, *(half * taper))]
    return loft("z", rows, color, at=(*center, 0), sides=4, smooth=False)


def tube(points: Sequence[Row], radius: float, color: Color, sides: int = 8) -> Part:
    """Return a round rod along a polyline, closed at both ends.

    The frame is carried along the line, so bends do not twist it.
    """
    line = np.asarray(points, float)
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.eye(3)[np.argmin(np.abs(tangent[0]))]
    angle = (np.arange(sides + 1) % sides) * 2 * np.pi / sides
    rings = []
    for center, t in zip(line, tangent, strict=True):
        side = side - (side @ t) * t
        side /= np.linalg.norm(side)
        across = np.cross(t, side)
        rings.append(
            center + radius * (np.outer(np.cos(angle), side) + np.outer(np.sin(angle), across))
        )
    rings = np.stack(rings)
    vertices, triangles, uvs = _skin(rings)
    skin = _surface(vertices, triangles.reshape(-1, 3), uvs, color=color, smooth=True)
    return Part((skin, _cap(rings[0, :-1], True, color), _cap(rings[-1, :-1], False, color)))


def lying(rows: list[tuple[float, float]], floor: float) -> list[tuple[float, ...]]:
    """Let a round loft along x or y rest along its whole length on z = ``floor``."""
    return [(h, r, r, 0.0, floor + r) for h, r in rows]


def lying_y(rows: list[tuple[float, float]], floor: float) -> list[tuple[float, ...]]:
    """Do the same for axis y, whose rows hold z before x."""
    return [(h, r, r, floor + r, 0.0) for h, r in rows]


def arc(start: float, stop: float, radius: float, center: tuple[float, float], steps: int):
    """Return (steps, 2) points of a circle between two angles in degrees."""
    angle = np.radians(np.linspace(start, stop, steps))
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius + np.asarray(center)


def outline_circle(radius: float, sides: int = 32, center: Row = (0, 0)) -> np.ndarray:
    """Return the corners of a circle, (sides, 2), counter-clockwise."""
    angle = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius + np.asarray(center)


def outline_rectangle(low: Row, high: Row, radius: float = 0.0, steps: int = 3) -> np.ndarray:
    """Return the corners of a rectangle whose corners are rounded by ``radius``, (N, 2)."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    if radius == 0:
        return np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    centers = [(high[0], high[1]), (low[0], high[1]), (low[0], low[1]), (high[0], low[1])]
    inward = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    corners = []
    for k, (c, d) in enumerate(zip(centers, inward, strict=True)):
        angle = np.pi / 2 * (k + np.linspace(0, 1, steps + 1))
        arc = np.stack([np.cos(angle), np.sin(angle)], 1) * radius
        corners.append(np.asarray(c) + np.asarray(d) * radius + arc)
    return np.concatenate(corners)


def slab(
    outline: np.ndarray, z0: float, z1: float, color: Color, image: np.ndarray | None = None
) -> Part:
    """Return a plate of constant thickness; ``image`` is laid over the top's bounding square.

    Args:
        outline: (N, 2) corners, counter-clockwise, seen in full from their mean.
        z0: underside.
        z1: top.
        color: of the sides and the underside, and of the top without an image.
        image: the top's picture; its left is -x, its upper edge +y.
    """
    n = len(outline)
    closed = np.concatenate([outline, outline[:1]])
    rings = np.stack([np.column_stack([closed, np.full(n + 1, z)]) for z in (z0, z1)])
    vertices, triangles, uvs = _skin(rings)
    wall = _surface(vertices, triangles.reshape(-1, 3), uvs, color=color)
    bottom, top = _cap(rings[0, :-1], True, color), _cap(rings[1, :-1], False, color)
    if image is not None:
        low, high = outline.min(0), outline.max(0)
        place = (top.vertices[:, :2] - low) / (high - low)
        place[:, 1] = 1 - place[:, 1]
        top = replace(top, uvs=place.astype(np.float32), image=image)
    return Part((wall, bottom, top))


def fit(part: Part, bbox: Sequence[Row]) -> Part:
    """Return the part scaled and shifted, axis by axis, so that its collision fills ``bbox``."""
    points = np.concatenate(part.collision)
    low, high = points.min(0), points.max(0)
    target_low, target_high = np.asarray(bbox, float)
    scale = (target_high - target_low) / (high - low)
    return part.map(scale, target_low - low * scale)
