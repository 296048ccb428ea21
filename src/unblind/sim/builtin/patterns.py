"""Flat patterns for table tops, floors, walls and textures, painted with a numpy Generator.

Every pattern is ``f(rng, height, width, colors) -> (height, width, 3) float32`` in 0..255; colours
are 0xRRGGBB. A pattern's features have sizes in pixels; :func:`paint` scales them.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

Pattern = Callable[[np.random.Generator, int, int, Sequence[np.ndarray]], np.ndarray]
PATTERNS: dict[str, Pattern] = {}


def _pattern(function: Pattern) -> Pattern:
    """Register a pattern by its function's name."""
    PATTERNS[function.__name__.lstrip("_")] = function
    return function


def rgb(color: int) -> np.ndarray:
    """Return 0xRRGGBB as (3,) float32 in 0..255."""
    return np.array([color >> 16, color >> 8 & 255, color & 255], np.float32)


def paint(
    kind: str, colors: Sequence[int], seed: int, height: int, width: int, scale: float = 1.0
) -> np.ndarray:
    """Return a pattern as (height, width, 3) float32 in 0..255.

    Args:
        kind: a key of :data:`PATTERNS`.
        colors: 0xRRGGBB, as many as the pattern takes.
        seed: of the Generator that draws it.
        height: rows, px.
        width: columns, px.
        scale: the features' size relative to the pattern's own.
    """
    rng = np.random.default_rng(seed)
    rows, columns = max(round(height / scale), 2), max(round(width / scale), 2)
    picture = PATTERNS[kind](rng, rows, columns, [rgb(c) for c in colors])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(picture.astype(np.float32), (width, height), interpolation=how)
    return np.clip(picture, 0, 255)


