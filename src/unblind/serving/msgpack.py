"""MessagePack, as far as messages of policies need it (https://msgpack.org, without extensions).

Values are None, booleans, whole numbers of 64 bits, floats, text, bytes, lists and dictionaries
with text as keys. What is read may be anything: the library allocates nothing that is larger than
its bytes warrant.
"""

from collections.abc import Iterable
from typing import Any

import msgpack

#: Lists and dictionaries within each other, at most: both sides walk through them by recursion.
DEPTH = 16


class Malformed(ValueError):
    """Bytes that are no message, or a value that no message can hold; the text says why."""


def pack(value: Any) -> bytes:
    """Return a value as MessagePack.

    Raises:
        Malformed: it is of another type, or a number is too large.
    """
    try:
        return msgpack.packb(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Malformed(f"it cannot be sent: {error}") from None


def unpack(data: bytes) -> Any:
    """Return the value that ``data`` holds.

    Raises:
        Malformed: the bytes are cut off, or hold more than one value, an extension, text that is
            not UTF-8, a key that is not text or comes twice, or too many levels.
    """
    try:
        value = msgpack.unpackb(data, max_ext_len=0, object_pairs_hook=_dictionary)
    except msgpack.ExtraData:
        raise Malformed("bytes follow its end") from None
    except msgpack.StackError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise Malformed("its text is not UTF-8") from None
    except ValueError as error:
        raise Malformed(str(error) or "its format is none of MessagePack") from None
    _check_depth(value, 0)
    return value


def _dictionary(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str) or key in found:
            raise Malformed("a key is not text, or comes twice")
        found[key] = value
    return found


def _check_depth(value: Any, depth: int) -> None:
    if depth > DEPTH:
        raise _too_deep()
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, depth + 1)


def _too_deep() -> Malformed:
    return Malformed(f"it is nested deeper than {DEPTH} levels")
