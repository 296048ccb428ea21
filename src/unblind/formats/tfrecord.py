"""TFRecord files: records one after the other, each with checksums of its length and its bytes.

Source: TensorFlow's description of the format. A record is its length (uint64), the masked
CRC-32C of these 8 bytes, the bytes, and their masked CRC-32C; integers are little-endian.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from unblind import files
from unblind.errors import UnblindError
from unblind.formats.crc32c import masked

#: Bytes of the longest record that is read: an episode of thousands of pictures.
LONGEST = 1 << 28
_AGAIN = "fetch the file again; compressed files are not read"


def read(path: Path) -> Iterator[bytes]:
    """Yield the records of a file, one in memory at a time, both checksums verified.

    Raises:
        UnblindError: the file is missing, is cut off or damaged, or has too long a record.
    """
    try:
        files.refuse_pointer(path)
        with open(path, "rb") as handle:
            left, number = os.fstat(handle.fileno()).st_size, 0
            while left:
                record = _read_one(handle, left, f"{path}, record {number}")
                left, number = left - 16 - len(record), number + 1
                yield record
    except OSError as error:
        raise UnblindError(f"cannot read {path}: {error.strerror}", "fetch it") from None


def _read_one(handle: BinaryIO, left: int, where: str) -> bytes:
    """Return the next record of a file with ``left`` more bytes."""
    if left < 16:
        raise UnblindError(f"{where}: the file ends within it", _AGAIN)
    length, checksum = struct.unpack("<QI", head := handle.read(12))
    if masked(head[:8]) != checksum:
        raise UnblindError(f"{where}: the checksum of its length is wrong", _AGAIN)
    if length > left - 16:
        cause = f"{where}: {length} bytes announced, {left - 16} are there"
        raise UnblindError(cause, _AGAIN)
    if length > LONGEST:
        cause = f"{where}: {length} bytes, more than the {LONGEST} of the longest that is read"
        raise UnblindError(cause, "split the episode")
    record, checksum = handle.read(length), handle.read(4)
    if len(record) < length or masked(record).to_bytes(4, "little") != checksum:
        raise UnblindError(f"{where}: the checksum of its bytes is wrong", _AGAIN)
    return record


def write(handle: BinaryIO, record: bytes) -> None:
    """Append a record to an open file."""
    length = struct.pack("<Q", len(record))
    handle.write(length + struct.pack("<I", masked(length)))
    handle.write(record)
    handle.write(struct.pack("<I", masked(record)))