def noise(
    rng: np.random.Generator, height: int, width: int, cell: tuple[float, float]
) -> np.ndarray:
    """Return smooth noise in about [-1, 1], (height, width); ``cell`` is its grain (y, x) in px."""
    total, weight = np.zeros((height, width), np.float32), 1.0
    for octave in range(4):
        grain = [max(c / 2**octave, 1.0) for c in cell]
        grid = (int(np.ceil(height / grain[0])) + 1, int(np.ceil(width / grain[1])) + 1)
        coarse = rng.standard_normal(grid).astype(np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        weight /= 2
    return total / 1.8


def _mix(share: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return colours between ``low`` (share 0) and ``high`` (share 1)."""
    share = np.clip(share, 0, 1).astype(np.float32)
    if low.ndim == high.ndim == 1:  # a plane a channel: far quicker than a last axis of three
        return cv2.merge([a + share * (b - a) for a, b in zip(low, high, strict=True)])
    return low + share[..., None] * (high - low)


def _mesh(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's row and column as float32."""
    y, x = np.mgrid[:height, :width]
    return y.astype(np.float32), x.astype(np.float32)


def _cells(
    rng: np.random.Generator, height: int, width: int, size: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's nearest random point (label) and its distance in px."""
    count = max(int(height * width / size**2), 2)
    free = np.full((height, width), 255, np.uint8)
    free[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    distance, label = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return label, distance


def _edges(label: np.ndarray, width: int) -> np.ndarray:
    """Return where a label map changes within ``width`` px."""
    kernel = np.ones((width, width), np.uint8)
    plane = label.astype(np.float32)
    return cv2.dilate(plane, kernel) != cv2.erode(plane, kernel)


@_pattern
def _plain(rng, height, width, colors):
    """One colour with a trace of grain."""
    grain = rng.standard_normal((height, width, 1)).astype(np.float32) * 2.0
    return colors[0] + grain + 4 * noise(rng, height, width, (160, 160))[..., None]


@_pattern
def _wood(rng, height, width, colors):
    """Grain along x: growth rings as bands of a stretched noise."""
    rings = noise(rng, height, width, (90, 700)) * 7
    fibre = noise(rng, height, width, (4, 160)) * 0.35
    return _mix(0.5 + 0.3 * np.sin(rings * 2.6) + fibre, colors[0], colors[1])


@_pattern
def _planks(rng, height, width, colors):
    """Boards along x, each of its own tone, dark gaps between them (colour 2)."""
    board = 80
    picture = _wood(rng, height, width, colors)
    y, _ = _mesh(height, width)
    tones = rng.uniform(0.78, 1.12, height // board + 1).astype(np.float32)
    picture *= tones[(y // board).astype(int)][..., None]
    picture[(y % board) < 5] = colors[2]
    return picture


@_pattern
def _parquet(rng, height, width, colors):
    """Short blocks laid in alternating directions."""
    block = 96
    y, x = _mesh(height, width)
    turned = ((y // block + x // block) % 2).astype(bool)
    grain = np.where(
        turned, noise(rng, height, width, (200, 5)), noise(rng, height, width, (5, 200))
    )
    strip = np.where(turned, x, y) % (block / 4)
    picture = (
        _mix(0.5 + 0.35 * grain, colors[0], colors[1]) * np.where(turned, 0.86, 1.06)[..., None]
    )
    picture[strip < 2] = colors[2]
    return picture


@_pattern
def _speckle(rng, height, width, colors):
    """Granite: grains of all the colours."""
    label, _ = _cells(rng, height, width, 6)
    pick = rng.integers(0, len(colors), label.max() + 1)
    grains = np.stack(colors)[pick][label]
    return (
        cv2.GaussianBlur(grains.astype(np.float32), (3, 3), 0)
        + 8 * noise(rng, height, width, (80, 80))[..., None]
    )


@_pattern
def _marble(rng, height, width, colors):
    """Thin dark veins in a pale stone."""
    y, x = _mesh(height, width)
    bent = (x + 0.7 * y) / 90 + 2.4 * noise(rng, height, width, (140, 140))
    vein = np.exp(-(np.abs(np.sin(bent)) * 9)) + 0.25 * noise(rng, height, width, (60, 60))
    return _mix(vein, colors[0], colors[1])


@_pattern
def _tiles(rng, height, width, colors):
    """Square tiles of slightly different tones with grout (last colour)."""
    size = 110
    y, x = _mesh(height, width)
    tone = rng.uniform(0.85, 1.1, (height // size + 1, width // size + 1)).astype(np.float32)
    which = rng.integers(0, len(colors) - 1, tone.shape)
    iy, ix = (y // size).astype(int), (x // size).astype(int)
    picture = np.stack(colors)[which[iy, ix]] * tone[iy, ix][..., None]
    picture = picture + 6 * noise(rng, height, width, (30, 30))[..., None]
    picture[((y % size) < 6) | ((x % size) < 6)] = colors[-1]
    return picture


@_pattern
def _bricks(rng, height, width, colors):
    """A wall of bricks with mortar (colour 2)."""
    high, long = 40, 110
    y, x = _mesh(height, width)
    row = (y // high).astype(int)
    x = x + (row % 2) * long / 2
    tone = rng.uniform(0, 1, (row.max() + 1, int(x.max() // long) + 1)).astype(np.float32)
    picture = _mix(
        tone[row, (x // long).astype(int)] + 0.15 * noise(rng, height, width, (12, 12)),
        colors[0],
        colors[1],
    )
    picture[((y % high) < 6) | ((x % long) < 6)] = colors[2]
    return picture


@_pattern
def _checker(rng, height, width, colors):
    """Woven squares: two colours and their mean."""
    y, x = _mesh(height, width)
    share = ((y // 44) % 2 + (x // 44) % 2) / 2
    return _mix(share, colors[0], colors[1]) + 4 * rng.standard_normal((height, width, 1))


@_pattern
def _plaid(rng, height, width, colors):
    """Broad and thin bands crossing each other."""
    y, x = _mesh(height, width)
    picture = np.broadcast_to(colors[0], (height, width, 3)).astype(np.float32)
    for place in (y, x):
        picture = _mix(0.55 * ((place % 150) < 60), picture, colors[1])
        picture = _mix(0.7 * (np.abs(place % 150 - 100) < 6), picture, colors[2])
    return picture + 5 * rng.standard_normal((height, width, 1))


@_pattern
def _stripes(rng, height, width, colors):
    """Bands of all the colours along x."""
    y, _ = _mesh(height, width)
    picture = np.stack(colors)[(y // 60).astype(int) % len(colors)]
    return picture + 6 * noise(rng, height, width, (6, 120))[..., None]


@_pattern
def _slats(rng, height, width, colors):
    """Narrow rounded strips along x, as of bamboo."""
    y, _ = _mesh(height, width)
    bow = np.sin(np.pi * (y % 22) / 22)
    return _mix(
        0.25 + 0.75 * bow + 0.15 * noise(rng, height, width, (6, 160)), colors[0], colors[1]
    )


@_pattern
def _dots(rng, height, width, colors):
    """Dots in a staggered grid."""
    y, x = _mesh(height, width)
    x = x + 35 * ((y // 70) % 2)
    inside = np.hypot(y % 70 - 35, x % 70 - 35) < 15
    return _mix(inside.astype(np.float32), colors[0], colors[1]) + 2 * rng.standard_normal(
        (height, width, 1)
    )


@_pattern
def _grass(rng, height, width, colors):
    """Blades: fine upright noise between two greens."""
    blades = noise(rng, height, width, (22, 3)) + 0.6 * noise(rng, height, width, (60, 60))
    return _mix(0.5 + 0.45 * blades, colors[0], colors[1])


@_pattern
def _pebbles(rng, height, width, colors):
    """Rounded stones of all but the first colour, which is the ground between them."""
    label, distance = _cells(rng, height, width, 34)
    pick = rng.integers(1, len(colors), label.max() + 1)
    tone = rng.uniform(0.7, 1.15, label.max() + 1).astype(np.float32)
    stones = np.stack(colors)[pick][label] * tone[label][..., None]
    stones *= np.clip(1.15 - distance / 60, 0.5, 1.15)[..., None]
    stones[_edges(label, 5)] = colors[0]
    return stones + 7 * noise(rng, height, width, (10, 10))[..., None]


@_pattern
def _flags(rng, height, width, colors):
    """Large broken slabs of stone with joints (last colour)."""
    label, _ = _cells(rng, height, width, 120)
    pick = rng.integers(0, len(colors) - 1, label.max() + 1)
    slabs = (
        np.stack(colors)[pick][label] * (1 + 0.12 * noise(rng, height, width, (14, 14)))[..., None]
    )
    slabs[_edges(label, 7)] = colors[-1]
    return slabs


@_pattern
def _terrazzo(rng, height, width, colors):
    """Chips of the later colours strewn over the first."""
    label, distance = _cells(rng, height, width, 30)
    pick = rng.integers(1, len(colors), label.max() + 1)
    radius = rng.uniform(3, 13, label.max() + 1)
    chips = (distance < radius[label]).astype(np.float32)
    return _mix(
        chips, np.broadcast_to(colors[0], (height, width, 3)), np.stack(colors)[pick][label]
    )


@_pattern
def _weave(rng, height, width, colors):
    """Linen or denim: crossing threads of uneven thickness."""
    y, x = _mesh(height, width)
    threads = np.sin(y * 0.9) * np.sin(x * 0.9 + np.pi * (y // 7)) * 0.25
    slubs = noise(rng, height, width, (3, 60)) * 0.3 + noise(rng, height, width, (60, 3)) * 0.3
    return _mix(0.5 + threads + slubs, colors[0], colors[1])


@_pattern
def _waves(rng, height, width, colors):
    """Ripples: level lines of a bent plane wave."""
    y, x = _mesh(height, width)
    crest = np.sin(y / 16 + x / 60 + 3.0 * noise(rng, height, width, (120, 160)))
    return _mix(0.5 + 0.5 * crest**3, colors[0], colors[1])


@_pattern
def _camouflage(rng, height, width, colors):
    """Patches of all the colours with sharp borders."""
    field = noise(rng, height, width, (110, 140))
    bounds = np.quantile(field, np.linspace(0, 1, len(colors) + 1)[1:-1])
    return np.stack(colors)[np.digitize(field, bounds)]


@_pattern
def _rust(rng, height, width, colors):
    """Blotches of the second colour eating into the first."""
    blotch = noise(rng, height, width, (90, 90)) + 0.4 * noise(rng, height, width, (12, 12))
    return _mix(0.5 + 1.6 * blotch, colors[0], colors[1]) + 6 * rng.standard_normal(
        (height, width, 1)
    )


@_pattern
def _ribs(rng, height, width, colors):
    """Corrugated metal: shining ridges along y."""
    _, x = _mesh(height, width)
    return _mix(
        0.5 + 0.5 * np.sin(x / 9) + 0.1 * noise(rng, height, width, (200, 8)), colors[0], colors[1]
    )


@_pattern
def _zigzag(rng, height, width, colors):
    """Knitted chevrons of all the colours."""
    y, x = _mesh(height, width)
    fold = np.abs(x % 64 - 32)
    picture = np.stack(colors)[((y + fold) // 26).astype(int) % len(colors)]
    return picture + 7 * rng.standard_normal((height, width, 1))


@_pattern
def _clouds(rng, height, width, colors):
    """Soft clouds between two colours."""
    return _mix(0.5 + 0.7 * noise(rng, height, width, (170, 240)), colors[0], colors[1])
