"""Pictures laid over the plates' tops, drawn from a few shapes (cv2, no random numbers)."""

import cv2
import numpy as np

from unblind.sim.builtin import colors

SIZE = 256
"""Pixels of a picture's edge; every picture is square and stretched over its plate."""


def _ink(color: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return an sRGB colour in [0, 1] as 0..255."""
    return tuple(round(255 * c) for c in color)


def _sheet(color: tuple[float, float, float]) -> np.ndarray:
    """Return a picture of one colour."""
    return np.full((SIZE, SIZE, 3), _ink(color), np.uint8)


def _polar() -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's distance from the centre (1 at the edge) and angle in rad."""
    axis = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    x, y = np.meshgrid(axis, -axis)
    return np.hypot(x, y), np.arctan2(y, x)


def _rect(image: np.ndarray, low: tuple, high: tuple, color: tuple, width: int = -1) -> None:
    """Draw a rectangle between corners given in fractions of the picture."""
    corners = [(int(x * SIZE), int(y * SIZE)) for x, y in (low, high)]
    cv2.rectangle(image, *corners, _ink(color), width, cv2.LINE_AA)


def _disc(image: np.ndarray, center: tuple, radius: float, color: tuple, width: int = -1) -> None:
    """Draw a circle, in fractions of the picture."""
    point = tuple(int(c * SIZE) for c in center)
    cv2.circle(image, point, max(int(radius * SIZE), 1), _ink(color), width, cv2.LINE_AA)


def _text(image: np.ndarray, place: tuple, words: str, scale: float, color: tuple) -> None:
    """Write with a stroke font; ``place`` is the lower left end in fractions."""
    point = tuple(int(c * SIZE) for c in place)
    cv2.putText(image, words, point, cv2.FONT_HERSHEY_DUPLEX, scale, _ink(color), 2, cv2.LINE_AA)


def _line(image: np.ndarray, start: tuple, stop: tuple, color: tuple, width: int) -> None:
    """Draw a line between two places given in fractions."""
    ends = [(int(x * SIZE), int(y * SIZE)) for x, y in (start, stop)]
    cv2.line(image, *ends, _ink(color), width, cv2.LINE_AA)


def golf_ball() -> np.ndarray:
    """Grey dimples in rings around a white ball (u around, v from pole to pole) and a red mark."""
    image = _sheet((0.93, 0.93, 0.92))
    for ring in range(13):
        polar = np.pi * (ring + 0.5) / 13
        count = max(round(26 * np.sin(polar)), 3)
        for k in range(count + 1):
            place = int((k + 0.5 * (ring % 2)) / count * SIZE), int((ring + 0.5) / 13 * SIZE)
            axes = (int(3.4 / np.sin(polar)), 7)
            cv2.ellipse(image, place, axes, 0, 0, 360, _ink((0.55, 0.56, 0.60)), -1, cv2.LINE_AA)
    _rect(image, (0.0, 0.66), (1.0, 0.72), colors.RED)
    return image


def plate() -> np.ndarray:
    """A white plate with a blue ring."""
    image = _sheet(colors.WHITE)
    _disc(image, (0.5, 0.5), 0.47, colors.NAVY, 9)
    return image


def cloth() -> np.ndarray:
    """Red and white gingham."""
    step = np.arange(SIZE) * 8 // SIZE % 2
    share = (step[:, None] + step[None, :]) / 2
    white, red = np.array(_ink(colors.WHITE)), np.array(_ink(colors.RED))
    return (white + share[..., None] * (red - white)).astype(np.uint8)


def carpet() -> np.ndarray:
    """A woven rug: dark red, frames, diamonds and a pale fringe."""
    image = _sheet(colors.CREAM)
    _rect(image, (0.06, 0), (0.94, 1), colors.MAROON)
    _rect(image, (0.11, 0.07), (0.89, 0.93), colors.AMBER, 5)
    _rect(image, (0.18, 0.15), (0.82, 0.85), colors.NAVY, 8)
    for y in (0.32, 0.5, 0.68):
        for x in (0.32, 0.5, 0.68):
            corners = [(x - 0.07, y), (x, y - 0.08), (x + 0.07, y), (x, y + 0.08)]
            points = (np.array(corners) * SIZE).astype(np.int32)
            cv2.fillPoly(
                image,
                [points],
                _ink(colors.AMBER if (x == 0.5) == (y == 0.5) else colors.CREAM),
                cv2.LINE_AA,
            )
    for k in range(32):
        for x0, x1 in ((0, 0.06), (0.94, 1)):
            _line(image, (x0, k / 32), (x1, k / 32), colors.BROWN, 2)
    return image


def newspaper() -> np.ndarray:
    """A front page: title, headline, a grey photo and columns of lines."""
    image = _sheet((0.90, 0.89, 0.84))
    _text(image, (0.09, 0.14), "DAILY NEWS", 1.15, colors.BLACK)
    _line(image, (0.05, 0.18), (0.95, 0.18), colors.BLACK, 3)
    _rect(image, (0.06, 0.23), (0.94, 0.31), colors.GREY)
    _rect(image, (0.38, 0.36), (0.94, 0.64), (0.30, 0.33, 0.38))
    _disc(image, (0.6, 0.48), 0.07, colors.SILVER)
    for column, top in ((0.06, 0.36), (0.38, 0.69), (0.68, 0.69)):
        for k in range(int((0.96 - top) / 0.042)):
            y = top + 0.02 + 0.042 * k
            _line(image, (column, y), (column + (0.20 if k % 4 == 3 else 0.26), y), colors.GREY, 3)
    return image


def sheet_metal() -> np.ndarray:
    """Tread plate: bright lozenges, turned alternately, and a bolt in each corner."""
    image = _sheet((0.56, 0.60, 0.66))
    for i in range(9):
        for j in range(9):
            center = (int((i + 0.5) * SIZE / 9), int((j + 0.5) * SIZE / 9))
            cv2.ellipse(
                image,
                center,
                (11, 3),
                45 if (i + j) % 2 else -45,
                0,
                360,
                _ink(colors.WHITE),
                -1,
                cv2.LINE_AA,
            )
    for x in (0.06, 0.94):
        for y in (0.06, 0.94):
            _disc(image, (x, y), 0.035, colors.BLACK)
    return image


def drawing_tablet() -> np.ndarray:
    """A dark tablet: a pale active area with a sketch, buttons on its left."""
    image = _sheet(colors.BLACK)
    _rect(image, (0.2, 0.08), (0.96, 0.92), (0.16, 0.19, 0.24))
    for k in range(5):
        _rect(
            image,
            (0.05, 0.14 + 0.15 * k),
            (0.14, 0.23 + 0.15 * k),
            colors.CYAN if k == 2 else colors.GREY,
        )
    turn = np.linspace(0, 4 * np.pi, 60)
    path = np.stack([0.3 + 0.55 * turn / turn[-1], 0.5 + 0.25 * np.sin(turn)], 1) * SIZE
    cv2.polylines(image, [path.astype(np.int32)], False, _ink(colors.MAGENTA), 6, cv2.LINE_AA)
    return image


def tomato_slice() -> np.ndarray:
    """Red flesh, six paler seed chambers with yellow seeds, a white core."""
    image = _sheet(colors.RED)
    radius, angle = _polar()
    chamber = (radius > 0.28) & (radius < 0.80) & (np.abs((angle / (np.pi / 3)) % 1 - 0.5) < 0.36)
    image[chamber] = _ink((0.98, 0.42, 0.22))
    image[radius < 0.14] = _ink(colors.PINK)
    for k in range(6):
        for spread in (-0.2, 0.0, 0.2):
            turn, reach = (k + 0.5) * np.pi / 3 + spread, 0.30 - abs(spread) * 0.3
            _disc(
                image,
                (0.5 + reach * np.cos(turn), 0.5 - reach * np.sin(turn)),
                0.018,
                colors.YELLOW,
            )
    return image


def pizza() -> np.ndarray:
    """Crust, cheese, salami, olives, leaves, and the cuts into eight."""
    image = _sheet((0.78, 0.50, 0.20))
    _disc(image, (0.5, 0.5), 0.43, colors.TERRACOTTA)
    _disc(image, (0.5, 0.5), 0.41, (0.99, 0.80, 0.36))
    for k in range(9):
        turn, reach = k * 2.4, 0.10 + 0.022 * k
        place = (0.5 + reach * 1.1 * np.cos(turn), 0.5 + reach * 1.1 * np.sin(turn))
        _disc(image, place, 0.065, colors.RED)
        _disc(image, (place[0] + 0.02, place[1]), 0.012, colors.MAROON)
    for k in range(8):
        turn = k * np.pi / 4 + 0.3
        _disc(
            image,
            (0.5 + 0.34 * np.cos(turn), 0.5 + 0.34 * np.sin(turn)),
            0.026,
            colors.BLACK if k % 2 else colors.GREEN,
        )
    for k in range(4):
        dx, dy = 0.5 * np.cos(k * np.pi / 4), 0.5 * np.sin(k * np.pi / 4)
        _line(image, (0.5 - dx, 0.5 - dy), (0.5 + dx, 0.5 + dy), colors.BROWN, 2)
    return image


def flat_bowl() -> np.ndarray:
    """Green glaze with darker rings."""
    image = _sheet((0.35, 0.66, 0.60))
    for radius in (0.12, 0.24, 0.36):
        _disc(image, (0.5, 0.5), radius, (0.10, 0.36, 0.36), 5)
    return image


def gramophone_disk() -> np.ndarray:
    """Black with fine grooves, two shining sectors, an orange label and a hole."""
    radius, angle = _polar()
    tone = 16 + 14 * (np.sin(radius * 95) > 0) + 50 * np.clip(np.cos(2 * angle - 0.8), 0, 1) ** 12
    image = np.repeat(tone.astype(np.uint8)[..., None], 3, 2)
    _disc(image, (0.5, 0.5), 0.18, colors.ORANGE)
    _disc(image, (0.5, 0.5), 0.12, colors.CREAM, 3)
    _disc(image, (0.5, 0.5), 0.03, colors.BLACK)
    return image


def frying_pan() -> np.ndarray:
    """A black non-stick floor with a fried egg."""
    image = _sheet((0.13, 0.13, 0.14))
    _disc(image, (0.5, 0.5), 0.42, colors.GREY, 3)
    for x, y, r in ((0.44, 0.52, 0.20), (0.56, 0.44, 0.17), (0.52, 0.60, 0.15)):
        _disc(image, (x, y), r, colors.WHITE)
    _disc(image, (0.49, 0.50), 0.10, colors.ORANGE)
    return image


def mouse_pad() -> np.ndarray:
    """A blue gradient with two pale waves and a stitched border."""
    share = np.linspace(0, 1, SIZE)[:, None, None]
    image = (
        np.array(_ink((0.12, 0.20, 0.75))) * (1 - share) + np.array(_ink(colors.MAGENTA)) * share
    ) + np.zeros((SIZE, SIZE, 3))
    image = image.astype(np.uint8)
    t = np.linspace(0, 1, 60)
    for base, color in ((0.4, colors.CYAN), (0.58, colors.LIME)):
        path = np.stack([t, base + 0.12 * np.sin(7 * t)], 1) * SIZE
        cv2.polylines(image, [path.astype(np.int32)], False, _ink(color), 9, cv2.LINE_AA)
    _rect(image, (0.02, 0.02), (0.98, 0.98), colors.BLACK, 6)
    return image


def cutting_board() -> np.ndarray:
    """Pale wood in strips, a juice groove and a hole for hanging."""
    image = _sheet((0.85, 0.66, 0.40))
    for k in range(8):
        tone = 0.78 + 0.035 * (k * 5 % 8)
        _rect(image, (0, k / 8), (1, (k + 1) / 8), (0.88 * tone, 0.66 * tone, 0.40 * tone))
    _rect(image, (0.05, 0.06), (0.95, 0.94), colors.BROWN, 4)
    _disc(image, (0.90, 0.5), 0.045, colors.COCOA)
    return image


def chess_board() -> np.ndarray:
    """Eight by eight squares in a dark frame."""
    image = _sheet((0.30, 0.16, 0.08))
    edge = SIZE // 16
    step = np.arange(SIZE - 2 * edge) * 8 // (SIZE - 2 * edge)
    dark = (step[:, None] + step[None, :]) % 2 == 1
    image[edge:-edge, edge:-edge] = np.where(
        dark[..., None], _ink(colors.BLACK), _ink(colors.CREAM)
    )
    return image


def manhole_cover() -> np.ndarray:
    """Rusty iron: rings of raised bars and two lifting slots."""
    radius, angle = _polar()
    image = _sheet((0.36, 0.27, 0.22))
    for inner, outer, bars in ((0.25, 0.45, 10), (0.53, 0.71, 18), (0.79, 0.93, 28)):
        raised = (radius > inner) & (radius < outer) & (np.sin(angle * bars) > 0)
        image[raised] = _ink((0.62, 0.46, 0.36))
    _disc(image, (0.5, 0.5), 0.09, (0.62, 0.46, 0.36))
    for x in (0.12, 0.88):
        _rect(image, (x - 0.04, 0.47), (x + 0.04, 0.53), colors.BLACK)
    return image


def envelope() -> np.ndarray:
    """Cream paper with a red and blue border, the flap's seams and a stamp."""
    image = _sheet((0.97, 0.93, 0.82))
    for k in range(20):
        color = (colors.RED, (0.97, 0.93, 0.82), colors.NAVY, (0.97, 0.93, 0.82))[k % 4]
        for low, high in (((k / 20, 0), ((k + 1) / 20, 0.07)), ((k / 20, 0.93), ((k + 1) / 20, 1))):
            _rect(image, low, high, color)
    for start in ((0.02, 0.08), (0.98, 0.08)):
        _line(image, start, (0.5, 0.55), colors.GREY, 4)
    _disc(image, (0.5, 0.53), 0.08, colors.RED)
    return image


def notepad() -> np.ndarray:
    """Yellow paper: blue rules, a red margin, a dark spiral edge on the left."""
    image = _sheet((1.0, 0.92, 0.45))
    for k in range(9):
        _line(image, (0.1, 0.12 + 0.095 * k), (1, 0.12 + 0.095 * k), (0.25, 0.45, 0.85), 2)
    _line(image, (0.24, 0), (0.24, 1), colors.RED, 3)
    _rect(image, (0, 0), (0.09, 1), colors.BLACK)
    for k in range(12):
        _disc(image, (0.05, (k + 0.5) / 12), 0.022, colors.SILVER)
    return image
