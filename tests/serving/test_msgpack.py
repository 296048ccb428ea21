"""MessagePack: its published bytes, and that no bytes do harm."""

import numpy as np
import pytest

from unblind.serving.msgpack import DEPTH, Malformed, pack, unpack

#: Values with their bytes by hand from the specification's table of formats.
KNOWN = [
    (None, "c0"),
    (False, "c2"),
    (True, "c3"),
    (0, "00"),
    (127, "7f"),
    (-1, "ff"),
    (-32, "e0"),
    (1.0, "cb 3ff0000000000000"),
    ("", "a0"),
    ("aä", "a3 61c3a4"),
    (b"\x01\x02", "c4 02 0102"),
    ([1, [2]], "92 01 91 02"),
    ({"a": None}, "81 a1 61 c0"),
]
#: Shorter and longer forms of the same, which other writers use.
READ = [
    (200, "cc c8"),
    (200, "cd 00c8"),
    (200, "ce 000000c8"),
    (-200, "d1 ff38"),
    (-1, "d0 ff"),
    (-1, "d2 ffffffff"),
    (2**64 - 1, "cf ffffffffffffffff"),
    (-(2**63), "d3 8000000000000000"),
    (1.5, "ca 3fc00000"),
    ("a", "d9 01 61"),
    ("a", "da 0001 61"),
    ("a", "db 00000001 61"),
    (b"a", "c5 0001 61"),
    (b"a", "c6 00000001 61"),
    ([None], "dc 0001 c0"),
    ([None], "dd 00000001 c0"),
    ({"a": 1}, "de 0001 a1 61 01"),
    ({"a": 1}, "df 00000001 a1 61 01"),
]


@pytest.mark.parametrize(("value", "digits"), KNOWN)
def test_values_have_the_bytes_of_the_specification(value, digits):
    assert pack(value) == bytes.fromhex(digits)
    assert unpack(bytes.fromhex(digits)) == value


@pytest.mark.parametrize(("value", "digits"), READ)
def test_every_width_is_read(value, digits):
    found = unpack(bytes.fromhex(digits))
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [31, 32, 200, -33, 2**63, 2**64 - 1, -(2**63), 0.1, "x" * 31, "x" * 32, "x" * 300, "x" * 70_000]
    + [bytes(255), bytes(256), bytes(70_000), [0] * 15, [0] * 16, [0] * 70_000]
    + [{str(n): n for n in range(count)} for count in (15, 16, 70_000)],
    ids=lambda value: type(value).__name__,
)
def test_what_is_written_is_read(value):
    assert unpack(pack(value)) == value


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, np.float32(1), object(), {1, 2}])
def test_other_values_are_not_written(value):
    with pytest.raises(Malformed):
        pack(value)


@pytest.mark.parametrize(
    ("digits", "why"),
    [
        ("", "incomplete"),
        ("00 00", "bytes follow"),
        ("a2 61", "incomplete"),
        ("dd ffffffff", "exceeds"),
        ("df ffffffff", "exceeds"),
        ("c6 ffffffff", "incomplete"),
        ("a1 ff", "UTF-8"),
        ("81 01 01", "map key"),
        ("81 c4 01 61 01", "a key is not text"),
        ("82 a1 61 01 a1 61 02", "twice"),
        ("d4 01 00", "max_ext_len"),
        ("d6 ff 00000000", "max_ext_len"),
        ("c1", "none of MessagePack"),
        ("91" * (DEPTH + 2) + "c0", "nested"),
        ("91" * 100_000, "nested"),
    ],
)
def test_what_is_none_is_refused(digits, why):
    with pytest.raises(Malformed, match=why):
        unpack(bytes.fromhex(digits))


def test_random_bytes_are_read_or_refused():
    rng = np.random.default_rng(0)
    whole = pack({"type": "action", "payload": {"a": [1.0, b"12", None]}, "seq": 3})
    for _ in range(3000):
        data = bytearray(whole)
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            data[place] = rng.integers(256)
        try:
            unpack(bytes(data))
        except Malformed:
            pass
