"""What the 21 procedural table photos and textures show, as literals."""

from dataclasses import dataclass

Look = tuple[str, tuple[int, ...], float]
"""A pattern's kind, colours and scale."""


@dataclass(frozen=True)
class Scene:
    """What a table's photo shows.

    Attributes:
        top: the table top.
        edge: colour of the table's rim, 0xRRGGBB.
        floor: what lies below, 0.75 m under the top.
        wall: the wall behind, or None where the floor goes on.
        bounds: table top's corners (x0, y0, x1, y1) in m; (x, y, radius) for a round one.
        gloss: strength of the lamp's reflection in [0, 1].
        light: direction in the picture (dx, dy) towards which it gets brighter.
        extra: patches on the top: (x0, y0, x1, y1, look).
    """

    top: Look
    edge: int
    floor: Look
    wall: Look | None = None
    bounds: tuple[float, ...] = (-0.35, -0.305, 0.0, 0.56)
    gloss: float = 0.1
    light: tuple[float, float] = (-0.1, -0.15)
    extra: tuple[tuple[float, float, float, float, Look], ...] = ()


_GRASS: Look = ("grass", (0x1E3A14, 0x4C7A2E), 0.5)
_CARPET: Look = ("weave", (0x5E5A58, 0x8C8783), 0.5)
_BOARDS: Look = ("planks", (0x8A6238, 0xB98C58, 0x4A3018), 0.8)
_WHITE_WALL: Look = ("plain", (0xCFCBC2,), 1.0)
_GREY_WALL: Look = ("weave", (0x55595F, 0x84888F), 0.8)

SCENES = (
    Scene(
        ("wood", (0x82401F, 0xA85C34), 1.0),
        0x6A2A12,
        ("tiles", (0x3C4654, 0x2C3440), 1.0),
        _GREY_WALL,
        gloss=0.2,
    ),
    Scene(
        ("plain", (0x58B8E8,), 1.0),
        0x3E93C4,
        ("plain", (0xB7B4AC,), 1.0),
        ("plain", (0xB5AEA0,), 1.0),
        gloss=0.25,
    ),
    Scene(
        ("wood", (0x382620, 0x56402F), 1.3),
        0x1F120D,
        _BOARDS,
        ("plain", (0x8C98A0,), 1.0),
        (-0.33, -0.36, 0.02, 0.56),
        0.3,
    ),
    Scene(
        ("planks", (0x8D8474, 0xB8AE9A, 0x3A352C), 0.9),
        0x6B6354,
        _GRASS,
        None,
        (-0.40, -0.28, 0.0, 0.56),
    ),
    Scene(
        ("wood", (0xD9B98A, 0xF0DBB4), 1.2),
        0xB8935F,
        _CARPET,
        _WHITE_WALL,
        (-0.37, -0.33, 0.03, 0.56),
    ),
    Scene(
        ("parquet", (0xA66A2C, 0xD39A55, 0x6E4418), 0.8),
        0x7A4A1C,
        ("plain", (0x40444A,), 1.0),
        _WHITE_WALL,
    ),
    Scene(
        ("terrazzo", (0xF0BE22, 0xE4AC14, 0xF8D050), 0.7),
        0xC08A00,
        ("plain", (0x8A8A90,), 1.0),
        ("bricks", (0xC8C4BC, 0xB4AEA4, 0x9A948A), 1.2),
    ),
    Scene(
        ("marble", (0xE2E0DA, 0x8E8A84), 1.0),
        0xC9C5BE,
        ("tiles", (0x2A2A2E, 0x3A3A40, 0x6E6E74), 1.0),
        ("plain", (0x4A5C52,), 1.0),
        gloss=0.25,
    ),
    Scene(("checker", (0xD4DCEA, 0x6E8CC4), 0.8), 0x24427E, _BOARDS, ("plain", (0xC9B48C,), 1.0)),
    Scene(
        ("tiles", (0xB9572F, 0xCB6E3E, 0xA34A28, 0xD8C8B4), 0.9),
        0x7C3A1C,
        ("pebbles", (0x6A6458, 0xA49C8C, 0xC0B8A6, 0x8A8272), 0.8),
    ),
    Scene(("wood", (0x3C2416, 0x643820), 0.8), 0x1A0E08, _BOARDS, None, (-0.17, 0.03, 0.34), 0.35),
    Scene(
        ("dots", (0xEC8CB2, 0xF6B8D0), 0.6),
        0xD06A94,
        ("plain", (0xD8D2CC,), 1.0),
        ("stripes", (0xE8DCC8, 0xD4C4AA), 1.0),
    ),
    Scene(
        ("clouds", (0x1C2026, 0x3A424C), 0.7),
        0x101216,
        ("planks", (0xB9AFA2, 0xD6CEC2, 0x8A8276), 0.8),
        ("plain", (0xA8B4BC,), 1.0),
        gloss=0.15,
    ),
    Scene(
        ("grass", (0x3E7A1E, 0x72B038), 0.6),
        0x5A3E20,
        ("plain", (0x7A7468,), 1.0),
        ("bricks", (0x8C4030, 0xA85A44, 0xB8B0A4), 1.0),
    ),
    Scene(
        ("slats", (0x9A9A50, 0xE6E2A2), 0.8),
        0x7C7C3C,
        ("weave", (0x2E4A5A, 0x4A6E80), 0.6),
        None,
        (-0.38, -0.27, 0.0, 0.56),
    ),
    Scene(
        ("stripes", (0xC86464, 0xD8A05A, 0xD8CC6E, 0x6EA87C, 0x6A8CC0, 0x9472A8), 0.8),
        0x3A3A40,
        ("plain", (0xA8A49C,), 1.0),
        _WHITE_WALL,
    ),
    Scene(
        ("clouds", (0x4E7C7C, 0x8FBDBA), 2.0),
        0xC8E8E4,
        ("plain", (0x17171A,), 1.0),
        ("plain", (0x2A2830,), 1.0),
        gloss=0.7,
        light=(0.35, 0.2),
    ),
    Scene(
        ("plain", (0xA2BE8C,), 1.0),
        0xE4E8DC,
        ("grass", (0x14280E, 0x3A5A22), 0.5),
        None,
        (-0.36, -0.30, 0.02, 0.56),
    ),
    Scene(
        ("wood", (0xDC7C84, 0xEC9CA0), 1.4),
        0xA84A58,
        ("tiles", (0xEDE6DA, 0xDCD2C2, 0xB0A698), 1.2),
        ("plain", (0x9AC4C0,), 1.0),
        (-0.34, -0.34, 0.02, 0.56),
    ),
    Scene(
        ("speckle", (0x7A7A7C, 0x949496, 0x66666A, 0xA8A6A2), 1.0),
        0x58585C,
        ("flags", (0x8E8474, 0xA69A86, 0x7A7264, 0x4C463C), 1.0),
        None,
    ),
    Scene(
        ("wood", (0x6A2A1C, 0x8C3E2A), 1.0),
        0x3C120A,
        ("parquet", (0x9A7040, 0xC09860, 0x64441E), 1.2),
        ("stripes", (0x5C6E58, 0x6C7E66), 1.2),
        (-0.38, -0.31, 0.0, 0.56),
        0.3,
        (-0.1, -0.15),
        ((-0.27, -0.305, -0.06, 0.56, ("weave", (0xE4DCC8, 0xF8F4EA), 0.6)),),
    ),
)
"""One scene a table, in released order."""

