import struct

import pytest

from unblind.errors import UnblindError
from unblind.formats import tfrecord
from unblind.formats.crc32c import masked

RECORDS = [b"one", b"", bytes(range(256)) * 5]


def head(length):
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked(packed))


@pytest.fixture
def path(tmp_path):
    with open(tmp_path / "x.tfrecord", "wb") as handle:
        for record in RECORDS:
            tfrecord.write(handle, record)
    return tmp_path / "x.tfrecord"


def refused(path, words):
    with pytest.raises(UnblindError, match=words) as found:
        list(tfrecord.read(path))
    assert str(path) in found.value.cause and found.value.remedy
    assert "\n" not in str(found.value)


def test_records_are_read_as_they_were_written(path):
    assert list(tfrecord.read(path)) == RECORDS
    assert path.stat().st_size == sum(16 + len(record) for record in RECORDS)


def test_an_empty_file_has_no_record(tmp_path):
    (tmp_path / "x").touch()
    assert list(tfrecord.read(tmp_path / "x")) == []


def test_a_length_beyond_the_file_allocates_nothing(path):
    path.write_bytes(head(2**60) + bytes(100))
    refused(path, rf"record 0: {2**60} bytes announced, 96 are there")


def test_a_record_beyond_the_limit_is_not_read(path, monkeypatch):
    monkeypatch.setattr(tfrecord, "LONGEST", 1000)
    refused(path, r"record 2: 1280 bytes, more than the 1000 .*split the episode")


@pytest.mark.parametrize("cut", [1, 4, 5, 1279, 1284, 1285, 1292, 1295])
def test_a_file_that_is_cut_off(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, r"record 2: (the file ends within it|1280 bytes announced, \d+ are there)")


@pytest.mark.parametrize(
    ("place", "words"),
    [(0, "record 0: the checksum of its length"), (9, "record 0: the checksum of its length")]
    + [(12, "record 0: the checksum of its bytes"), (16, "record 0: the checksum of its bytes")]
    + [(-5, "record 2: the checksum of its bytes"), (-1, "record 2: the checksum of its bytes")],
)
def test_one_wrong_bit(path, place, words):
    data = bytearray(path.read_bytes())
    data[place] ^= 16
    path.write_bytes(data)
    refused(path, words)


def test_what_is_not_there_or_was_not_fetched(tmp_path):
    refused(tmp_path / "absent", "No such file")
    (tmp_path / "pointer").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0")
    refused(tmp_path / "pointer", "Git LFS pointer")
