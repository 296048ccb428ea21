"""The wire format, from bytes put together by hand after its description."""

import numpy as np
import pytest

from unblind.formats import example


def sized(number, content):
    """A field of bytes; lengths below 128 are one byte."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def record(*features):
    """An Example of (name, Feature) pairs."""
    entries = [sized(1, sized(1, name) + sized(2, feature)) for name, feature in features]
    return sized(1, b"".join(entries))


FLOATS = np.array([1.0, -2.5], "<f4")


@pytest.mark.parametrize(
    ("feature", "values"),
    [
        (sized(1, sized(1, b"ab") + sized(1, b"")), [b"ab", b""]),
        (sized(2, sized(1, FLOATS.tobytes())), [1.0, -2.5]),
        (sized(2, b"".join(b"\x0d" + x.tobytes() for x in FLOATS)), [1.0, -2.5]),  # not packed
        (sized(3, sized(1, b"\x05\xac\x02")), [5, 300]),
        (sized(3, b"\x08\x05\x08\xac\x02"), [5, 300]),
        (sized(3, sized(1, b"\xff" * 9 + b"\x01")), [-1]),
        (b"", []),
    ],
)
def test_lists_are_read_packed_or_not(feature, values):
    found = example.parse(record((b"x", feature), (b"y", b"")), ("x",))
    assert list(found) == ["x"]
    assert list(found["x"]) == values


def test_unknown_fields_are_passed_over():
    odd = b"\x39" + bytes(8) + b"\x3d" + bytes(4) + b"\x38\x96\x01" + sized(7, b"abc")
    inside = odd + record((b"x", odd + sized(3, odd + b"\x08\x07") + odd)) + odd
    assert example.parse(inside, ("x",))["x"].tolist() == [7]


def test_what_is_written_is_read():
    values = {
        "bytes": [b"", b"\x00" * 300],
        "floats": np.array([[1.5, np.inf], [-0.0, 1e-40]], np.float32),
        "integers": np.array([0, 127, 128, 2**63 - 1, -(2**63)]),
        "flags": np.array([True, False]),
    }
    found = example.parse(example.serialise(values), values)
    assert found["bytes"] == values["bytes"]
    assert found["floats"].tobytes() == values["floats"].tobytes()
    assert found["integers"].tolist() == values["integers"].tolist()
    assert found["flags"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x0a", "cut off"),
        (b"\x0a\x05ab", "cut off"),
        (b"\x0b", "no wire type 3"),
        (b"\x08\x01", "wire type 0"),
        (b"\x0a" + b"\xff" * 11, "cut off"),
        (sized(2, b""), "SequenceExample"),
        (record((b"\xff", b"")), "decode"),
        (record((b"x", sized(1, b"") + sized(2, b""))), "more than one list"),
        (record((b"x", sized(2, sized(1, b"abc")))), "floats is cut off"),
        (record((b"x", sized(3, b"\x0d" + bytes(4)))), "wire type 5"),
    ],
)
def test_what_is_no_example_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        example.parse(data, ("x",))


@pytest.mark.parametrize("values", [[b""] * 11, np.zeros(11, np.int64)])
def test_a_list_has_a_longest_length(values, monkeypatch):
    data = example.serialise({"x": values})
    monkeypatch.setattr(example, "MOST_VALUES", 11)
    assert len(example.parse(data, ("x",))["x"]) == 11
    monkeypatch.setattr(example, "MOST_VALUES", 10)
    with pytest.raises(ValueError, match="more than 10 values"):
        example.parse(data, ("x",))
    assert example.parse(data, ("y",)) == {}