TEXTURES: tuple[Look, ...] = (
    ("weave", (0xB8A888, 0xE0D4B8), 1.0),
    ("grass", (0x3E6A14, 0x86B43C), 1.0),
    ("bricks", (0x8A3A28, 0xC06A4A, 0xC8C0B4), 1.0),
    ("pebbles", (0x3E3A34, 0x8A8880, 0xB4ACA0, 0x5C6870), 1.0),
    ("stripes", (0x101014, 0xF0F0EC), 0.8),
    ("weave", (0x1E3460, 0x5A78AC), 1.0),
    ("rust", (0x7C8084, 0xA4481A), 1.0),
    ("waves", (0x0E4A78, 0x8CD0E8), 1.0),
    ("camouflage", (0x2E3A1E, 0x6A7040, 0x9A8A5C, 0x1E1E16), 1.0),
    ("marble", (0xF2F0EA, 0x3A3A3E), 1.0),
    ("tiles", (0x2A7A9A, 0xE8E0C8, 0xD89030, 0xF4F4F0), 0.6),
    ("dots", (0x7A2A8A, 0xF8E03A), 1.0),
    ("wood", (0x5C3416, 0xB47C40), 1.0),
    ("ribs", (0x5A6068, 0xD8DEE4), 1.5),
    ("zigzag", (0xC83A3A, 0xF4EAD8, 0x2A5A6A), 1.2),
    ("terrazzo", (0xEFE9E0, 0xC05A4A, 0x3A6A6A, 0xE0A83A, 0x2E2E34), 1.2),
    ("flags", (0x8C8A84, 0xA8A49A, 0x70706E, 0x33302C), 0.5),
    ("planks", (0x4A3A2C, 0x7A6450, 0x1C140E), 1.0),
    ("speckle", (0xD8C49A, 0xB49A6A, 0xF0E4C8), 1.0),
    ("clouds", (0x5A94D8, 0xFFFFFF), 1.0),
    ("plaid", (0xB02A2A, 0x14321E, 0xF0D040), 1.0),
)
"""One texture a table, 001.png ... 021.png."""
