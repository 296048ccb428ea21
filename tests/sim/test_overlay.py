import numpy as np
import pytest
import torch

from unblind.sim.overlay import blend_frame, blend_mask, green_screen, mask_box, prepare_texture

HEIGHT, WIDTH = 96, 128


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    rgb, photo = rng.integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:50, 30:90] = rng.random((30, 60)) < 0.7
    mask[20, 30] = mask[49, 89] = True
    texture = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    return rgb, mask, photo, texture


def test_mask_box():
    mask = np.zeros((5, 7), bool)
    assert mask_box(mask) == (0, 0, 0, 0)
    mask[2, 3] = mask[4, 5] = True
    assert mask_box(mask) == (3, 2, 5, 4)


def test_green_screen_keeps_the_mask(scene):
    rgb, mask, photo, _ = scene
    frame = green_screen(rgb, mask, photo)
    assert frame.dtype == np.uint8
    assert (frame[mask] == rgb[mask]).all() and (frame[~mask] == photo[~mask]).all()


def test_texture_sizes(scene):
    texture = scene[3]
    assert (prepare_texture(texture, "robot_and_objects", 640, 480) == texture).all()
    assert prepare_texture(texture, "frame", 640, 480).shape == (960, 1280, 3)
    small = prepare_texture(texture, "robot_and_objects", WIDTH, HEIGHT)
    means = texture.reshape(HEIGHT, 5, WIDTH, 5, 3).mean((1, 3))
    assert np.abs(small - means).max() <= 0.5
    assert prepare_texture(texture, "frame", WIDTH, HEIGHT).shape == (192, 256, 3)


def test_blending_truncates():
    grey = lambda value, shape=(2, 2): np.full((*shape, 3), value, np.uint8)  # noqa: E731
    mask = np.array([[True, False], [True, True]])
    frame = blend_mask(grey(101), mask, grey(7), grey(50), 0.5)
    assert frame[..., 0].tolist() == [[75, 7], [75, 75]]  # 75.5 truncated
    whole = blend_frame(grey(101), mask, grey(8), grey(51, (4, 4)), 0.5)
    assert whole[..., 0].tolist() == [[76, 29], [76, 76]]  # 76.0; 29.5 truncated
    assert blend_mask(grey(100), mask, grey(7), grey(200), 0.3)[0, 0, 0] == 130


def test_texture_is_stretched_over_the_own_box(scene):
    rgb, mask, photo, texture = scene
    texture = prepare_texture(texture, "robot_and_objects", WIDTH, HEIGHT)
    frame = blend_mask(rgb, mask, photo, texture, 0.3)
    image = torch.from_numpy(texture).permute(2, 0, 1)[None].float()
    tile = torch.nn.functional.interpolate(image, size=(30, 60), mode="bilinear")
    tile = tile[0].permute(1, 2, 0).numpy()
    expected = photo.astype(float)
    inside = mask[20:50, 30:90]
    blended = 0.3 * tile + 0.7 * rgb[20:50, 30:90]
    expected[20:50, 30:90][inside] = np.floor(blended[inside])
    assert (frame[~mask] == photo[~mask]).all()
    off = np.abs(frame - expected)
    assert off.max() <= 1 and (off > 0).mean() < 1e-3  # float32 at whole numbers


def test_whole_window_starts_at_the_centre_of_the_box(scene):
    rgb, mask, photo, texture = scene
    texture = prepare_texture(texture, "frame", WIDTH, HEIGHT)
    frame = blend_frame(rgb, mask, photo, texture, 0.5)
    x, y = (30 + 89) // 2, (20 + 49) // 2
    expected = green_screen(rgb, mask, photo) * 0.5 + texture[y : y + HEIGHT, x : x + WIDTH] * 0.5
    assert (frame == np.floor(expected)).all()


def test_alpha_zero_is_the_green_screen(scene):
    rgb, mask, photo, texture = scene
    plain = green_screen(rgb, mask, photo)
    for blend, region in ((blend_mask, "robot_and_objects"), (blend_frame, "frame")):
        fitted = prepare_texture(texture, region, WIDTH, HEIGHT)
        assert (blend(rgb, mask, photo, fitted, 0.0) == plain).all()


def test_empty_mask(scene):
    rgb, _, photo, texture = scene
    empty = np.zeros((HEIGHT, WIDTH), bool)
    fitted = prepare_texture(texture, "robot_and_objects", WIDTH, HEIGHT)
    assert (blend_mask(rgb, empty, photo, fitted, 0.5) == photo).all()
    double = prepare_texture(texture, "frame", WIDTH, HEIGHT)
    whole = blend_frame(rgb, empty, photo, double, 0.5)
    expected = np.floor(photo * 0.5 + double[1 : 1 + HEIGHT, 1 : 1 + WIDTH] * 0.5)
    assert (whole == expected).all()


def test_inputs_are_left_alone(scene):
    rgb, mask, photo, texture = scene
    fitted = prepare_texture(texture, "robot_and_objects", WIDTH, HEIGHT)
    double = prepare_texture(texture, "frame", WIDTH, HEIGHT)
    copies = [array.copy() for array in (rgb, mask, photo, fitted, double)]
    blend_mask(rgb, mask, photo, fitted, 0.3)
    blend_frame(rgb, mask, photo, double, 0.3)
    for copy, array in zip(copies, (rgb, mask, photo, fitted, double), strict=True):
        assert (copy == array).all()
