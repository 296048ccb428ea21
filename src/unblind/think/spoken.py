"""The questions about a first frame for models that answer in free text, and what counts as right.

They are those of `unblind.think.questions`, about the same boards and the same absent ones. Places
and names are asked for in words, because only our own models know location tokens and our names:
a place is left, center or right among the boards, as in the paper (section 4.1), and a name is one
of those that are there.

An answer is right if it names the right choice and no other. The release looks for the word in the
answer alone, so that repeating the question is right there (``openvla_eval_batched.py``).
"""

import re
import zlib
from dataclasses import dataclass

import numpy as np

from unblind.think import domains
from unblind.think.episodes import ThinkEpisode
from unblind.think.questions import names

#: Longest answer in tokens: a short sentence.
TOKENS = 24
_SEE = "Do you see the {name}? Answer yes or no."
_SIDE = "Of the {count} boards, where is the {name}: {places}? Answer with one word."
_WHICH = "What is on the {place} board: {names}? Answer with one of these names."
_NUMBERS = {2: "two", 3: "three"}
_YES_NO = ("yes", "no")
#: Other words for a place.
_SAME = {"centre": "center", "middle": "center"}


@dataclass(frozen=True)
class Spoken:
    """One question with its answer.

    Attributes:
        kind: ``present`` and ``absent`` (is it there?), ``side`` (where among the boards?) and
            ``which`` (what is there?).
        board: its place among the boards; -1: none shows what is asked for.
        text: the question.
        answer: one of the choices.
        choices: what could be answered.
    """

    kind: str
    board: int
    text: str
    answer: str
    choices: tuple[str, ...]


def ask(episode: ThinkEpisode) -> list[Spoken]:
    """Return the questions about an episode's first frame, the same ones each time."""
    shown, absent = ([name.replace("_", " ") for name in some] for some in names(episode))
    places = tuple(board.place for board in episode.boards)
    asked = [Spoken("absent", -1, _SEE.format(name=name), "no", _YES_NO) for name in absent]
    listed = _listed([shown[k] for k in _order(episode, len(shown))])
    for number, (place, name) in enumerate(zip(places, shown, strict=True)):
        side = _SIDE.format(count=_NUMBERS[len(places)], name=name, places=_listed(places))
        which = _WHICH.format(place=place, names=listed)
        asked += [
            Spoken("present", number, _SEE.format(name=name), "yes", _YES_NO),
            Spoken("side", number, side, place, places),
            Spoken("which", number, which, name, tuple(shown)),
        ]
    return asked


def is_right(question: Spoken, said: str) -> bool:
    """Tell whether an answer names the right choice and no other."""
    return named(question.choices, said) == {question.answer}


def named(choices: tuple[str, ...], said: str) -> set[str]:
    """Return the choices that a text names as whole words, the longest first.

    What a longer one takes is no other's: "windy and cloudy" does not name "cloudy".
    """
    text = re.sub(r"[\W_]+", " ", said.lower())
    for word, other in _SAME.items():
        text = re.sub(rf"\b{word}\b", other, text)
    found = set()
    for choice in sorted(choices, key=len, reverse=True):
        plain = re.sub(r"[\W_]+", " ", choice.lower()).strip()
        text, count = re.subn(rf"\b{re.escape(plain)}\b", "|", text)
        if count:
            found.add(choice)
    return found


def _order(episode: ThinkEpisode, count: int) -> list[int]:
    """Return in which order names are listed, so that it tells nothing of their places."""
    name = domains.get(episode.condition).name
    rng = np.random.default_rng([zlib.crc32(f"which {name}".encode()), episode.episode_id])
    return rng.permutation(count).tolist()


def _listed(words: list[str] | tuple[str, ...]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}"
