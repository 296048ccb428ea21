"""Questions about the first frame of an episode of VL-Think, for models that need not act.

The paper asks whether a board is there and, if so, where, and only ever about boards that are (its
section 4.1): who always says yes is never wrong. Here as many boards that are not there are asked
about, as far as the domain has them. "Where" is a place in the picture, as the model learned to
tell it: the three boards stand in its left and middle thirds alone.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from unblind.pictures.questions import WORDINGS, location
from unblind.pictures.scenes import Place, article
from unblind.sim import camera
from unblind.think import domains
from unblind.think.boards import BBOX, Board
from unblind.think.domains import BOARD_X, COLORS, PLACES, Domain
from unblind.think.episodes import ThinkEpisode


@dataclass(frozen=True)
class Question:
    """One question with its answer.

    Attributes:
        kind: ``present`` and ``absent`` (is it there?), ``where`` (a place) and ``at`` (a name).
        board: its place among the boards; -1: none shows what is asked for.
        text: the question, in a wording of the base's pictures.
        answer: yes, no, two location tokens, or a name.
    """

    kind: str
    board: int
    text: str
    answer: str


def ask(episode: ThinkEpisode) -> list[Question]:
    """Return the questions about an episode's first frame, the same ones each time."""
    rng = _rng(episode)
    shown, absent = _names(episode, rng)
    asked = [Question("absent", -1, _word(rng, "see", name), "no") for name in absent]
    for number, (board, name) in enumerate(zip(episode.boards, shown, strict=True)):
        place = location(place_of(board))
        asked += [
            Question("present", number, _word(rng, "see", name), "yes"),
            Question("where", number, _word(rng, "where", name), place),
            Question("at", number, _word(rng, "at", loc=place), board.drawing.lower()),
        ]
    return asked


def names(episode: ThinkEpisode) -> tuple[list[str], list[str]]:
    """Return what boards are called that are asked about: those there, in order, and absent ones.

    There are as many absent ones as boards, as far as the domain has them.
    """
    return _names(episode, _rng(episode))


def _rng(episode: ThinkEpisode) -> np.random.Generator:
    domain = domains.get(episode.condition)
    return np.random.default_rng([zlib.crc32(domain.name.encode()), episode.episode_id])


def _names(episode: ThinkEpisode, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    domain = domains.get(episode.condition)
    shown = [call(domain, board) for board in episode.boards]
    absent = [name for name in _others(domain, episode.boards) if name not in shown]
    return shown, [absent[k] for k in rng.permutation(len(absent))[: len(shown)]]


def call(domain: Domain, board: Board) -> str:
    """Return what a question calls a board: in Color with its colour, which is what matters."""
    return board.name if domain.name == "color" else board.drawing


def place_of(board: Board) -> Place:
    """Return row and column, as fractions of the picture, of a board's middle on the table."""
    middle = [[BOARD_X, PLACES[board.place], camera.TABLE_Z + BBOX[1][2] - BBOX[0][2]]]
    column, row = camera.project(np.array(middle))[0] / camera.FRAME
    return float(row), float(column)


def _others(domain: Domain, boards: tuple[Board, ...]) -> list[str]:
    """Return what boards of a domain can be called; in Color, of the shapes that are there."""
    if domain.name == "color":
        return [f"{color} {board.drawing}" for board in boards for color in COLORS]
    return [domain.drawing(concept) for concept in domain.concepts]


def _word(rng: np.random.Generator, kind: str, name: str = "", loc: str = "") -> str:
    """Return a question in one of its kind's wordings."""
    wordings = WORDINGS[kind]
    text = wordings[int(rng.integers(len(wordings)))]
    return text.format(name=name, a=article(name) if name else "", loc=loc).lower()
