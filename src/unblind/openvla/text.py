"""Llama-2's tokenizer as OpenVLA uses it, read from the hub's ``tokenizer.json``."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from unblind.errors import UnblindError
from unblind.openvla import documents
from unblind.vla.text import ACTIONS, action_prompt

FILE = "tokenizer.json"
#: The piece of a single blank, which ends the prompt of an action.
BLANK = "\u2581"
#: Ids of Llama-2 on which prompts and stopping depend (all words of the action prompt).
ANCHORS: Mapping[str, int] = {
    "<unk>": 0,
    "<s>": 1,
    "</s>": 2,
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
#: End of sequence, which follows the seven tokens of an action in training.
EOS = ANCHORS["</s>"]


class LlamaVocabulary:
    """Llama-2's tokenizer with OpenVLA's padding token behind its words.

    Attributes:
        tokenizer: of the tokenizers library.
        size: number of ids without the padding (Llama-2: 32000).
        pad: id of the padding token.
    """

    def __init__(self, tokenizer: Tokenizer, size: int, pad: int) -> None:
        self.tokenizer, self.size, self.pad = tokenizer, size, pad

    @classmethod
    def load(cls, path: Path, size: int, pad: int) -> "LlamaVocabulary":
        """Read a ``tokenizer.json``.

        Args:
            path: of the file.
            size: number of ids without the padding that the model has.
            pad: id of its padding token.

        Raises:
            UnblindError: the file is missing or unreadable, or belongs to another vocabulary:
                the first three differing words are named.
        """
        documents.read(path)  # exists, is JSON, is no giant
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise UnblindError(f"cannot read {path}: {error}", _REMEDY) from None
        found = tokenizer.get_vocab(with_added_tokens=True)
        words = sum(number < size for number in found.values())
        differences = [] if words == size else [f"{words} words below id {size}, not {size}"]
        differences += [
            f"{word!r} is {found.get(word, 'missing')}, not {number}"
            for word, number in ANCHORS.items()
            if found.get(word) != number
        ]
        beyond = [f"{word!r} is {n}" for word, n in found.items() if n >= size and n != pad]
        documents.refuse(path, differences + beyond, _REMEDY)
        return cls(tokenizer, size, pad)

    @property
    def actions(self) -> range:
        """Ids of the action tokens, the last ones before the padding (31744 to 31999)."""
        return range(self.size - ACTIONS, self.size)

    @cached_property
    def _known(self) -> dict[str, tuple[int, ...]]:
        return {}

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text, without BOS and EOS."""
        if text not in self._known:
            self._known[text] = tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)
        return self._known[text]

    def action_prompt(self, instruction: str) -> tuple[int, ...]:
        """Return the ids of the prompt for an instruction, without BOS, ending with the blank.

        The instruction is put into lower case; its blanks and punctuation stay as they are.
        """
        return (*self.encode(action_prompt(instruction)), ANCHORS[BLANK])

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids without special tokens, up to the first EOS."""
        kept: list[int] = []
        for number in ids:
            if int(number) == EOS:
                break
            kept.append(int(number))
        return self.tokenizer.decode(kept, skip_special_tokens=True)


_REMEDY = "use the tokenizer.json of openvla/openvla-7b"
