"""Questions and answers about a picture, as plain text made from what the picture shows.

Text is lower-case words and single punctuation marks (:func:`words`). A place is answered with two
location tokens, row first: ``<locRRR><locCCC>``, each one of 128 equal parts of the picture's
height and width. The 16 test instructions never occur as such, only their words do.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unblind.pictures.icons import NAMES
from unblind.pictures.scenes import (
    COLORS,
    Gripper,
    Place,
    Scene,
    Thing,
    article,
    parity,
    references,
)
from unblind.sim import conditions
from unblind.vla.text import location as token

WHERE_TURNS = 4
"""Most questions for a place that are asked of one picture."""
_SIDES = ("left", "center", "right")
_CLEAR = 0.06
"""Least distance, as share of the picture, at which one thing counts as left of another."""
_WORD = re.compile(r"<loc\d{3}>|[a-z0-9]+|[^\sa-z0-9]")

# fmt: off
WORDINGS: dict[str, tuple[str, ...]] = {
    "where": (
        "where is the {name}", "where is {name}?", "locate the {name}", "find the {name}, please.",
        "can you point to the {name}?", "where should the robot move to reach the {name}?",
        "from where can you take the {name}", "please point down onto the {name}.",
        "make sure you find the {name}", "point to {name}", "name the place of the {name}",
    ),
    "pick": (
        "put {object} on {plate}: where is {object}?",
        "put {object} on {plate}: where do you pick it up?",
    ),
    "set": (
        "put {object} on {plate}: where is {plate}?",
        "put {object} on {plate}: where should it be set down?",
    ),
    "gripper": (
        "where is the gripper", "where is the gripper?", "locate the gripper",
        "please point to the gripper.",
    ),
    "at": ("what is at {loc}", "what is placed at {loc}?", "name the thing at {loc}"),
    "see": (
        "do you see the {name}?", "is there {a} {name}?", "can you see {a} {name}?",
        "is {a} {name} in the picture", "do you see the {name}? answer yes or no",
    ),
    "on": (
        "what is on the {plate}", "what is placed on the {plate}?",
        "what\N{RIGHT SINGLE QUOTATION MARK}s on the surface of the {plate}?",
    ),
    "is_on": (
        "is the {object} on the {plate}", "is the {object} placed on the {plate}?",
        "so is the {object} set onto the {plate}?",
    ),
    "side": (
        "is the {name} left, center or right?", "where is the {name}: left, center or right?",
    ),
    "relation": (
        "is the {name} {relation} the {other}?", "do you see the {name} {relation} the {other}",
    ),
    "color": ("what color is the {name}", "what is the color of the {name}?"),
    "parity": ("is the {name} even or odd?",),
    "which": ("which {sort} do you see", "what {sort} is in the picture?"),
    "hold": ("what does the gripper hold?", "what is in the gripper"),
    "open": ("is the gripper open or closed?",),
    "count": ("how many things do you see", "how many things are in the picture?"),
    "table": ("what table is it", "what is the surface in the picture?"),
    "caption": (
        "describe the scene briefly", "what do you see?", "what is in the picture?",
        "look and tell what you see.",
    ),
}
# fmt: on
"""The wordings of each kind of question, with placeholders."""
PLACE_KINDS = ("where", "pick", "set", "gripper")
"""The kinds that are answered with location tokens."""
_RELATIONS = {"left of": (1, -1), "right of": (1, 1), "above": (0, -1), "below": (0, 1)}
"""Axis of a place (0 row, 1 column) and the sign of the difference that makes it true."""
_REST = (*_SIDES, "yes no open closed nothing even odd a an and on number object")


@dataclass(frozen=True)
class Turn:
    """One question with its answer; ``kind`` is a key of :data:`WORDINGS`."""

    kind: str
    question: str
    answer: str


def words(text: str) -> list[str]:
    """Split text into lower-case words, single punctuation marks and location tokens."""
    return _WORD.findall(text.lower())


def vocabulary(names: Iterable[str] = ()) -> list[str]:
    """Return all words that questions, answers and instructions can hold, sorted.

    Location tokens are not among them.

    Args:
        names: of things and tables beyond those of the study and of the flat drawings.
    """
    study = (*conditions.OBJECTS, *conditions.PLATES, *conditions.TABLES, *conditions.TEMPLATES)
    drawn = [name for group in NAMES.values() for name in group]
    texts = [wording for group in WORDINGS.values() for wording in group]
    texts = [re.sub(r"\{\w+\}", " ", text) for text in (*texts, *study)]
    texts += [*drawn, *NAMES, *COLORS, *_REST, *_RELATIONS, *names, *map(str, range(10))]
    return sorted({word for text in texts for word in words(text)})


def location(place: Place) -> str:
    """Return the two location tokens of a place, row first; places beyond the edge are moved in."""
    return "".join(token(share) for share in place)


Stocks = Mapping[str, Sequence[Sequence[str]]]
"""Names by kind, in groups that are drawn from with equal chances."""


PLAN: Mapping[str, int] = {
    "at": 4, "see": 6, "which": 2, "color": 3, "is_on": 2, "relation": 2, "on": 1, "side": 1,
    "parity": 1, "hold": 1, "open": 1, "count": 1, "table": 1, "caption": 1,
}  # fmt: skip
"""How often each kind is asked of a picture beside its places, at most; names come first."""
READING: Mapping[str, int] = {"at": 5, "which": 2, "color": 3, "table": 1}
"""The same for a beginner, who is only asked for words that the picture itself suggests: a yes or
no tells too little about where to look."""


def make_turns(
    scene: Scene,
    names: Stocks,
    rng: np.random.Generator,
    most: int,
    plan: Mapping[str, int] = PLAN,
) -> list[Turn]:
    """Return up to ``most`` different questions about a picture, in an order drawn at random.

    Args:
        scene: what the picture shows.
        names: what pictures of this sort show, as they draw it; absent names are drawn from them.
        rng: draws what is asked and how.
        most: turns; fewer where the picture gives no more.
        plan: how often each kind is tried.
    """
    writer = _Writer(scene, names, rng)
    tried = [*writer.places()]
    for kind, times in plan.items():
        tried += [getattr(_Writer, kind)(writer) for _ in range(times)]
    turns = list({turn.question: turn for turn in tried if turn is not None}.values())
    return [turns[k] for k in rng.permutation(len(turns))[:most]]


class _Writer:
    """Asks about one scene; every method returns a turn, or None where it does not apply."""

    def __init__(self, scene: Scene, names: Stocks, rng: np.random.Generator) -> None:
        self._scene, self._names, self._rng = scene, names, rng
        counts = Counter(call for thing in scene.things for call in references(thing))
        self._known = set(counts) | set(scene.hidden)
        self._calls = {
            thing: [c for c in references(thing) if counts[c] == 1 and c not in scene.hidden]
            for thing in scene.things
        }
        #: Things that some name means without doubt.
        self._clear = [thing for thing in scene.things if self._calls[thing]]

    def _pick(self, choices: Sequence):
        return choices[int(self._rng.integers(len(choices)))]

    def _call(self, thing: Thing) -> str:
        return self._pick(self._calls[thing])

    def _of(self, *kinds: str) -> list[Thing]:
        return [thing for thing in self._clear if thing.kind in kinds]

    def _turn(self, kind: str, answer: str, **parts: str) -> Turn:
        if "name" in parts:
            parts["a"] = article(parts["name"])
        return Turn(kind, self._pick(WORDINGS[kind]).format(**parts).lower(), answer.lower())

    def _coin(self) -> bool:
        return bool(self._rng.integers(2))

    # ---- places -----------------------------------------------------------------------------

    def places(self) -> list[Turn]:
        """Ask for the places of things and of the gripper."""
        targets: list[Thing | Gripper] = [*self._clear]
        if self._scene.gripper:
            targets.append(self._scene.gripper)
        order = self._rng.permutation(len(targets))[:WHERE_TURNS]
        return [self._place_of(targets[k]) for k in order]

    def _place_of(self, target: Thing | Gripper) -> Turn:
        answer = location(target.place)
        if isinstance(target, Gripper):
            return self._turn("gripper", answer)
        partners = self._of("plate" if target.kind == "object" else "object")
        if target.kind in ("object", "plate") and partners and self._coin():
            pair = {target.kind: target.name}
            other = self._pick(partners)
            pair[other.kind] = other.name
            return self._turn("pick" if target.kind == "object" else "set", answer, **pair)
        return self._turn("where", answer, name=self._call(target))

    # ---- others -----------------------------------------------------------------------------

    def at(self) -> Turn | None:
        """Ask what is at a place; not of plates that something covers."""
        covered = {thing.on for thing in self._scene.things}
        free = [thing for thing in self._clear if thing.name not in covered]
        if not free:
            return None
        thing = self._pick(free)
        return self._turn("at", thing.name, loc=location(thing.place))

    def see(self) -> Turn | None:
        """Ask whether something is there, as often for what is as for what is not."""
        if self._coin():
            if not self._scene.things:
                return None
            return self._turn("see", "yes", name=self._pick(references(self._seen())))
        absent = self._absent()
        return None if absent is None else self._turn("see", "no", name=absent)

    def _seen(self) -> Thing:
        return self._pick(self._scene.things)

    def _absent(self) -> str | None:
        """Return a name that fits nothing: of the same kind, or in a colour that is not there."""
        like = self._seen() if self._scene.things else None
        kind = like.kind if like else self._pick(list(self._names))
        for _ in range(8):
            name = self._pick(self._pick(self._names[kind]))
            if like and like.color and self._coin():
                base = like.name if self._coin() else name
                name = f"{self._pick(COLORS)} {base}"
            elif kind == "number" and self._coin():
                name = self._pick(("even number", "odd number"))
            if name not in self._known:
                return name
        return None

    def on(self) -> Turn | None:
        """Ask what lies on a plate; less often where that is nothing."""
        plates = [] if self._scene.hidden else self._of("plate")
        if not plates:
            return None
        plate = self._pick(plates)
        found = [thing.name for thing in self._scene.things if thing.on == plate.name]
        if not found and self._coin():
            return None
        return self._turn("on", found[0] if found else "nothing", plate=plate.name)

    def is_on(self) -> Turn | None:
        """Ask whether an object lies on a plate, as often for one that does as for one not."""
        objects, plates = self._of("object"), self._of("plate")
        on = [thing for thing in objects if thing.on in {plate.name for plate in plates}]
        if on and self._rng.random() < 0.6:
            thing = self._pick(on)
            return self._turn("is_on", "yes", object=thing.name, plate=thing.on)
        off = [(thing, plate) for thing in objects for plate in plates if thing.on != plate.name]
        if not off or (not on and self._rng.random() < 0.8):  # no more 'no' than 'yes'
            return None
        thing, plate = self._pick(off)
        return self._turn("is_on", "no", object=thing.name, plate=plate.name)

    def side(self) -> Turn | None:
        """Ask in which third of the picture something is."""
        near = [t for t in self._clear if min(abs(t.place[1] - k / 3) for k in (1, 2)) > _CLEAR / 2]
        if not near:
            return None
        thing = self._pick(near)
        return self._turn("side", _SIDES[int(3 * thing.place[1])], name=self._call(thing))

    def relation(self) -> Turn | None:
        """Ask whether one thing is left of, right of, above or below another."""
        relation = self._pick(list(_RELATIONS))
        axis, sign = _RELATIONS[relation]
        pairs = [
            (a, b)
            for a in self._clear
            for b in self._clear
            if abs(a.place[axis] - b.place[axis]) > _CLEAR
        ]
        if not pairs:
            return None
        a, b = self._pick(pairs)
        holds = sign * (a.place[axis] - b.place[axis]) > 0
        return self._turn(
            "relation",
            "yes" if holds else "no",
            name=self._call(a),
            relation=relation,
            other=self._call(b),
        )

    def color(self) -> Turn | None:
        """Ask for the colour of what is known by name alone."""
        colored = [
            (t, c) for t in self._clear if t.color for c in self._calls[t] if t.color not in c
        ]
        if not colored:
            return None
        thing, call = self._pick(colored)
        return self._turn("color", thing.color, name=call)

    def parity(self) -> Turn | None:
        """Ask whether a number is even, without naming it."""
        blind = {"number", *(f"{color} number" for color in COLORS)}
        known = [(t, c) for t in self._of("number") for c in self._calls[t] if c in blind]
        if not known:
            return None
        thing, call = self._pick(known)
        return self._turn("parity", parity(thing), name=call)

    def which(self) -> Turn | None:
        """Ask for the only thing of its kind; "plate" is a name too, so not for plates."""
        counts = Counter(thing.kind for thing in self._scene.things)
        single = [thing for thing in self._clear if counts[thing.kind] == 1]
        single = [thing for thing in single if thing.kind != "plate"]
        if self._scene.hidden or not single:
            return None
        thing = self._pick(single)
        return self._turn("which", thing.name, sort=thing.kind)

    def hold(self) -> Turn | None:
        """Ask what the gripper holds; seldom where that is nothing."""
        gripper = self._scene.gripper
        if gripper is None or (gripper.holds is None and self._rng.random() < 0.6):
            return None
        return self._turn("hold", gripper.holds or "nothing")

    def open(self) -> Turn | None:
        """Ask whether the gripper is open."""
        gripper = self._scene.gripper
        if gripper is None or gripper.opened is None:
            return None
        return self._turn("open", "open" if gripper.opened else "closed")

    def count(self) -> Turn | None:
        """Ask how many things there are."""
        if self._scene.hidden:
            return None
        return self._turn("count", str(len(self._scene.things)))

    def table(self) -> Turn | None:
        """Ask for the table photo's name."""
        return self._turn("table", self._scene.table) if self._scene.table else None

    def caption(self) -> Turn | None:
        """Ask for everything, told from left to right."""
        if self._scene.hidden:
            return None
        told = [self._phrase(t) for t in sorted(self._scene.things, key=lambda t: t.place[1])]
        text = " and ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told) or "nothing"
        return self._turn("caption", text)

    def _phrase(self, thing: Thing) -> str:
        name = f"{thing.color} {thing.name}" if thing.color else thing.name
        text = f"{article(name)} {name}"
        return f"{text} on {article(thing.on)} {thing.on}" if thing.on else text
