"""What the policy sees: the table photo behind robot and objects, and the textures over them.

Pure functions on uint8 frames (H, W, 3) and boolean masks (H, W) that are true on robot and
manipulable objects. The formulas are those of the released environments (base, VisionTexture and
VisionWhole); their sizes, given there for 640 x 480, are stated relative to the frame. Blended
values are truncated to whole numbers, as in the release, not rounded.
"""

import cv2
import numpy as np

from unblind.sim.conditions import Region

_RELEASED_SIZE = (640, 480)  # width, height of the released frames, photos and textures


def prepare_texture(texture: np.ndarray, region: Region, width: int, height: int) -> np.ndarray:
    """Return ``texture`` (h, w, 3) at the size the blending functions expect.

    That is the frame's size for ``robot_and_objects`` and twice the frame's for ``frame``
    (released environments). Smaller frames than the released ones get the area average of what
    the release would use. Meant to be called once an episode.
    """
    factor = 2 if region == "frame" else 1
    released = tuple(factor * length for length in _RELEASED_SIZE)
    wanted = (factor * width, factor * height)
    full = cv2.resize(texture, released, interpolation=cv2.INTER_LINEAR)
    return full if wanted == released else cv2.resize(full, wanted, interpolation=cv2.INTER_AREA)


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom (inclusive) of a mask; zeros for an empty one."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def green_screen(rgb: np.ndarray, keep_mask: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Return the frame with the photo wherever ``keep_mask`` is false."""
    return np.where(keep_mask[..., None], rgb, photo)


def blend_mask(
    rgb: np.ndarray,
    keep_mask: np.ndarray,
    photo: np.ndarray,
    texture: np.ndarray,
    alpha: float,
    batch_box: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return the green-screened frame with a texture blended over robot and objects (Tex).

    The texture is stretched over the mask's bounding box; inside the mask the frame becomes
    alpha * texture + (1 - alpha) * rgb. An empty mask leaves the photo.

    Args:
        rgb: the rendered frame.
        keep_mask: robot and objects.
        photo: the table photo, of the frame's size.
        texture: of the frame's size (:func:`prepare_texture`).
        alpha: weight of the texture in [0, 1].
        batch_box: (height, width), the largest box of all frames rendered together. The release
            stretches the texture over it and keeps the upper left part, so that its pixels
            depend on the companions; without it (corrected) the frame's own box is used.
    """
    left, top, right, bottom = mask_box(keep_mask)
    height, width = bottom - top + 1, right - left + 1
    tile_height, tile_width = batch_box or (height, width)
    tile = cv2.resize(
        texture.astype(np.float32), (tile_width, tile_height), interpolation=cv2.INTER_LINEAR
    )[:height, :width]
    box = np.s_[top : bottom + 1, left : right + 1]
    blended = tile * np.float32(alpha) + rgb[box] * np.float32(1 - alpha)
    frame = photo.copy()
    frame[box] = np.where(keep_mask[box][..., None], blended.astype(np.uint8), photo[box])
    return frame


def blend_frame(
    rgb: np.ndarray,
    keep_mask: np.ndarray,
    photo: np.ndarray,
    texture: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """Return the green-screened frame with a texture blended over all of it (Whole).

    Of a texture twice the frame's size the window of the frame's size is used whose upper left
    corner is the centre of the mask's bounding box, but at least (1, 1), which is also where it
    lies for an empty mask.

    Args:
        rgb: the rendered frame.
        keep_mask: robot and objects.
        photo: the table photo, of the frame's size.
        texture: of twice the frame's size (:func:`prepare_texture`).
        alpha: weight of the texture in [0, 1].
    """
    height, width = keep_mask.shape
    left, top, right, bottom = mask_box(keep_mask)
    x = min(max((left + right) // 2, 1), width - 1)
    y = min(max((top + bottom) // 2, 1), height - 1)
    window = texture[y : y + height, x : x + width]
    base = green_screen(rgb, keep_mask, photo)
    return (base * np.float32(1 - alpha) + window * np.float32(alpha)).astype(np.uint8)
