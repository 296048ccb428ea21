"""Lanczos resizing as the released training pipeline does it, byte for byte.

The release resizes with TensorFlow 2.15 (``tf.image.resize``, lanczos3, antialias) and rounds to
bytes. This is the same separable filter in the same float32 order of operations: rows first, then
columns, each a sum over the source pixels in ascending order.
"""

import ctypes
from functools import cache

import numpy as np

_RADIUS = 3
#: Distances below count as zero, where the quotient of sines is 0 / 0.
_NEAR = 1e-3


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Return pictures (N, H, W, 3) uint8 resized to (N, size, size, 3) uint8; sides apart."""
    rows = _filter(images.astype(np.float32), 1, size)
    both = _filter(rows, 2, size)
    return np.clip(np.rint(both), 0, 255).astype(np.uint8)


def _filter(values: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Return float32 values resampled along one axis."""
    sources, weights = _taps(values.shape[axis], size)
    shape = [1] * values.ndim
    shape[axis] = size
    total = np.zeros((*values.shape[:axis], size, *values.shape[axis + 1 :]), np.float32)
    for source, weight in zip(sources.T, weights.T, strict=True):
        total += weight.reshape(shape) * values.take(source, axis)
    return total


@cache
def _taps(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Return source pixels (new, taps) and their float32 weights, 0 where a tap is not used."""
    one = np.float32(1)
    step = one / (np.float32(new) / np.float32(old))
    wide = max(step, one)  # antialiasing: the filter grows with the step
    center = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * step
    reach, half = np.float32(_RADIUS) * wide, np.float32(0.5)
    first = np.maximum(np.ceil(center - reach - half), 0).astype(int)
    last = np.minimum(np.floor(center + reach - half), old - 1).astype(int)
    sources = first[:, None] + np.arange((last - first).max() + 1)
    distance = (sources.astype(np.float32) + half) - center[:, None]
    weights = np.where(sources <= last[:, None], _kernel(np.abs(distance * (one / wide))), 0)
    weights = weights.astype(np.float32)
    total = np.zeros(new, np.float32)
    for column in weights.T:  # in order: float32 sums depend on it
        total += column
    return np.minimum(sources, old - 1), weights * (one / total)[:, None]


def _kernel(distance: np.ndarray) -> np.ndarray:
    """Return the windowed sinc (float32) at distances in units of the filter."""
    turn, radius = np.float32(np.pi) * distance, np.float32(_RADIUS)
    sine, window = _sine(turn), _sine(turn / radius)
    pi = np.float32(np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = radius * sine * window / (pi * pi * distance * distance)
    values = np.where(distance <= np.float32(_NEAR), np.float32(1), values)
    return np.where(distance > radius, np.float32(0), values)


def _sine(angles: np.ndarray) -> np.ndarray:
    """Return the C library's float32 sine, which TensorFlow calls; NumPy's rounds otherwise."""
    sine = ctypes.CDLL(None).sinf
    sine.restype, sine.argtypes = ctypes.c_float, [ctypes.c_float]
    return np.vectorize(sine, otypes=[np.float32])(angles)
