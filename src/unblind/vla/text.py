"""Words to tokens, in mini's own vocabulary or in Llama-2's, and the prompts of both.

Both end with the 256 action tokens, as OpenVLA overwrites the least used words of Llama-2. mini's
tokenizer knows whole words, in lower case; before the actions it has 128 location tokens
(``<loc000>`` to ``<loc127>``, bins over a side of the square picture or over a height). The fixed
phrases of the prompts are one token each there, so that a prompt costs as many tokens as it has
words of its own.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from unblind import files
from unblind.errors import UnblindError
from unblind.vla import documents

FILE = "tokenizer.json"
LOCATIONS, ACTIONS = 128, 256
#: Ids of the beginning and the end of a sequence, the same in both vocabularies.
BOS, EOS = 1, 2
_ACTION_PHRASE = "In: What action should the robot take to"


def location(fraction: float) -> str:
    """Return the token of a place: a fraction in [0, 1] of a side."""
    return f"<loc{min(max(int(fraction * LOCATIONS), 0), LOCATIONS - 1):03d}>"


class Vocabulary(Protocol):
    """A tokenizer and where its ranges of ids lie.

    Attributes:
        tokenizer: of the tokenizers library.
        size: number of ids up to the last action, without padding behind it.
        pad: id of the padding token, which no text holds.
        locations: ids of the location tokens, ascending; empty where there are none.
    """

    tokenizer: Tokenizer
    size: int
    pad: int
    locations: range

    @property
    def actions(self) -> range:
        """Ids of the action tokens, the last ones."""
        return range(self.size - ACTIONS, self.size)

    @cached_property
    def _known(self) -> dict[str, tuple[int, ...]]:
        return {}

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text, without BOS and EOS."""
        if text not in self._known:
            self._known[text] = tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)
        return self._known[text]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids."""

    def action_prompt(self, instruction: str) -> tuple[int, ...]:
        """Return the ids of OpenVLA's prompt for an instruction, without BOS.

        The instruction is put into lower case, as in OpenVLA's training; its blanks and
        punctuation stay as they are.
        """
        return self.encode(f"{_ACTION_PHRASE} {instruction.lower()}?\nOut:")

    def question_prompt(self, question: str) -> tuple[int, ...]:
        """Return the ids of the prompt of any other question (Prismatic's form), without BOS."""
        return self.encode(f"In: {question}\nOut:")

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Return the words of a text for which there is no token."""

    def save(self, path: Path) -> None:
        """Write tokenizer.json."""
        files.write_text(path, self.tokenizer.to_str(pretty=False))


class Words(Vocabulary):
    """mini's tokenizer: whole words, ``<unk>`` for all others."""

    #: Id of words that are not in the vocabulary.
    UNKNOWN = 3
    pad = 0
    _SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
    _PHRASES = (_ACTION_PHRASE, "?\nOut:", "In:", "\nOut:")

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.size = tokenizer, tokenizer.get_vocab_size()
        first = self.size - ACTIONS - LOCATIONS
        self.locations = range(first, first + LOCATIONS)

    @classmethod
    def build(cls, texts: Iterable[str]) -> "Words":
        """Return a vocabulary of all words of texts (any order; duplicates do no harm)."""
        split = pre_tokenizers.BertPreTokenizer()
        known = {word for text in texts for word, _ in split.pre_tokenize_str(text.lower())}
        ends = [f"<loc{n:03d}>" for n in range(LOCATIONS)]
        ends += [f"<act{n:03d}>" for n in range(ACTIONS)]
        ids = {w: n for n, w in enumerate([*cls._SPECIAL, *cls._PHRASES, *sorted(known), *ends])}
        tokenizer = Tokenizer(models.WordLevel(ids, unk_token=cls._SPECIAL[cls.UNKNOWN]))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = split
        tokenizer.add_special_tokens([*cls._SPECIAL, *ends])
        tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in cls._PHRASES])
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "Words":
        """Read a tokenizer.json.

        Raises:
            UnblindError: it is missing or none.
        """
        return cls(_read(path, "fetch the base again"))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of ids, with blanks between them."""
        return " ".join(self.tokenizer.id_to_token(int(number)) for number in ids)

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Return the words of a text for which there is no token."""
        return tuple(word for word in text.split() if self.UNKNOWN in self.encode(word))


#: The piece of a single blank, which ends the prompt of an action.
BLANK = "\u2581"
#: Ids of Llama-2 on which prompts and stopping depend (all words of the action prompt).
ANCHORS: Mapping[str, int] = {
    "<unk>": 0,
    "<s>": BOS,
    "</s>": EOS,
    "<0x0A>": 13,
    "\u2581In": 512,
    ":": 29901,
    "\u2581What": 1724,
    "\u2581action": 3158,
    "\u2581should": 881,
    "\u2581the": 278,
    "\u2581robot": 19964,
    "\u2581take": 2125,
    "\u2581to": 304,
    "?": 29973,
    "Out": 3744,
    BLANK: 29871,
}


class Llama(Vocabulary):
    """Llama-2's tokenizer with OpenVLA's padding token behind its words.

    Args:
        tokenizer: of the tokenizers library.
        size: number of ids without the padding (Llama-2: 32000).
        pad: id of the padding token.
    """

    locations = range(0)

    def __init__(self, tokenizer: Tokenizer, size: int, pad: int) -> None:
        self.tokenizer, self.size, self.pad = tokenizer, size, pad

    @classmethod
    def load(cls, path: Path, size: int, pad: int) -> "Llama":
        """Read a ``tokenizer.json``.

        Args:
            path: of the file.
            size: number of ids without the padding that the model has.
            pad: id of its padding token.

        Raises:
            UnblindError: the file is missing or unreadable, or belongs to another vocabulary:
                the first three differing words are named.
        """
        remedy = "use the tokenizer.json of openvla/openvla-7b"
        documents.read(path)  # exists, is JSON, is no giant
        tokenizer = _read(path, remedy)
        ids = tokenizer.get_vocab(with_added_tokens=True)
        words = sum(number < size for number in ids.values())
        differences = [] if words == size else [f"{words} words below id {size}, not {size}"]
        differences += [
            f"{word!r} is {ids.get(word, 'missing')}, not {number}"
            for word, number in ANCHORS.items()
            if ids.get(word) != number
        ]
        beyond = [f"{word!r} is {n}" for word, n in ids.items() if n >= size and n != pad]
        documents.refuse(path, differences + beyond, remedy)
        return cls(tokenizer, size, pad)

    def action_prompt(self, instruction: str) -> tuple[int, ...]:
        """Return the ids of OpenVLA's prompt for an instruction, without BOS; a blank ends it."""
        return (*super().action_prompt(instruction), ANCHORS[BLANK])

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids without special tokens, up to the first EOS."""
        kept: list[int] = []
        for number in ids:
            if int(number) == EOS:
                break
            kept.append(int(number))
        return self.tokenizer.decode(kept, skip_special_tokens=True)

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Return nothing: what is no word is spelled in bytes."""
        return ()


def _read(path: Path, remedy: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(Path(path).read_text(encoding="utf-8"))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise UnblindError(f"cannot read the tokenizer {path}: {error}", remedy) from None
