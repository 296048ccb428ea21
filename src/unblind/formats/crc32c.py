"""CRC-32C (Castagnoli), the checksum of TFRecord files, in NumPy.

A cyclic redundancy check is linear over GF(2), so blocks are checked side by side and their
remainders put together afterwards: that of a joined block is the first one's, moved on by as many
zero bytes as the second is long, plus the second one's.

Source: RFC 3720, appendix B.4 (test vectors); the mask is that of TFRecord files.
"""

from functools import cache

import numpy as np

_POLYNOMIAL = 0x82F63B78  # reflected
_ALL_ONES = 0xFFFFFFFF
_BLOCK_BITS, _PIECE_BITS = 8, 20  # 256 bytes each side by side, 1 MiB at a time
_SHORT = 64  # bytes that are done sooner one by one
_MASK = 0xA282EAD8


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C of bytes."""
    if len(data) <= _SHORT:
        return _one_by_one(data)
    view = np.frombuffer(data, np.uint8)
    head = len(view) % (1 << _PIECE_BITS)
    remainder = _remainder(view[:head])
    for start in range(head, len(view), 1 << _PIECE_BITS):
        piece = _remainder(view[start : start + (1 << _PIECE_BITS)])
        remainder = int(_moved(np.array([remainder]), _PIECE_BITS)[0]) ^ piece
    return remainder ^ _start(len(view)) ^ _ALL_ONES


def masked(data: bytes | memoryview) -> int:
    """Return the CRC-32C as TFRecord files store it: turned by 15 bits, plus a constant."""
    value = crc32c(data)
    return ((value >> 15 | value << 17) + _MASK) & _ALL_ONES


def _one_by_one(data: bytes | memoryview) -> int:
    table, value = _byte_table(), _ALL_ONES
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ _ALL_ONES


def _remainder(data: np.ndarray) -> int:
    """Return the remainder of (N,) bytes, counted from 0; zeros in front do not change it."""
    width = 1 << _BLOCK_BITS
    blocks = np.zeros((-(-len(data) // width) or 1, width), np.uint8)
    blocks.reshape(-1)[blocks.size - len(data) :] = data
    words = np.ascontiguousarray(blocks.view("<u4").T)
    high, low = _word_tables()
    remainders = np.zeros(len(blocks), np.uint32)
    for row in words:
        mixed = remainders ^ row
        remainders = low[mixed & 0xFFFF] ^ high[mixed >> 16]
    bits = _BLOCK_BITS
    while len(remainders) > 1:
        if len(remainders) % 2:
            remainders = np.concatenate([np.zeros(1, np.uint32), remainders])
        remainders = _moved(remainders[::2], bits) ^ remainders[1::2]
        bits += 1
    return int(remainders[0])


def _start(length: int) -> int:
    """Return what the customary start with all ones contributes after ``length`` bytes."""
    state = np.array([_ALL_ONES], np.uint32)
    for bits in range(length.bit_length()):
        if length >> bits & 1:
            state = _moved(state, bits)
    return int(state[0])


def _moved(remainders: np.ndarray, bits: int) -> np.ndarray:
    """Return remainders after 2**bits zero bytes."""
    tables, values = _moving_tables(bits), remainders.astype(np.uint32)
    parts = (tables[byte][values >> 8 * byte & 0xFF] for byte in range(4))
    return np.bitwise_xor.reduce(np.stack(list(parts)))


@cache
def _moving_tables(bits: int) -> np.ndarray:
    """Return (4, 256) what each byte of a remainder becomes after 2**bits zero bytes."""
    values = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    if bits:
        half = _moved(values.ravel(), bits - 1)
        return _moved(half, bits - 1).reshape(4, 256)
    for _ in range(8):
        values = (values >> 1) ^ (values & 1) * np.uint32(_POLYNOMIAL)
    return values


@cache
def _byte_table() -> list[int]:
    """Return what a byte becomes after one byte."""
    return _moving_tables(0)[0].tolist()


@cache
def _word_tables() -> tuple[np.ndarray, np.ndarray]:
    """Return (65536,) what the upper and the lower half of a word become after four bytes."""
    halves = np.arange(65536, dtype=np.uint32)
    return _moved(halves << 16, 2), _moved(halves, 2)
