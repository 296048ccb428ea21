"""The message `tf.train.Example`: lists of bytes, floats or integers by name.

Source: the wire format of protocol buffers, and TensorFlow's example.proto and feature.proto:
Example {Features features = 1}, Features {map<string, Feature> feature = 1}, Feature {BytesList = 1
| FloatList = 2 | Int64List = 3}, and each list {repeated value = 1}, packed or not.
"""

from collections.abc import Container, Iterator, Mapping, Sequence

import numpy as np

#: Bytes, (N,) float32 or (N,) int64.
Values = Sequence[bytes] | np.ndarray

#: Most values of a list of bytes or integers: steps of an episode.
MOST_VALUES = 100_000
_VARINT, _EIGHT, _SIZED, _FOUR = 0, 1, 2, 5
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3
_LONGEST_VARINT = 10  # bytes


def parse(record: bytes, wanted: Container[str]) -> dict[str, Values]:
    """Return the wanted features of a serialised Example; all others are passed over.

    Raises:
        ValueError: the record is no Example, or a wanted list is too long.
    """
    found: dict[str, Values] = {}
    for number, value in _messages(memoryview(record), (1, 2)):
        if number == 2:
            raise ValueError("is a SequenceExample, RLDS has Examples")
        for _, entry in _messages(value, (1,)):
            parts = dict(_messages(entry, (1, 2)))
            name = bytes(parts.get(1, b"")).decode()
            if name in wanted:
                found[name] = _values(parts.get(2, memoryview(b"")))
    return found


def serialise(features: Mapping[str, Values]) -> bytes:
    """Return the Example of features: bytes, or float32 or int64 arrays of any shape."""
    entries = []
    for name, values in features.items():
        feature = _message(2, _feature(values))
        entries.append(_message(1, _message(1, name.encode()) + feature))
    return _message(1, b"".join(entries))


def _values(feature: memoryview) -> Values:
    """Return the one list of a Feature."""
    lists = list(_messages(feature, (_BYTES, _FLOATS, _INTEGERS)))
    if not lists:
        return []
    if len(lists) > 1:
        raise ValueError("a feature has more than one list")
    kind, content = lists[0]
    if kind == _BYTES:
        return _limited(bytes(value) for _, value in _messages(content, (1,)))
    if kind == _FLOATS:
        return np.frombuffer(b"".join(_numbers(content, _FOUR)), "<f4")
    integers = _limited(number for part in _numbers(content, _VARINT) for number in _unpacked(part))
    return np.array(integers, np.uint64).astype(np.int64)


def _limited(values: Iterator) -> list:
    """Return the values as a list, or refuse as soon as there are too many."""
    taken = []
    for value in values:
        if len(taken) == MOST_VALUES:
            raise ValueError(f"a feature has more than {MOST_VALUES} values")
        taken.append(value)
    return taken


def _numbers(content: memoryview, alone: int) -> Iterator[memoryview]:
    """Yield the bytes of a list's numbers: packed ones, or each alone as its wire type has it."""
    for number, wire, value in _fields(content):
        if number == 1:
            if wire not in (_SIZED, alone):
                raise ValueError(f"a list of numbers has wire type {wire}")
            if alone == _FOUR and len(value) % 4:
                raise ValueError("a list of floats is cut off")
            yield value


def _unpacked(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        number, at = _varint(content, at)
        yield number


def _messages(data: memoryview, numbers: Container[int]) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields that have these numbers and a size; other numbers are passed over."""
    for number, wire, value in _fields(data):
        if number in numbers:
            if wire != _SIZED:
                raise ValueError(f"field {number} has wire type {wire}")
            yield number, value


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield number, wire type and bytes of each field of a message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            end = _varint(data, at)[1]
        elif wire == _SIZED:
            size, at = _varint(data, at)
            end = at + size
        elif wire in (_EIGHT, _FOUR):
            end = at + (8 if wire == _EIGHT else 4)
        else:
            raise ValueError(f"there is no wire type {wire}")
        if end > len(data):
            raise ValueError("a field is cut off")
        yield number, wire, data[at:end]
        at = end


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return an integer and where the next byte is."""
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + place + 1
    raise ValueError("an integer is cut off")


def _feature(values: Values) -> bytes:
    if not isinstance(values, np.ndarray):
        return _message(_BYTES, b"".join(_message(1, value) for value in values))
    if values.dtype == np.float32:
        return _message(_FLOATS, _message(1, values.astype("<f4").tobytes()))
    numbers = values.astype(np.int64).astype(np.uint64).ravel().tolist()
    return _message(_INTEGERS, _message(1, b"".join(map(_to_varint, numbers))))


def _message(number: int, content: bytes) -> bytes:
    return _to_varint(number << 3 | _SIZED) + _to_varint(len(content)) + content


def _to_varint(value: int) -> bytes:
    done = bytearray()
    while value > 0x7F:
        done.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*done, value])
