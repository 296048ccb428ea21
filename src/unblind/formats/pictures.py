"""Pictures of unknown origin: what they are, found before and while they are decoded."""

import io
import warnings
from typing import NamedTuple

from PIL import Image

#: Largest picture that is decoded, pixels a side.
LARGEST = 4096
_ORIENTATION = 0x0112  # of EXIF; OpenCV turns such pictures


class Form(NamedTuple):
    """Kind (``png`` or ``jpeg``) and size in pixels of an RGB picture."""

    kind: str
    height: int
    width: int


def form(data: bytes) -> Form:
    """Return the form of a picture by its header.

    Raises:
        ValueError: it is no upright RGB picture, PNG or JPEG with 8 bits a channel, or too large.
    """
    with _opened(data) as image:
        return _form(image)


def check(data: bytes) -> Form:
    """Return the form of a picture that was decoded whole; too large a one is not decoded.

    Raises:
        ValueError: see `form`, or the picture is damaged or cut off.
    """
    with _opened(data) as image:
        found = _form(image)
        try:
            image.load()
        except Exception as error:  # whatever a damaged file makes the decoder raise
            raise ValueError(f"cannot be decoded: {error}") from None
    return found


def _opened(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are judged here
            return Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    except Image.DecompressionBombError:
        raise ValueError(f"is larger than {LARGEST} x {LARGEST} pixels") from None
    except Exception:  # whatever a damaged header makes the decoder raise
        raise ValueError("is neither PNG nor JPEG") from None


def _form(image: Image.Image) -> Form:
    if max(image.size) > LARGEST:
        raise ValueError(f"is larger than {LARGEST} x {LARGEST} pixels")
    turned = image.format == "JPEG" and image.getexif().get(_ORIENTATION, 1) != 1
    if image.mode != "RGB" or turned:
        raise ValueError("is no upright RGB picture of 8 bits a channel")
    return Form(str(image.format).lower(), image.height, image.width)
