"""A person's picture as the policy sees it: values, the right way up, and what is told."""

import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from unblind.errors import Note, UnblindError
from unblind.rollout.picture import read_picture

#: Two rows of three pixels: red, green, blue; black, grey, white.
COLORS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [128, 128, 128], [255, 255, 255]]],
    np.uint8,
)


def read(path):
    """Read a picture about which there is nothing to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Note)
        return read_picture(path)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp", "a.ppm"])
def test_bytes_of_colour_are_as_stored(tmp_path, name):
    Image.fromarray(COLORS).save(tmp_path / name, **({"lossless": True} if "webp" in name else {}))
    found = read(tmp_path / name)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, COLORS)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_other_modes_of_bytes_give_their_colours(tmp_path, mode):
    black_white = Image.fromarray(COLORS[1:, [0, 2]]).convert(mode)
    black_white.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), COLORS[1:, [0, 2]])


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_greys_of_16_bits_keep_their_brightness(tmp_path, name):
    """65535 is white, so a byte's step is 257; clipped to bytes, nearly all would be white."""
    grey = np.array([[0, 256, 257, 32768, 65278, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / name)
    found = read(tmp_path / name)
    assert found.shape == (1, 6, 3)
    assert found[0, :, 0].tolist() == found[0, :, 2].tolist() == [0, 1, 1, 128, 254, 255]


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_colours_of_16_bits_keep_their_brightness(tmp_path, name):
    colors = np.array([[[0, 256, 65535], [32768, 65278, 512]]], np.uint16)
    assert cv2.imwrite(str(tmp_path / name), colors[..., ::-1])
    assert read(tmp_path / name).tolist() == [[[0, 1, 255], [128, 254, 2]]]


@pytest.mark.parametrize(
    ("numbers", "mode"),
    [(np.array([[0.0, 1.0]], np.float32), "F"), (np.array([[0, 70000]], np.int32), "I")],
)
def test_numbers_without_a_known_white_are_refused(tmp_path, numbers, mode):
    Image.fromarray(numbers).save(tmp_path / "a.tiff")
    with pytest.raises(UnblindError, match=f"pixels of mode {mode}, whose white is unknown"):
        read(tmp_path / "a.tiff")


#: What a viewer does to the stored picture (EXIF 2.3, tag 0x0112).
TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_pictures_are_turned_as_viewers_show_them(tmp_path, orientation, name):
    large = COLORS.repeat(32, axis=0).repeat(32, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(large).save(tmp_path / name, exif=exif, quality=95)
    found, wanted = read(tmp_path / name), TURNS[orientation](large)
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted)[8::16, 8::16].max() < 40  # compression
    assert np.median(np.abs(found.astype(int) - wanted)) < 8


def test_hidden_colours_are_not_seen_and_it_is_told(tmp_path):
    pixels = np.dstack([COLORS, np.array([[255, 0, 51], [255, 255, 255]], np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.warns(Note, match=r"a.png has transparent pixels, which are shown on white"):
        found = read_picture(tmp_path / "a.png")
    # Invisible green is white; a fifth of blue is left on white.
    assert found[0].tolist() == [[255, 0, 0], [255, 255, 255], [204, 204, 255]]
    np.testing.assert_array_equal(found[1], COLORS[1])


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    palette = Image.fromarray(COLORS[1:]).convert("P")
    black = palette.getpixel((0, 0))
    palette.save(tmp_path / "a.png", transparency=black)
    with pytest.warns(Note, match="transparent"):
        assert read_picture(tmp_path / "a.png")[0, 0].tolist() == [255] * 3


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tiff"])
def test_of_several_frames_the_first_is_taken_and_it_is_told(tmp_path, name):
    first, second = Image.fromarray(COLORS), Image.fromarray(255 - COLORS)
    first.save(tmp_path / name, save_all=True, append_images=[second])
    with pytest.warns(Note, match="has 2 frames; the first one is used"):
        found = read_picture(tmp_path / name)
    np.testing.assert_array_equal(found, COLORS)


@pytest.mark.parametrize("data", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n\0\0"])
def test_what_is_no_picture_is_one_line(tmp_path, data):
    path = tmp_path / "a.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UnblindError, match=r"a.png is (missing|no readable picture)"):
        read(path)
