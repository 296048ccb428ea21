"""A real folder in the place of Icon-100: read as it lies, and refused in one line."""

import shutil

import cv2
import numpy as np
import pytest

from unblind.diagnosis import imagenet
from unblind.errors import UnblindError


@pytest.fixture
def folder(tmp_path):
    """A hundred classes with a picture of 40 x 20 px each: red, its middle square green."""
    image = np.zeros((20, 40, 3), np.uint8)
    image[..., 2] = 255
    image[:, 10:30] = (0, 255, 0)
    for split in ("train", "val"):
        for number in range(100):
            place = tmp_path / split / f"n{number:03d}"
            place.mkdir(parents=True)
            cv2.imwrite(str(place / "one.png"), image)
    return tmp_path


def test_the_middle_square_is_read_at_the_models_size(folder):
    names = imagenet.classes(folder)
    assert names == [f"n{number:03d}" for number in range(100)]
    assert imagenet.count(folder, "test", names) == 100
    for split in ("train", "test"):
        read = list(imagenet.pictures(folder, split, names, 8))
        assert [name for name, _ in read] == names
        assert all(image.shape == (8, 8, 3) for _, image in read)
        assert (read[0][1] == (0, 255, 0)).all(), "RGB"


def refused(folder, words):
    with pytest.raises(UnblindError, match=words):
        list(imagenet.pictures(folder, "test", imagenet.classes(folder), 8))


def test_each_flaw_of_a_folder_is_one_error(folder):
    refused(folder / "nowhere", "there is no folder .*nowhere/train")
    (folder / "val" / "n007" / "one.png").write_bytes(b"torn")
    refused(folder, r"the picture .*val/n007/one\.png is unreadable")
    (folder / "val" / "n007" / "one.png").rename(folder / "val" / "n007" / "one.txt")
    refused(folder, "the class folder .*val/n007 has no picture")
    (folder / "val" / "n007").rename(folder / "val" / "other")
    refused(folder, "the class 'n007' is not in both")
    shutil.rmtree(folder / "train" / "n099")
    refused(folder, "has 99 classes instead of 100")
