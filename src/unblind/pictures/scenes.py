"""What a generated picture shows, as far as questions speak of it."""

from dataclasses import dataclass

Place = tuple[float, float]
"""Row and column as fractions of the picture's height and width."""
COLORS = ("black", "red", "green", "blue", "orange", "purple", "yellow", "brown")
"""The colours of flat drawings: those of the released colour boards."""


@dataclass(frozen=True)
class Thing:
    """Something that a picture shows.

    Attributes:
        name: what it is called.
        kind: object, plate, shape, number, arrow, icon or sign.
        place: row and column of its middle as fractions of the picture's height and width.
        color: one of :data:`COLORS` in flat drawings of one colour.
        on: name of the plate that it lies on.
        xyz: its middle in the world, m; None in flat drawings.
    """

    name: str
    kind: str
    place: Place
    color: str | None = None
    on: str | None = None
    xyz: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Gripper:
    """The robot's gripper in a picture.

    Attributes:
        place: row and column of the point between the finger tips, as fractions.
        xyz: the same point in the world, m.
        opened: fingers apart; None between open and closed.
        holds: name of the thing between the fingers.
    """

    place: Place
    xyz: tuple[float, float, float]
    opened: bool | None = None
    holds: str | None = None


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Attributes:
        things: what can be seen.
        hidden: names of what is there but cannot be seen well: never asked for.
        table: name of the table photo.
        gripper: None where the robot is out of the frame.
    """

    things: tuple[Thing, ...]
    hidden: frozenset[str] = frozenset()
    table: str | None = None
    gripper: Gripper | None = None


def references(thing: Thing) -> list[str]:
    """Return what a thing can be called: its name, with its colour, and a number's parity."""
    called = [thing.name]
    if thing.kind == "number":
        called += ["number", f"{parity(thing)} number"]
    if thing.color:
        called += [f"{thing.color} {name}" for name in called]
    return called


def parity(thing: Thing) -> str:
    """Return whether a number is even or odd."""
    return ("even", "odd")[int(thing.name.split()[-1]) % 2]


def article(name: str) -> str:
    """Return "a" or "an"."""
    return "an" if name[0] in "aeiou" else "a"
