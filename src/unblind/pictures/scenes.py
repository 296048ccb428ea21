"""What a generated picture shows, as far as questions speak of it."""

import json
from dataclasses import asdict, dataclass

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

    def to_json(self) -> str:
        """Return the scene as one line of text, from which `from_json` gives an equal one."""
        return json.dumps(asdict(self) | {"hidden": sorted(self.hidden)})

    @classmethod
    def from_json(cls, text: str) -> "Scene":
        """Return the scene that `to_json` wrote."""
        values = json.loads(text)
        things = (thing | {key: _pair(thing[key]) for key in _PAIRS} for thing in values["things"])
        gripper = values["gripper"]
        if gripper is not None:
            gripper = Gripper(**gripper | {key: _pair(gripper[key]) for key in _PAIRS})
        hidden = frozenset(values["hidden"])
        return cls(tuple(Thing(**t) for t in things), hidden, values["table"], gripper)


#: What JSON makes lists of.
_PAIRS = ("place", "xyz")


def _pair(numbers: list[float] | None) -> tuple[float, ...] | None:
    return None if numbers is None else tuple(numbers)


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
