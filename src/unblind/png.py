"""Pictures as PNG bytes."""

import cv2
import numpy as np

from unblind.errors import UnblindError


def encode(image: np.ndarray) -> bytes:
    """Return (H, W, 3) uint8 RGB as PNG bytes.

    Raises:
        UnblindError: the picture is empty.
    """
    done, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise UnblindError(f"cannot encode a picture of shape {image.shape}", "see config 'render'")
    return data.tobytes()


def decode(data: bytes) -> np.ndarray:
    """Return PNG bytes as (H, W, 3) uint8 RGB."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
