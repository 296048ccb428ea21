import numpy as np
import pytest
import torch
from unblind.vla.images import to_model

from unblind.errors import UnblindError


def test_shape_range_and_memory():
    images = np.zeros((2, 96, 128, 3), np.uint8)
    images[1] = 255
    found = to_model(images, 128)
    assert found.shape == (2, 3, 128, 128)
    assert found.dtype == torch.float32
    assert (found[0] == 0).all() and (found[1] == 1).all()
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_channels_stay_red_green_blue():
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[..., 0] = 51
    found = to_model(images, 8)
    assert found[0, :, 0, 0].tolist() == pytest.approx([0.2, 0, 0])


def test_sides_are_scaled_apart():
    images = np.zeros((1, 96, 128, 3), np.uint8)
    images[0, 48:, 64:] = 255  # the lower right quarter stays the lower right quarter
    found = to_model(images, 128)[0, 0]
    assert (found[66:, 66:] == 1).all()
    assert (found[:62] == 0).all() and (found[:, :62] == 0).all()


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((96, 128, 3), np.uint8), np.zeros((1, 3, 96, 128), np.uint8), np.zeros((1, 8, 8, 3))],
)
def test_wrong_pictures_are_refused(wrong):
    with pytest.raises(UnblindError, match="RGB pictures of bytes"):
        to_model(wrong, 128)
