"""A stand-in for Llama-2's tokenizer: same size, same form, same ids for the action prompt.

Llama-2's own words cannot be shipped. Of its 32,000 pieces the twin has the special tokens, the
bytes, and those that the action prompt is made of, all at their ids; other words are spelled in
letters, other characters in bytes.
"""

import string
from collections.abc import Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

from unblind.vla.text import ANCHORS, BLANK

_SIZE, _FIRST_BYTE, _BYTES = 32000, 3, 256
PAD = "<PAD>"


def build() -> Tokenizer:
    """Return the tokenizer; its padding token has the id 32000."""
    merges = list(dict.fromkeys(pair for word in ANCHORS for pair in _spelling(word)))
    vocabulary = {word: number for word, number in ANCHORS.items()}
    vocabulary |= {f"<0x{byte:02X}>": _FIRST_BYTE + byte for byte in range(_BYTES)}
    letters = [*string.ascii_letters, *string.digits, *string.punctuation, BLANK]
    pieces = [*letters, *(left + right for left, right in merges)]
    taken = set(vocabulary.values())
    free = iter(number for number in range(_FIRST_BYTE + _BYTES, _SIZE) if number not in taken)
    for piece in pieces:
        if piece not in vocabulary:
            vocabulary[piece] = next(free)
    vocabulary |= {f"<unused{number}>": number for number in free}
    model = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)  # noqa: S106 (no password)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(BLANK), normalizers.Replace(" ", BLANK)]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(BLANK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", AddedToken(PAD, normalized=False)])
    return tokenizer


def _spelling(word: str) -> Iterator[tuple[str, str]]:
    """Yield the merges that make a word of its letters, from the left; none for a special one."""
    if not word.startswith("<"):
        for end in range(1, len(word)):
            yield word[:end], word[end]
