"""MessagePack, as far as messages of policies need it (https://msgpack.org, without extensions).

Values are None, booleans, whole numbers of 64 bits, floats, text, bytes, lists and dictionaries
with text as keys. What is read may be anything: nothing is built that is larger than its bytes
warrant, and nothing is nested deeper than `DEPTH`.
"""

import struct
from collections.abc import Callable
from typing import Any

#: Lists and dictionaries within each other, at most.
DEPTH = 16
#: Type bytes of a kind of value with the widths, in bytes, of the length that follows.
_TEXT = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_LIST = {0xDC: 2, 0xDD: 4}
_MAP = {0xDE: 2, 0xDF: 4}
_PLAIN = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    **{0xCA: ">f", 0xCB: ">d"},
    **{0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"},
    **{0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"},
}


class Malformed(ValueError):
    """Bytes that are no message, or a value that no message can hold; the text says why."""


def pack(value: Any) -> bytes:
    """Return a value as MessagePack.

    Raises:
        Malformed: it is of another type, or a number is too large.
    """
    parts: list[bytes] = []
    _pack(value, parts.append)
    return b"".join(parts)


def unpack(data: bytes) -> Any:
    """Return the value that ``data`` holds.

    Raises:
        Malformed: the bytes are cut off, or hold more than one value, an extension, text that is
            not UTF-8, a key that is not text or comes twice, or too many levels.
    """
    reader = _Reader(data)
    value = reader.value(0)
    if reader.place != len(data):
        raise Malformed("bytes follow its end")
    return value


def _pack(value: Any, add: Callable[[bytes], None]) -> None:
    if value is None or isinstance(value, bool):
        add(bytes([{None: 0xC0, False: 0xC2, True: 0xC3}[value]]))
    elif isinstance(value, int):
        add(_whole(value))
    elif isinstance(value, float):
        add(b"\xcb" + struct.pack(">d", value))
    elif isinstance(value, str):
        encoded = value.encode()
        add(_head(len(encoded), 0xA0, 32, _TEXT) + encoded)
    elif isinstance(value, bytes):
        add(_head(len(value), 0, 0, _BYTES) + value)
    elif isinstance(value, list | tuple):
        add(_head(len(value), 0x90, 16, _LIST))
        for item in value:
            _pack(item, add)
    elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
        add(_head(len(value), 0x80, 16, _MAP))
        for key, item in value.items():
            _pack(key, add)
            _pack(item, add)
    else:
        raise Malformed(f"a {type(value).__name__} cannot be sent")


def _whole(value: int) -> bytes:
    """Return a whole number: one byte from -32 to 127, else 64 bits."""
    if -32 <= value < 128:
        return struct.pack(">b", value)
    for kind, code in ((b"\xd3", ">q"), (b"\xcf", ">Q")):
        try:
            return kind + struct.pack(code, value)
        except struct.error:
            continue
    raise Malformed(f"{value} has more than 64 bits")


def _head(length: int, short: int, below: int, kinds: dict[int, int]) -> bytes:
    """Return the type byte and the length of a value; lengths under ``below`` are in the type."""
    if length < below:
        return bytes([short | length])
    for kind, width in kinds.items():
        if length < 256**width:
            return bytes([kind]) + length.to_bytes(width)
    raise Malformed(f"{length} bytes or items are too many")


class _Reader:
    """Reads values from the front of ``data``; ``place`` is where the next one begins."""

    def __init__(self, data: bytes) -> None:
        self._data, self.place = data, 0

    def value(self, depth: int) -> Any:
        """Return the next value; it lies in ``depth`` lists and dictionaries."""
        if depth > DEPTH:
            raise Malformed(f"it is nested deeper than {DEPTH} levels")
        kind = self._take(1)[0]
        if kind < 0x80 or kind >= 0xE0:
            return kind - 256 * (kind >= 0xE0)
        if kind in _PLAIN:
            return _PLAIN[kind]
        if code := _NUMBERS.get(kind):
            return struct.unpack(code, self._take(struct.calcsize(code)))[0]
        if kind in _BYTES:
            return self._take(self._length(_BYTES[kind]))
        return self._nested(kind, depth)

    def _nested(self, kind: int, depth: int) -> Any:
        """Return text, a list or a dictionary."""
        if 0xA0 <= kind < 0xC0 or kind in _TEXT:
            return self._text(kind & 31 if kind < 0xC0 else self._length(_TEXT[kind]))
        if 0x90 <= kind < 0xA0 or kind in _LIST:
            length = kind & 15 if kind < 0xA0 else self._length(_LIST[kind])
            return [self.value(depth + 1) for _ in range(self._plausible(length))]
        if 0x80 <= kind < 0x90 or kind in _MAP:
            return self._map(kind & 15 if kind < 0x90 else self._length(_MAP[kind]), depth)
        raise Malformed(f"type 0x{kind:02x} is none of a message")

    def _map(self, length: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self._plausible(length)):
            key = self.value(depth + 1)
            if not isinstance(key, str) or key in found:
                raise Malformed("a key is not text, or comes twice")
            found[key] = self.value(depth + 1)
        return found

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            raise Malformed("its text is not UTF-8") from None

    def _length(self, width: int) -> int:
        return int.from_bytes(self._take(width))

    def _plausible(self, length: int) -> int:
        """Return a number of items, each of which takes a byte at least."""
        if length > len(self._data) - self.place:
            raise Malformed("it is cut off")
        return length

    def _take(self, length: int) -> bytes:
        end = self.place + self._plausible(length)
        taken, self.place = self._data[self.place : end], end
        return taken
