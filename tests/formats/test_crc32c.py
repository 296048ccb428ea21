import random

import pytest

from unblind.formats.crc32c import crc32c, masked


def bit_by_bit(data):
    """The definition: division by the reflected polynomial 0x1EDC6F41, bit after bit."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_the_vectors_of_rfc_3720(data, checksum):
    assert crc32c(data) == checksum
    assert crc32c(memoryview(data)) == checksum


@pytest.mark.parametrize("length", [1, 64, 65, 255, 256, 257, 1023, 4100])
def test_short_and_long_bytes_are_checked_alike(length):
    data = random.Random(length).randbytes(length)
    assert crc32c(data) == bit_by_bit(data)


def test_pieces_of_a_mebibyte_are_joined():
    """A remainder goes through a mebibyte of zeros as through its bytes one after the other."""
    data = random.Random(0).randbytes((2 << 20) + 77)
    state, table = 0xFFFFFFFF, [bit_by_bit(bytes([b])) for b in range(256)]
    start = bit_by_bit(b"\x00")
    table = [value ^ start for value in table]  # what a byte changes
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    assert crc32c(data) == state ^ 0xFFFFFFFF


def test_the_mask_of_tfrecord_files():
    turned = (0xE3069283 >> 15 | 0xE3069283 << 17) & 0xFFFFFFFF
    assert masked(b"123456789") == (turned + 0xA282EAD8) % 2**32
