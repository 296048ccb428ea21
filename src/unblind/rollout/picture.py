"""Reading a person's picture as a policy sees one: RGB bytes, the right way up."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from unblind.errors import UnblindError, note

_REMEDY = "save it as a PNG or JPEG of 8 bits a colour"
#: Pillow's modes that hold colours or greys of 8 bits, or are turned into them without a choice.
_BYTES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "RGBA", "LA", "PA", "La")
_BYTES += ("RGBa",)
#: Modes of 16-bit grey, by the order of their bytes.
_GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")


def read_picture(path: Path) -> np.ndarray:
    """Return a picture as (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Greys of 16 bits become bytes (white stays white), what shines through transparent pixels is
    white, of several frames the first is taken; the last two are noted.

    Raises:
        UnblindError: it is missing, no picture, or of numbers without a known white (32-bit
            integers and floating-point numbers).
    """
    try:
        with Image.open(path) as opened:
            return _bytes(path, opened)
    except FileNotFoundError:
        raise UnblindError(f"{path} is missing", "name a picture") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnblindError(f"{path} is no readable picture: {error}", "name a picture") from None


def _bytes(path: Path, opened: Image.Image) -> np.ndarray:
    frames = getattr(opened, "n_frames", 1)
    if frames > 1:
        note(f"{path} has {frames} frames; the first one is used")
    turned = ImageOps.exif_transpose(opened)
    if turned.mode in _GREY16:
        grey = np.asarray(turned).astype(np.uint32)  # 65535 is white: 257 steps a byte
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)
    if turned.mode not in _BYTES:
        raise UnblindError(
            f"{path} has pixels of mode {turned.mode}, whose white is unknown", _REMEDY
        )
    if turned.has_transparency_data:
        turned = _on_white(path, turned.convert("RGBA"))
    return np.asarray(turned.convert("RGB"))


def _on_white(path: Path, picture: Image.Image) -> Image.Image:
    """Return an RGBA picture as it looks on white; colours of transparent pixels are hidden."""
    if picture.getchannel("A").getextrema()[0] == 255:
        return picture
    note(f"{path} has transparent pixels, which are shown on white")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture)
