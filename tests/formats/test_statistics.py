import numpy as np
import pytest

from unblind.formats import statistics


def test_statistics_of_numbers():
    values = np.stack([np.arange(101), np.full(101, -2)], axis=1).astype(np.float32)
    found = statistics.of_values(values)
    assert found["count"] == [101]
    assert found["min"] == [0, -2] and found["max"] == [100, -2]
    assert found["mean"] == [50, -2]
    # The variance of 0 to n - 1 is (n^2 - 1) / 12.
    assert found["std"] == pytest.approx([(101**2 - 1) ** 0.5 / 12**0.5, 0])
    assert [found[q] for q in ("q01", "q10", "q50", "q90", "q99")] == [
        [1, -2],
        [10, -2],
        [50, -2],
        [90, -2],
        [99, -2],
    ]


def test_statistics_of_pictures_are_those_of_their_pixels():
    dark, bright = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    bright[..., 0], bright[..., 1] = 255, 51
    counts, other = statistics.PictureCounts(), statistics.PictureCounts()
    counts.add([dark, dark, dark])
    other.add([bright])
    counts.join(other)
    found = {name: np.array(value) for name, value in counts.to_json().items()}
    assert found.pop("count").tolist() == [4]
    assert {value.shape for value in found.values()} == {(3, 1, 1)}
    assert found["min"].ravel().tolist() == [0, 0, 0]
    assert found["max"].ravel() == pytest.approx([1, 0.2, 0])
    assert found["mean"].ravel() == pytest.approx([0.25, 0.05, 0])
    # A quarter of the pixels at 1: the variance is 1/4 * 3/4.
    assert found["std"].ravel() == pytest.approx([3**0.5 / 4, 0.2 * 3**0.5 / 4, 0])
    assert found["q50"].ravel().tolist() == [0, 0, 0]
    assert found["q90"].ravel() == pytest.approx([1, 0.2, 0])
