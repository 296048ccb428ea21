"""Pictures as PNG bytes: what all shards hold."""

import cv2
import numpy as np


def encode(image: np.ndarray) -> bytes:
    """Return (H, W, 3) uint8 RGB as PNG bytes."""
    done, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done  # a uint8 picture always encodes
    return data.tobytes()


def decode(data: bytes) -> np.ndarray:
    """Return PNG bytes as (H, W, 3) uint8 RGB."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
