"""Words to tokens: a closed vocabulary with places and actions at its end, and the prompts.

mini's tokenizer knows whole words, in lower case. Its ids end with 128 location tokens
(``<loc000>`` to ``<loc127>``, bins over a side of the square picture or over a height) and then the
256 action tokens, as OpenVLA's end with its 256 least used words. The fixed phrases of the prompts
are one token each, so that a prompt costs as many tokens as it has words of its own.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from unblind import files
from unblind.errors import UnblindError

LOCATIONS, ACTIONS = 128, 256
PAD, BOS, EOS, UNKNOWN = range(4)
_SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
_ACTION_PHRASE = "In: What action should the robot take to"
_PHRASES = (_ACTION_PHRASE, "?\nOut:", "In:", "\nOut:")


def action_prompt(instruction: str) -> str:
    """Return OpenVLA's prompt for an instruction (in lower case, as in its training)."""
    return f"{_ACTION_PHRASE} {instruction.lower()}?\nOut:"


def question_prompt(question: str) -> str:
    """Return the prompt of any other question (Prismatic's form)."""
    return f"In: {question}\nOut:"


def location(fraction: float) -> str:
    """Return the token of a place: a fraction in [0, 1] of a side."""
    return f"<loc{min(max(int(fraction * LOCATIONS), 0), LOCATIONS - 1):03d}>"


class Vocabulary:
    """A tokenizer and where its ranges of ids lie.

    Attributes:
        tokenizer: of the tokenizers library.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    @classmethod
    def build(cls, words: Iterable[str]) -> "Vocabulary":
        """Return a vocabulary of all words of texts (any order; duplicates do no harm)."""
        split = pre_tokenizers.BertPreTokenizer()
        known = {word for text in words for word, _ in split.pre_tokenize_str(text.lower())}
        ends = [f"<loc{n:03d}>" for n in range(LOCATIONS)]
        ends += [f"<act{n:03d}>" for n in range(ACTIONS)]
        ids = {w: n for n, w in enumerate([*_SPECIAL, *_PHRASES, *sorted(known), *ends])}
        tokenizer = Tokenizer(models.WordLevel(ids, unk_token=_SPECIAL[UNKNOWN]))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = split
        tokenizer.add_special_tokens([*_SPECIAL, *ends])
        tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in _PHRASES])
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a tokenizer.json.

        Raises:
            UnblindError: it is missing or none.
        """
        try:
            return cls(Tokenizer.from_str(Path(path).read_text(encoding="utf-8")))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise UnblindError(
                f"cannot read the tokenizer {path}: {error}", "fetch the base again"
            ) from None

    def save(self, path: Path) -> None:
        """Write tokenizer.json."""
        files.write_text(path, self.tokenizer.to_str(pretty=False))

    @cached_property
    def size(self) -> int:
        """Number of token ids."""
        return self.tokenizer.get_vocab_size()

    @cached_property
    def locations(self) -> range:
        """Ids of the location tokens, ascending."""
        first = self.tokenizer.token_to_id("<loc000>")
        return range(first, first + LOCATIONS)

    @property
    def actions(self) -> range:
        """Ids of the action tokens, the last ones."""
        return range(self.size - ACTIONS, self.size)

    @cached_property
    def _known(self) -> dict[str, tuple[int, ...]]:
        return {}

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text, without BOS and EOS; unknown words are ``<unk>``."""
        if text not in self._known:
            self._known[text] = tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)
        return self._known[text]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words of ids, with blanks between them."""
        return " ".join(self.tokenizer.id_to_token(int(number)) for number in ids)
