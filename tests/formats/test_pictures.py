import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from unblind.formats import pictures


def encoded(kind, mode="RGB", size=(16, 12), **options):
    image = Image.fromarray(
        np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(*size[::-1], 3)
    )
    stream = io.BytesIO()
    image.convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(width, height):
    """A small PNG file that says it is large, with pixels that compress well."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10**7))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_kind_and_size_are_found(kind):
    data = encoded(kind)
    assert pictures.form(data) == pictures.check(data) == (kind, 12, 16)


@pytest.mark.parametrize("side", [pictures.LARGEST + 1, 30_000, 2**31 - 1])
def test_a_picture_that_says_it_is_huge_is_not_decoded(side):
    data = bomb(side, side)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"larger than 4096 x 4096|neither PNG nor JPEG"):
        pictures.check(data)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def exif():
    values = Image.Exif()
    values[0x0112] = 6
    return values


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "neither PNG nor JPEG"),
        (encoded("bmp"), "neither PNG nor JPEG"),
        (encoded("png")[:20], "neither PNG nor JPEG"),
        (encoded("png")[:-30], "cannot be decoded"),
        (encoded("jpeg")[:-30], "cannot be decoded"),
        (encoded("png", "L"), "no upright RGB picture"),
        (encoded("png", "RGBA"), "no upright RGB picture"),
        (encoded("jpeg", exif=exif()), "no upright RGB picture"),
    ],
)
def test_what_is_no_whole_rgb_picture_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        pictures.check(data)
