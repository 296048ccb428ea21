"""Episode ids of VL-Think: what a number means in a domain, as a pure function.

An id counts through the product of everything its domain draws from, in the order of the released
code, most significant first (`Domain.digits`): the boards from left to right, each by its rank
among the concepts that the boards before it have left (in Shape and Color with what is not asked
for: each shape's colour after it, all shapes after all colours), the place of the target, the
table. Parity has the odd number, the place of the target, the even number, the table, and takes
the parity that it asks for from the id's last bit. Arrow and PublicInfo inherit Weather's decoding.

Two fidelities. ``released`` wraps ids around the space and scores Parity as the release does: by
the board on the place of the target, where the released code puts the number that the instruction
does *not* ask for, in every one of the 672 ids. ``corrected`` refuses ids outside the space and
scores the board that the instruction names; everything else is the same, so an id shows the same
scene in both.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from unblind.errors import UnblindError
from unblind.pictures.scenes import COLORS
from unblind.sim import conditions
from unblind.sim.catalog import Catalog, Model
from unblind.sim.episodes import Episode, Fidelity, Purpose, Xyz, index_of, purpose_of
from unblind.think import boards, domains
from unblind.think.boards import Board, Style
from unblind.think.domains import BOARD_X, DROP_Z, OBJECT_XYZ, PLACES, SHAPES, Domain


@dataclass(frozen=True)
class ThinkEpisode(Episode):
    """An episode of VL-Think; ``condition`` is its domain, ``plate`` the board that is scored.

    Attributes:
        boards: from left to right.
        concept: what the instruction asks for: what a board shows or, in Parity, even or odd.
        named: which of them the instruction names.
        scored: which of them counts as success; differs from ``named`` in released Parity alone.
        style: how the boards are drawn.
        swapped: the board that the instruction names has changed places with another one.
        in_hand: the robot holds the object when the policy begins.
    """

    boards: tuple[Board, ...]
    concept: str
    named: int
    scored: int
    style: Style
    swapped: bool
    in_hand: bool

    def cast(self, catalog: Catalog) -> list[tuple[str, Model, np.ndarray]]:
        """Return what stands on the table: the object, and the boards from left to right."""
        listed = [("object", catalog.objects[self.object_index], np.array(self.object_xyz))]
        for number, board in enumerate(self.boards):
            role = "plate" if number == self.scored else f"board {number}"
            listed.append((role, boards.model(board, catalog), np.array(spawn(board))))
        return listed


def spawn(board: Board) -> Xyz:
    """Return where a board is dropped, m (world)."""
    return BOARD_X, PLACES[board.place], DROP_Z


def decode(
    domain: str | Domain,
    episode_id: int,
    fidelity: Fidelity = "corrected",
    *,
    style: Style = "seen",
    swapped: bool = False,
    in_hand: bool = False,
) -> ThinkEpisode:
    """Return the episode that ``episode_id`` names in ``domain``.

    Args:
        domain: its name, column or released environment.
        episode_id: from 0 to ``Domain.size`` - 1.
        fidelity: see the module.
        style: of the boards.
        swapped: the same question in the other layout: the board that is named changes places with
            its right neighbour, from the right with the leftmost.
        in_hand: the robot has picked the object up before the policy begins.

    Raises:
        UnblindError: unknown domain or fidelity; the id is no integer or, in corrected fidelity,
            outside the space.
    """
    domain = domains.get(domain)
    index = index_of(domain.name, episode_id, domain.size, fidelity)
    digit = _digits(domain, index)
    shown, named, scored, asked = _parity(digit, index) if domain.name == "parity" else _others(
        domain, digit
    )  # fmt: skip
    if fidelity == "corrected":
        scored = named
    if swapped:
        other = (named + 1) % len(shown)
        moved = {named: other, other: named}
        shown = [shown[moved.get(place, place)] for place in range(len(shown))]
        named, scored = moved[named], moved.get(scored, scored)
    placed = tuple(
        _board(domain, concept, other, place, style)
        for (concept, other), place in zip(shown, domain.places, strict=True)
    )
    return ThinkEpisode(
        condition=domain.name,
        fidelity=fidelity,
        episode_id=episode_id,
        index=index,
        plate=placed[scored].name,
        plate_index=placed[scored].index,
        plate_xyz=spawn(placed[scored]),
        table=conditions.TABLES[digit["table"]],
        table_index=digit["table"],
        instruction=domain.template.format(concept=asked),
        boards=placed,
        concept=asked,
        named=named,
        scored=scored,
        style=style,
        swapped=swapped,
        in_hand=in_hand,
        **_SHARED,
    )


def sample_ids(
    domain: str | Domain, n: int, seed: int, *, purpose: Purpose = "evaluation"
) -> list[int]:
    """Draw ``n`` different episode ids; the first k of n are the list for k.

    As `unblind.sim.episodes.sample_ids`: lists of different purposes never meet.

    Raises:
        UnblindError: unknown domain or purpose, a negative seed, or more ids than half of what the
            purpose has.
    """
    domain = domains.get(domain)
    if seed < 0 or purpose not in get_args(Purpose):
        raise UnblindError(f"no episodes of seed {seed} and purpose {purpose!r}", "name a purpose")
    most = domain.size // (2 * len(get_args(Purpose)))
    if n > most:
        raise UnblindError(
            f"{n} {purpose} episodes asked of {domain.name}", f"at most {most} can be drawn"
        )
    rng = np.random.default_rng([zlib.crc32(f"think/{domain.name}/{purpose}".encode()), seed])
    chosen: dict[int, None] = {}
    while len(chosen) < n:
        drawn = rng.integers(0, domain.size, size=256).tolist()
        chosen |= dict.fromkeys(index for index in drawn if purpose_of(index) == purpose)
    return list(chosen)[:n]


# ---- digits -------------------------------------------------------------------------------------

#: A board's content: rank of the concept, and of the colour or shape that is not asked for.
_Content = tuple[int, int | None]


def _digits(domain: Domain, index: int) -> dict[str, int]:
    digit = {}
    for name, size in reversed(domain.digits().items()):
        index, digit[name] = divmod(index, size)
    return digit


def _others(domain: Domain, digit: dict[str, int]) -> tuple[list[_Content], int, int, str]:
    """Return contents from left to right, the named and the scored place, and the concept asked."""
    left = list(range(len(domain.concepts)))
    ranks = [left.pop(digit[f"concept_{place}"]) for place in range(len(domain.places))]
    shown = [(rank, digit.get(f"other_{place}")) for place, rank in enumerate(ranks)]
    target = digit["target"]
    return shown, target, target, domain.concepts[ranks[target]]


def _parity(digit: dict[str, int], index: int) -> tuple[list[_Content], int, int, str]:
    """Return the same for Parity: what is asked for stands where the target does not."""
    numbers = domains.get("parity").concepts
    odd, even = (
        [rank for rank, number in enumerate(numbers) if int(number) % 2 == rest][digit[name]]
        for rest, name in ((1, "odd"), (0, "even"))
    )
    asks_even, target = index % 2 == 0, digit["target"]
    asked, other = (even, odd) if asks_even else (odd, even)
    shown = [(other if place == target else asked, None) for place in range(2)]
    return shown, 1 - target, target, "even" if asks_even else "odd"


def _board(domain: Domain, rank: int, other: int | None, place: str, style: Style) -> Board:
    """Return a board of a content in a place."""
    concept, drawing, color, index = domain.concepts[rank], None, None, rank
    if domain.name == "shape":
        color, index = COLORS[other], rank * len(COLORS) + other
    elif domain.name == "color":
        drawing, color, index = SHAPES[other], concept, other * len(COLORS) + rank
    drawing = drawing or domain.drawing(concept)
    return Board(concept, color, place, domain.kind, drawing, style, domain.folder, index)


def variants(
    ids: Sequence[int],
    domain: str | Domain,
    fidelity: Fidelity,
    styles: Sequence[Style],
    swap: bool,
    in_hand: bool,
) -> list[ThinkEpisode]:
    """Return the episodes of ids, each in every style, layout and start that is asked for.

    Args:
        ids: of the domain.
        domain: its name.
        fidelity: of the episodes.
        styles: of the boards.
        swap: also the other layout.
        in_hand: also with the object in the gripper.
    """
    starts, layouts = (False, True)[: 1 + in_hand], (False, True)[: 1 + swap]
    return [
        decode(domain, number, fidelity, style=style, swapped=swapped, in_hand=held)
        for held in starts
        for number in ids
        for style in styles
        for swapped in layouts
    ]


#: What all episodes share: one carrot, not turned, the robot's usual pose, a plain table photo.
_SHARED = dict(
    split="test",
    object=conditions.OBJECTS[0],
    object_index=0,
    object_xyz=OBJECT_XYZ,
    distractor=None,
    distractor_index=None,
    distractor_plate=None,
    distractor_plate_index=None,
    third_xyz=None,
    texture=None,
    texture_index=None,
    yaw_deg=0.0,
    yaw_index=0,
    joint_offset=(0.0,) * 8,
    joint_row=0,
    teleport_step=None,
    overlay_alpha=0.0,
    overlay_region="none",
    template_index=0,
    place_index=0,
)
